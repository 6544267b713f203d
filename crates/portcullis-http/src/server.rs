//! Connections: accepted, served, drained.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use portcullis_access::Rates;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;
use tokio_io_timeout::TimeoutWriter;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::account::AccountFacts;
use crate::app::{App, Entrance, Gateway};
use crate::attic;
use crate::door::{Local, MOST_HEAD};
use crate::images::Studio;
use crate::parked::ParkedTurns;
use crate::rates::Charged;
use crate::remote_images::RemoteImages;
use crate::responses::LiveResponses;
use crate::router::router;

/// The most headers.
const HEADERS: usize = 100;
/// How often parked turns are looked through for those that waited too long.
const SWEEP: Duration = Duration::from_secs(1);
/// How long a connection on which nothing was asked yet stays when the gateway stops: what its client sends is on the way.
const FRESH: Duration = Duration::from_secs(1);
/// How long the listener rests when the process is out of descriptors.
const REST: Duration = Duration::from_millis(50);

/// Opens the port.
pub async fn bind(addr: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(addr).await
}

/// Serves until `stop` is cancelled: then new work is refused with 503, running requests have `drain` to finish,
/// and what still runs is ended with an error event. Returns when every connection is closed.
pub async fn serve(
    listener: TcpListener,
    gateway: Gateway,
    stop: CancellationToken,
    drain: Duration,
) -> std::io::Result<()> {
    let Gateway {
        agent,
        keys,
        audit,
        approvals,
        settings,
        warnings,
        local,
        responses,
        conversations,
        usage,
        metrics,
        tracer,
        pictures,
        pages,
        also_on,
    } = gateway;
    let ending = CancellationToken::new();
    let parked = ParkedTurns::new(settings.clone(), Arc::clone(&metrics));
    let (draining, ending_of_app) = (stop.clone(), ending.clone());
    let (live, tasks) = (LiveResponses::default(), TaskTracker::new());
    let rates = Arc::new(Rates::default());
    let app = App {
        agent: Arc::new(Charged::new(agent, Arc::clone(&rates))),
        keys,
        audit,
        approvals,
        rates,
        settings,
        warnings,
        local,
        metrics,
        tracer,
        parked,
        responses,
        conversations,
        usage,
        remote_images: RemoteImages::default(),
        studio: pictures.map(|pictures| Arc::new(Studio::new(pictures))),
        account: AccountFacts::default(),
        once: Arc::default(),
        live,
        tasks,
        draining,
        ending: ending_of_app,
    };
    let app = Arc::new(app);
    let router = router(&app, pages);
    attic::settle(&app).await;
    let cleaner = app.tasks.spawn(attic::keep_clean(Arc::clone(&app)));
    app.tasks.spawn(Arc::clone(&app.usage).keep(stop.clone()));
    let mut sweep = tokio::time::interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let connections = TaskTracker::new();
    let places = Arc::new(Semaphore::new(app.settings().entrance.connections));
    let Entrance { head, stall, .. } = app.settings().entrance;
    let serving = Serving { router, head, stall, stop: stop.clone(), ending: ending.clone() };
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, also_on.as_ref()) => accepted,
            _tick = sweep.tick() => {
                app.parked.give_up_late(Instant::now());
                continue;
            }
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, _peer)) => {
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                    app.metrics.connection_refused();
                    refuse(&stream);
                    continue;
                };
                let serving = serving.clone();
                connections.spawn(async move {
                    serving.connection(stream).await;
                    drop(place);
                });
            }
            Err(error) => {
                // Out of descriptors, most likely: others still close, so it passes.
                tracing::warn!(error = %error, "A connection could not be accepted");
                tokio::time::sleep(REST).await;
            }
        }
    }
    drop((listener, also_on));
    // Their callers can come back only to another gateway, which replays the conversation.
    app.parked.give_up_all();
    connections.close();
    cleaner.abort();
    app.tasks.close();
    // Background responses have no connection, and the same time.
    let done = async { tokio::join!(connections.wait(), app.tasks.wait()) };
    if tokio::time::timeout(drain, done).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            responses = app.tasks.len(),
            "Requests still run after the grace period and are ended"
        );
        ending.cancel();
        app.tasks.wait().await;
        // Their error events go out now; a client that does not even read them is cut off.
        if tokio::time::timeout(Duration::from_secs(1), connections.wait()).await.is_err() {
            tracing::warn!(connections = connections.len(), "Clients that do not read are cut off");
        }
    }
    Ok(())
}

/// The next connection on either. Cancel safe.
async fn accept(
    listener: &TcpListener,
    also_on: Option<&TcpListener>,
) -> std::io::Result<(TcpStream, SocketAddr)> {
    match also_on {
        None => listener.accept().await,
        Some(also_on) => tokio::select! {
            accepted = listener.accept() => accepted,
            accepted = also_on.accept() => accepted,
        },
    }
}

/// Tells a client that there are too many. What it has sent is not read; the answer fits into any fresh socket.
fn refuse(stream: &TcpStream) {
    const BODY: &str = r#"{"error":{"message":"As many connections are open as may.","type":"server_error","param":null,"code":"too_many_connections"}}"#;
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    if let Err(error) = stream.try_write(answer.as_bytes()) {
        tracing::debug!(error = %error, "A connection too many could not be told so");
    }
}

/// What every connection is given.
#[derive(Clone)]
struct Serving {
    router: axum::Router,
    head: Duration,
    stall: Duration,
    stop: CancellationToken,
    ending: CancellationToken,
}

impl Serving {
    async fn connection(self, stream: TcpStream) {
        let Self { router, head, stall, stop, ending } = self;
        // Without it small writes wait up to 40 ms for the client's acknowledgement of the one before.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(error = %error, "TCP_NODELAY was refused");
        }
        let local = stream.local_addr().ok().map(Local);
        let asked = CancellationToken::new();
        let first = asked.clone();
        let service = TowerToHyperService::new(tower::service_fn(
            move |mut request: hyper::Request<hyper::body::Incoming>| {
                if let Some(local) = local {
                    request.extensions_mut().insert(local);
                }
                first.cancel();
                let router = router.clone();
                async move {
                    let response =
                        tower::ServiceExt::oneshot(router, request.map(axum::body::Body::new)).await;
                    Ok::<_, Infallible>(response.unwrap_or_else(|never| match never {}))
                }
            },
        ));
        // What a client does not take is held for it, whole answers of it; one that takes nothing any more does not come back.
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(stall));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(head)
            .max_buf_size(MOST_HEAD)
            .max_headers(HEADERS)
            // A client that closes its writing half has left: one that goes away without a reset looks the same, and its turn must
            // not run until something is written.
            .half_close(false)
            .serve_connection(TokioIo::new(Box::pin(stream)), service);
        tokio::pin!(connection);
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = stop.cancelled() => {
                // A connection without a request would be closed now, and a request that comes would have no answer.
                let first = tokio::time::timeout(FRESH, asked.cancelled());
                tokio::select! {
                    served = connection.as_mut() => return ended(served),
                    _asked = first => {}
                }
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    served = connection.as_mut() => served,
                    () = cut_off(&ending) => return,
                }
            }
        };
        ended(served);
    }
}

fn ended(served: hyper::Result<()>) {
    if let Err(error) = served {
        tracing::debug!(error = %error, "A connection ended early");
    }
}

/// A second after the end of all streams was announced.
async fn cut_off(ending: &CancellationToken) {
    ending.cancelled().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
}
