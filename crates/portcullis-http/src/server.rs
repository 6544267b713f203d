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
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::{App, Gateway};
use crate::attic;
use crate::images::Studio;
use crate::parked::ParkedTurns;
use crate::rates::Charged;
use crate::remote_images::RemoteImages;
use crate::responses::LiveResponses;
use crate::router::router;

/// How long a client may take to send a request's head.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// How often parked turns are looked through for those that waited too long.
const SWEEP: Duration = Duration::from_secs(1);
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
        responses,
        conversations,
        metrics,
        pictures,
        also_on,
    } = gateway;
    let ending = CancellationToken::new();
    let parked = ParkedTurns::new(settings.parking, Arc::clone(&metrics));
    let (draining, ending_of_app) = (stop.clone(), ending.clone());
    let remote_images = RemoteImages::new(settings.image_hosts.clone(), settings.chat.images.bytes);
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
        metrics,
        parked,
        responses,
        conversations,
        remote_images,
        studio: pictures.map(|pictures| Arc::new(Studio::new(pictures))),
        live,
        tasks,
        draining,
        ending: ending_of_app,
    };
    let app = Arc::new(app);
    let router = router(Arc::clone(&app));
    attic::settle(&app).await;
    let cleaner = app.tasks.spawn(attic::keep_clean(Arc::clone(&app)));
    let mut sweep = tokio::time::interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let connections = TaskTracker::new();
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
                connections.spawn(connection(stream, router.clone(), stop.clone(), ending.clone()));
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

async fn connection(
    stream: TcpStream,
    router: axum::Router,
    stop: CancellationToken,
    ending: CancellationToken,
) {
    // Without it small writes wait up to 40 ms for the client's acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = %error, "TCP_NODELAY was refused");
    }
    let service =
        TowerToHyperService::new(tower::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let router = router.clone();
            async move {
                let response = tower::ServiceExt::oneshot(router, request.map(axum::body::Body::new)).await;
                Ok::<_, Infallible>(response.unwrap_or_else(|never| match never {}))
            }
        }));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                served = connection.as_mut() => served,
                () = cut_off(&ending) => return,
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(error = %error, "A connection ended early");
    }
}

/// A second after the end of all streams was announced.
async fn cut_off(ending: &CancellationToken) {
    ending.cancelled().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
}
