//! The way from a brain to hands: a WebSocket on loopback on the brain's side, the pipes of an exec-server on the other.
//!
//! The app-server reaches an environment that is added while it runs by WebSocket only, and an exec-server in a cell has
//! no network. So the gateway stands between them: a message on one side is a line on the other, and nothing of it is
//! read here. Whoever connects must know the name of the environment and its token; the first connection takes the
//! pipes, and there is no second one, because hands are for one turn.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::Semaphore;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// How long a connection may take to say who it is.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);
/// How many connections may be in their handshake; others wait in the kernel's queue.
const HANDSHAKES: usize = 16;
/// The longest message in either direction: a picture of 20 MiB is 28 MB of text.
const LONGEST_MESSAGE: usize = 64 * 1024 * 1024;

/// The listener. Dropping it closes every way.
pub(crate) struct Relay {
    port: u16,
    offers: Arc<Offers>,
    _stop: DropGuard,
}

type Offers = Mutex<HashMap<String, Offer>>;

/// Pipes that wait for their brain.
struct Offer {
    token: SecretString,
    stdin: ChildStdin,
    stdout: ChildStdout,
    closed: CancellationToken,
}

/// The way to one exec-server. Dropping it closes it.
pub(crate) struct Way {
    /// Where the brain connects.
    pub(crate) url: String,
    /// What it shows there.
    pub(crate) token: SecretString,
    name: String,
    offers: Arc<Offers>,
    _closed: DropGuard,
}

impl Relay {
    /// Listens on a free port of the loopback address.
    pub(crate) async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let (offers, stop) = (Arc::new(Offers::default()), CancellationToken::new());
        let tasks = TaskTracker::new();
        // Ends when the relay is dropped, and every connection with it.
        tasks.spawn(accept(listener, Arc::clone(&offers), tasks.clone(), stop.clone()));
        Ok(Self { port, offers, _stop: stop.drop_guard() })
    }

    /// The port that brains must be able to reach.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Makes pipes reachable under a name.
    pub(crate) fn offer(
        &self,
        name: &str,
        stdin: ChildStdin,
        stdout: ChildStdout,
    ) -> Result<Way, getrandom::Error> {
        let token = token()?;
        let closed = CancellationToken::new();
        let offer = Offer { token: token.clone(), stdin, stdout, closed: closed.clone() };
        lock(&self.offers).insert(name.to_owned(), offer);
        Ok(Way {
            url: format!("ws://127.0.0.1:{}/{name}", self.port),
            token,
            name: name.to_owned(),
            offers: Arc::clone(&self.offers),
            _closed: closed.drop_guard(),
        })
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        lock(&self.offers).remove(&self.name);
    }
}

fn lock(offers: &Offers) -> MutexGuard<'_, HashMap<String, Offer>> {
    offers.lock().unwrap_or_else(PoisonError::into_inner)
}

fn token() -> Result<SecretString, getrandom::Error> {
    let mut random = [0; 32];
    getrandom::fill(&mut random)?;
    let text = random.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    Ok(SecretString::from(text))
}

async fn accept(listener: TcpListener, offers: Arc<Offers>, tasks: TaskTracker, stop: CancellationToken) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let Ok((stream, _peer)) = accepted else {
            // Out of descriptors, most likely: it passes.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(handshake) = Arc::clone(&handshakes).acquire_owned().await else { return };
        let (offers, stop) = (Arc::clone(&offers), stop.clone());
        tasks.spawn(async move {
            let greeted = tokio::time::timeout(HANDSHAKE_DEADLINE, greet(stream, &offers)).await;
            drop(handshake);
            if let Ok(Some((socket, offer))) = greeted {
                tokio::select! {
                    () = pump(socket, offer) => {}
                    () = stop.cancelled() => {}
                }
            }
        });
    }
}

/// Takes the pipes whose name and token the client shows.
async fn greet(stream: TcpStream, offers: &Offers) -> Option<(WebSocketStream<TcpStream>, Offer)> {
    // Messages are small and wait for each other.
    let _ = stream.set_nodelay(true);
    let mut taken = None;
    #[expect(clippy::result_large_err, reason = "the signature is the library's")]
    let check = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        taken = take(offers, request.uri().path(), shown.unwrap_or_default());
        if taken.is_some() {
            return Ok(response);
        }
        let mut refused = ErrorResponse::new(None);
        *refused.status_mut() = StatusCode::FORBIDDEN;
        Err(refused)
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(LONGEST_MESSAGE))
        .max_frame_size(Some(LONGEST_MESSAGE));
    let socket = tokio_tungstenite::accept_hdr_async_with_config(stream, check, Some(config)).await;
    match socket {
        Ok(socket) => Some((socket, taken?)),
        Err(error) => {
            // Not louder: a brain looks for the hands of a turn that is over until it unloads the thread.
            tracing::debug!("A connection to hands was refused: {error}");
            None
        }
    }
}

fn take(offers: &Offers, path: &str, authorization: &str) -> Option<Offer> {
    let name = path.strip_prefix('/')?;
    let shown = authorization.strip_prefix("Bearer ").unwrap_or_default();
    let mut offers = lock(offers);
    let expected = offers.get(name)?.token.expose_secret();
    bool::from(shown.as_bytes().ct_eq(expected.as_bytes())).then(|| offers.remove(name))?
}

/// Carries messages until either side is gone or the way is closed.
async fn pump(socket: WebSocketStream<TcpStream>, offer: Offer) {
    let Offer { stdin, stdout, closed, .. } = offer;
    let (to_brain, from_brain) = socket.split();
    let why = tokio::select! {
        why = to_hands(from_brain, stdin) => why,
        why = from_hands(stdout, to_brain) => why,
        () = closed.cancelled() => "the turn is over",
    };
    tracing::debug!("The way to the hands is closed: {why}");
}

async fn to_hands(
    mut from_brain: SplitStream<WebSocketStream<TcpStream>>,
    mut stdin: ChildStdin,
) -> &'static str {
    while let Some(message) = from_brain.next().await {
        let line = match message {
            Ok(Message::Text(text)) => text,
            // The library answers pings itself.
            Ok(Message::Ping(_) | Message::Pong(_)) => continue,
            Ok(Message::Binary(_) | Message::Frame(_)) => return "the brain sent what is no message",
            Ok(Message::Close(_)) | Err(_) => return "the brain hung up",
        };
        let written = async {
            stdin.write_all(line.as_bytes()).await?;
            stdin.write_all(b"\n").await
        };
        if written.await.is_err() {
            return "the hands do not listen";
        }
    }
    "the brain hung up"
}

async fn from_hands(
    stdout: ChildStdout,
    mut to_brain: SplitSink<WebSocketStream<TcpStream>, Message>,
) -> &'static str {
    let mut lines = BufReader::with_capacity(64 * 1024, stdout);
    loop {
        let mut line = Vec::new();
        let bound = u64::try_from(LONGEST_MESSAGE).unwrap_or(u64::MAX);
        match (&mut lines).take(bound).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return "the hands are gone",
            Ok(_) => {}
        }
        if line.pop() != Some(b'\n') {
            return "the hands sent a line that is too long or has no end";
        }
        // What runs in the cell may speak in the exec-server's name, so this is no more than text.
        let Ok(text) = String::from_utf8(line) else { return "the hands sent what is no text" };
        if to_brain.send(Message::text(text)).await.is_err() {
            return "the brain hung up";
        }
    }
}
