//! The listener, its connections, and the handle that a test holds.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::{
    Answer, Closed, Received, WaitError,
    lab::{Kind, Lab},
    service,
};

/// How long to wait when no connection can be accepted, say because no file descriptor is left.
const ACCEPT_RETRY: Duration = Duration::from_millis(20);

/// A scripted model server on loopback.
///
/// It has one task for the listener and one per connection, which file descriptors bound. All of them end with
/// [`ModelServer::shutdown`] or when the server is dropped, in the middle of an answer too.
#[derive(Debug)]
pub struct ModelServer {
    addr: SocketAddr,
    lab: Arc<Lab>,
    tasks: TaskTracker,
}

impl ModelServer {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start() -> io::Result<Self> {
        Self::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
    }

    /// Listens on this address.
    pub async fn bind(addr: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let lab = Arc::new(Lab::default());
        let tasks = TaskTracker::new();
        tasks.spawn(accept(listener, Arc::clone(&lab), tasks.clone()));
        Ok(Self { addr, lab, tasks })
    }

    /// Where the server listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What Codex calls the provider's `base_url`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// Answers the next unanswered `POST …/responses` with this. At most 4096 answers wait; one more panics.
    pub fn enqueue(&self, answer: Answer) {
        self.lab.state().of(Kind::Response).script.enqueue(answer);
    }

    /// Answers with this when no answer is queued. If it panics, the client's connection breaks.
    pub fn respond_with(&self, responder: impl Fn(&Received) -> Answer + Send + Sync + 'static) {
        self.lab.state().of(Kind::Response).script.respond_with(Arc::new(responder));
    }

    /// How many queued answers nobody has asked for yet.
    pub fn unused_answers(&self) -> usize {
        self.lab.state().of(Kind::Response).script.queued()
    }

    /// Every `POST …/responses` with a JSON body, in the order of arrival: the last 1024, or the last 128 MiB.
    pub fn requests(&self) -> Vec<Received> {
        let kept = self.lab.state().of(Kind::Response).journal.requests();
        kept.into_iter().map(Arc::unwrap_or_clone).collect()
    }

    /// Every other request that could be read, each of which got an error: the last 64.
    pub fn other_requests(&self) -> Vec<Received> {
        self.lab.state().of(Kind::Response).journal.others()
    }

    /// Waits until `count` requests have come since the start, and returns [`ModelServer::requests`]. Cancel safe.
    pub async fn wait_for_requests(&self, count: usize, limit: Duration) -> Result<Vec<Received>, WaitError> {
        self.lab.wait_for_requests(Kind::Response, count, limit).await?;
        Ok(self.requests())
    }

    /// Waits until the answer to request `index` has ended, and says when and how. Cancel safe.
    pub async fn wait_for_close(&self, index: usize, limit: Duration) -> Result<Closed, WaitError> {
        self.lab.wait_for_close(Kind::Response, index, limit).await
    }

    /// How many answers have begun and not ended.
    pub fn open_streams(&self) -> usize {
        self.lab.state().of(Kind::Response).journal.open()
    }

    /// Answers the next unanswered `POST …/images/…` with this. At most 4096 answers wait; one more panics.
    pub fn enqueue_picture(&self, answer: Answer) {
        self.lab.state().of(Kind::Picture).script.enqueue(answer);
    }

    /// Answers requests for pictures with this when no answer is queued.
    pub fn draw_with(&self, responder: impl Fn(&Received) -> Answer + Send + Sync + 'static) {
        self.lab.state().of(Kind::Picture).script.respond_with(Arc::new(responder));
    }

    /// Every `POST …/images/…` with a JSON body, in the order of arrival, as bounded as the others.
    pub fn picture_requests(&self) -> Vec<Received> {
        let kept = self.lab.state().of(Kind::Picture).journal.requests();
        kept.into_iter().map(Arc::unwrap_or_clone).collect()
    }

    /// Waits until `count` requests for pictures have come since the start. Cancel safe.
    pub async fn wait_for_picture_requests(
        &self,
        count: usize,
        limit: Duration,
    ) -> Result<Vec<Received>, WaitError> {
        self.lab.wait_for_requests(Kind::Picture, count, limit).await?;
        Ok(self.picture_requests())
    }

    /// Waits until the answer to the request for a picture `index` has ended, and says when and how. Cancel safe.
    pub async fn wait_for_picture_close(&self, index: usize, limit: Duration) -> Result<Closed, WaitError> {
        self.lab.wait_for_close(Kind::Picture, index, limit).await
    }

    /// How many pictures are being drawn.
    pub fn open_pictures(&self) -> usize {
        self.lab.state().of(Kind::Picture).journal.open()
    }

    /// Ends every connection at once, and waits until every task is gone.
    pub async fn shutdown(self) {
        self.stop();
        self.tasks.wait().await;
    }

    fn stop(&self) {
        self.lab.stop.cancel();
        self.tasks.close();
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn accept(listener: TcpListener, lab: Arc<Lab>, tasks: TaskTracker) {
    let connections = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tasks.spawn(connection(stream, Arc::clone(&lab)))),
                Err(_) => tokio::time::sleep(ACCEPT_RETRY).await,
            }
        }
    };
    tokio::select! {
        biased;
        () = lab.stop.cancelled() => {}
        () = connections => {}
    }
}

async fn connection(stream: TcpStream, lab: Arc<Lab>) {
    // Each delta is its own small write. A socket that refuses the option is already broken.
    let _ = stream.set_nodelay(true);
    let shared = Arc::clone(&lab);
    let serve = service_fn(move |request| service::serve(Arc::clone(&shared), request));
    // A half-closed client counts as gone: that is how hyper notices one that leaves while nothing is written.
    let connection = http1::Builder::new().half_close(false).serve_connection(TokioIo::new(stream), serve);
    tokio::select! {
        biased;
        () = lab.stop.cancelled() => {}
        // Its errors are a cut that was scripted or a client that left; both are in the journal.
        _ = connection => {}
    }
}
