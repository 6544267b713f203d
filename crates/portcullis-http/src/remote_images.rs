//! Pictures that a request names by URL. Codex takes none, so the gateway fetches them, and only from hosts that the
//! operator has listed: anything else would let a client make the gateway call addresses of its choice.

use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use portcullis_agent::{HistoryItem, Part};
use portcullis_openai::InvalidRequest;
use portcullis_openai::chat::sniff_image;

use crate::app::Settings;
use crate::error::ApiError;

/// How long one picture may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client that follows no redirect and knows no proxy.
type Fetcher = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// Fetches pictures from listed hosts.
#[derive(Debug, Default)]
pub(crate) struct RemoteImages {
    /// Made when the first picture is fetched: most gateways never do.
    client: OnceLock<Fetcher>,
}

/// Why a picture is not there. Nothing of an answer is told: it is not the client's to read.
enum Fault {
    NotListed,
    Unreachable,
    TooLarge,
    NotAPicture,
}

impl RemoteImages {
    /// Puts every picture that is named by URL into the conversation itself.
    pub(crate) async fn inline(
        &self,
        settings: &Settings,
        history: &mut [HistoryItem],
    ) -> Result<(), ApiError> {
        let limit = settings.chat.images.bytes;
        let mut left = limit;
        for item in history {
            let parts = match item {
                HistoryItem::Message(message) => &mut message.parts,
                HistoryItem::ToolOutput(output) => &mut output.parts,
                HistoryItem::ToolCall(_) | HistoryItem::Reasoning(_) => continue,
            };
            for part in parts {
                if let Part::Image { url, .. } = part
                    && !url.starts_with("data:")
                {
                    let fetched = self.fetch(&settings.image_hosts, url, &mut left).await;
                    *url = fetched.map_err(|fault| refused(&fault, limit))?;
                }
            }
        }
        Ok(())
    }

    async fn fetch(&self, hosts: &[String], url: &str, left: &mut usize) -> Result<String, Fault> {
        // The URL is read here by what also calls it: two readers could disagree on the host.
        let uri: Uri = url.parse().map_err(|_malformed| Fault::NotListed)?;
        let authority = uri.authority().ok_or(Fault::NotListed)?;
        let listed = hosts.iter().any(|listed| listed.eq_ignore_ascii_case(authority.host()));
        if !listed || authority.as_str().contains('@') {
            return Err(Fault::NotListed);
        }
        let bytes = tokio::time::timeout(PATIENCE, self.get(uri, *left))
            .await
            .map_err(|_late| Fault::Unreachable)??;
        *left -= bytes.len();
        let kind = sniff_image(&bytes).ok_or(Fault::NotAPicture)?;
        Ok(format!("data:{kind};base64,{}", STANDARD.encode(&bytes)))
    }

    async fn get(&self, uri: Uri, limit: usize) -> Result<Bytes, Fault> {
        let response = self.client()?.get(uri).await.map_err(|_failed| Fault::Unreachable)?;
        if !response.status().is_success() {
            return Err(Fault::Unreachable);
        }
        match Limited::new(response.into_body(), limit).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Fault::TooLarge),
            Err(_broken) => Err(Fault::Unreachable),
        }
    }

    /// Made with the certificates that the system trusts.
    fn client(&self) -> Result<&Fetcher, Fault> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let connector = HttpsConnectorBuilder::new().with_native_roots().map_err(|error| {
            tracing::warn!(error = %error, "No picture can be fetched: the system's certificates can not be read");
            Fault::Unreachable
        })?;
        let connector = connector.https_or_http().enable_http1().build();
        Ok(self.client.get_or_init(|| Client::builder(TokioExecutor::new()).build(connector)))
    }
}

fn refused(fault: &Fault, limit: usize) -> ApiError {
    let message = match fault {
        Fault::NotListed => {
            "The operator has not listed this picture's host; send it as a 'data:' URL.".to_owned()
        }
        Fault::Unreachable => "The picture could not be fetched.".to_owned(),
        Fault::TooLarge => {
            format!("The pictures of a request may have at most {limit} bytes together.")
        }
        Fault::NotAPicture => "What the URL leads to is none of PNG, JPEG, GIF, WebP.".to_owned(),
    };
    InvalidRequest { message, param: None, code: Some("invalid_image_url") }.into()
}
