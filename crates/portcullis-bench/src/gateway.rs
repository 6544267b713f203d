//! The whole gateway, in this process: keys, limits, log line and metrics on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use camino::Utf8Path;
use portcullis_access::{Grant, KeyStore, Keys};
use portcullis_agent::{Deadline, Record};
use portcullis_codex::{AppServer, CodexBinary, CustomProvider, Provider, Settings as CodexSettings};
use portcullis_http::{Gateway, Keep, Metrics, Parking, Settings};
use portcullis_lab::ModelServer;
use portcullis_openai::chat;
use portcullis_store::Memory;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) struct Gate {
    url: String,
    key: SecretString,
    client: reqwest::Client,
    agent: Arc<AppServer>,
    stop: CancellationToken,
    served: JoinHandle<std::io::Result<()>>,
}

impl Gate {
    pub(crate) async fn start(
        binary: &CodexBinary,
        dir: &Utf8Path,
        model: &ModelServer,
    ) -> anyhow::Result<Self> {
        let agent = Arc::new(AppServer::start(CodexSettings {
            binary: binary.clone(),
            worker_dir: dir.join("worker"),
            login_home: dir.join("codex"),
            provider: Provider::Custom(CustomProvider {
                name: "lab".to_owned(),
                base_url: model.base_url(),
                requires_openai_auth: false,
                key: None,
                supports_websockets: false,
                request_max_retries: Some(0),
                stream_max_retries: Some(0),
                stream_idle_timeout: None,
                http_headers: BTreeMap::new(),
                query_params: BTreeMap::new(),
            }),
            model: "gpt-5.5".to_owned(),
            models: vec!["gpt-5.5".to_owned()],
            turns: 64,
            stop_grace: Duration::from_secs(2),
        }));
        let store = KeyStore::open(dir)?;
        let key = store.create("bench", &Grant::default(), jiff::Timestamp::now())?.secret;
        let metrics = Arc::new(Metrics::default());
        let counter = Arc::clone(&metrics);
        let kept = Arc::new(Memory::new(1 << 20));
        let gateway = Gateway {
            agent: Arc::new(Record::new(Deadline::new(Arc::clone(&agent)), counter)),
            keys: Arc::new(Keys::open(store.path())?),
            settings: Settings {
                aliases: BTreeMap::new(),
                deadline: Duration::from_mins(1),
                keep: Keep { age: Duration::from_hours(1), bytes: 1 << 20 },
                parking: Parking { most: 8, wait: Duration::from_mins(1) },
                first_event: Duration::from_secs(15),
                body_limit: 1 << 20,
                chat: chat::Limits {
                    messages: 1024,
                    text: 1 << 20,
                    tools: 128,
                    tool_bytes: 1 << 16,
                    images: chat::ImagePolicy { count: 4, bytes: 1 << 20, remote: false },
                },
                image_hosts: Vec::new(),
                sampling: chat::Sampling::Ignore,
            },
            warnings: Vec::new(),
            responses: Arc::clone(&kept) as _,
            conversations: kept as _,
            metrics,
        };
        let listener = portcullis_http::bind("127.0.0.1:0".parse()?).await?;
        let url = format!("http://{}/v1/chat/completions", listener.local_addr()?);
        let stop = CancellationToken::new();
        #[expect(clippy::disallowed_methods, reason = "stop() waits for it")]
        let served = tokio::task::spawn(portcullis_http::serve(
            listener,
            gateway,
            stop.clone(),
            Duration::from_secs(5),
        ));
        ensure!(agent.ready(crate::READY).await, "the worker did not become ready");
        let client = reqwest::Client::builder().no_proxy().tcp_nodelay(true).build()?;
        Ok(Self { url, key, client, agent, stop, served })
    }

    /// One streamed answer: from the request to the first byte of the body; the rest is read, too.
    pub(crate) async fn first_byte(&self) -> anyhow::Result<Duration> {
        let body =
            json!({"model": "gpt-5.5", "stream": true, "messages": [{"role": "user", "content": "Hi"}]});
        let started = Instant::now();
        let request = self.client.post(&self.url).bearer_auth(self.key.expose_secret()).json(&body);
        let mut response = request.send().await?.error_for_status()?;
        response.chunk().await?.context("the answer is empty")?;
        let first = started.elapsed();
        while response.chunk().await?.is_some() {}
        Ok(first)
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.served.await??;
        Arc::into_inner(self.agent).context("somebody still holds the agent")?.shutdown().await;
        Ok(())
    }
}
