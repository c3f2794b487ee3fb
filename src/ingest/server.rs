//! Our own accept loop: hyper's HTTP/1 with a timer (without one its header timeout does nothing), a bounded number of
//! connections, and an end that comes when it was announced.
//!
//! Alerts are answered right here, on hyper alone, because a router costs 4 µs a request; all else goes to the API's
//! router. HTTP/1 only: what guesses the version first would wait for bytes without any limit of time.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower_service::Service;

use super::answer::Reply;
use super::deadline::Bounded;
use super::patient::Patient;
use super::peers::{Peers, Place, connections_max};
use super::progress::{Noted, Owed, Progress, Step};
use super::route::{Endpoint, IngestState, duration};
use super::tls::{self, ClientNames, TlsDoor};

/// How long open requests may take to end when we stop. Event streams must end by themselves before.
const DRAIN: Duration = Duration::from_secs(5);

/// How long accepting pauses when the system has no descriptor left; connections that end give some back.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a connection may wait for its peer although others wait for its place.
const GRACE: Duration = Duration::from_secs(1);

/// Bytes of a request's head; hyper answers 431 beyond.
const HEAD_BYTES: usize = 32 << 10;

/// Bytes that hyper reads ahead of us on one connection: a usual body in one piece.
const BUFFER_BYTES: usize = 64 << 10;

/// Headers of a request; hyper answers 431 beyond.
const HEADERS: usize = 64;

/// What connections are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Go on. The number grows each time that all connections are in use: those that wait for their peers are to make room.
    Serving(u64),
    /// End behind the present request.
    Draining,
    /// End now.
    Over,
}

impl Phase {
    fn crowd(&mut self) {
        if let Phase::Serving(times) = self {
            *times += 1;
        }
    }
}

/// The ports that are served.
pub struct Doors {
    pub plain: TcpListener,
    pub tls: Option<TlsDoor>,
}

impl From<TcpListener> for Doors {
    fn from(plain: TcpListener) -> Doors {
        Doors { plain, tls: None }
    }
}

/// What all connections have in common.
#[derive(Clone)]
struct House {
    state: Arc<IngestState>,
    fallback: Router,
    permits: Arc<Semaphore>,
    peers: Peers,
}

/// Serves until `shutdown` comes, and then for at most five seconds more.
///
/// # Errors
/// None while serving: what one connection or one accept fails at is counted and left behind. The type leaves room for
/// a listener that cannot be used at all.
pub async fn serve(
    doors: impl Into<Doors>,
    state: Arc<IngestState>,
    fallback: Router,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let Doors { plain, tls } = doors.into();
    plain.local_addr()?;
    let permits = Arc::new(Semaphore::new(connections_max(state.limits.connections)));
    let peers = Peers::new(state.limits.connections_per_address);
    let house = House { state, fallback, permits, peers };
    let (phase, _) = watch::channel(Phase::Serving(0));
    let tls = async {
        match tls {
            Some(TlsDoor { listener, acceptor }) => welcome(&house, &listener, Some(&acceptor), &phase).await,
            None => std::future::pending().await,
        }
    };
    // Both doors are shut when one of these is over.
    tokio::select! {
        () = shutdown => {}
        () = async { welcome(&house, &plain, None, &phase).await } => {}
        () = tls => {}
    }
    drop(plain);
    phase.send_replace(Phase::Draining);
    if tokio::time::timeout(DRAIN, phase.closed()).await.is_err() {
        phase.send_replace(Phase::Over);
        phase.closed().await;
    }
    Ok(())
}

/// Takes what comes in by one door, for ever.
async fn welcome(house: &House, listener: &TcpListener, tls: Option<&TlsAcceptor>, phase: &watch::Sender<Phase>) {
    let crowding = house.state.metrics.connections_refused_total.with_label_values(&["address"]);
    loop {
        match accept(listener, &house.peers, &house.permits, phase).await {
            Ok(Some((stream, place))) => {
                tokio::spawn(connection(stream, tls.cloned(), place, house.clone(), phase.subscribe()));
            }
            Ok(None) => crowding.inc(),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(PAUSE).await;
            }
        }
    }
}

/// A connection's share of both limits.
type Permit = (Place, OwnedSemaphorePermit);

/// Takes one connection, and then waits until there is room for it; what comes behind waits in the system's queue and
/// costs us nothing. One too many from its address is closed: `None`.
async fn accept(
    listener: &TcpListener,
    peers: &Peers,
    permits: &Arc<Semaphore>,
    phase: &watch::Sender<Phase>,
) -> std::io::Result<Option<(TcpStream, Permit)>> {
    let (stream, peer) = listener.accept().await?;
    let Some(place) = peers.admit(peer.ip()) else { return Ok(None) };
    if let Ok(permit) = permits.clone().try_acquire_owned() {
        return Ok(Some((stream, (place, permit))));
    }
    loop {
        phase.send_modify(Phase::crowd);
        if let Ok(permit) = tokio::time::timeout(GRACE, permits.clone().acquire_owned()).await {
            return Ok(Some((stream, (place, permit.map_err(std::io::Error::other)?))));
        }
    }
}

async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    permit: Permit,
    house: House,
    mut phase: watch::Receiver<Phase>,
) {
    let metrics = &house.state.metrics;
    metrics.connections.inc();
    // An answer is one small write; waiting to fill a packet would cost each sender 40 ms.
    if stream.set_nodelay(true).is_ok() {
        match tls {
            None => talk(stream, ClientNames::default(), &house, phase).await,
            Some(acceptor) => match shake_hands(&acceptor, stream, &house.state, &mut phase).await {
                Some(stream) => {
                    let names = tls::client_names(&stream);
                    talk(stream, names, &house, phase).await;
                }
                None => metrics.connections_refused_total.with_label_values(&["tls"]).inc(),
            },
        }
    }
    metrics.connections.dec();
    drop(permit);
}

/// Agrees on a key with a client, as long as a client may take to speak at all, and not beyond our end.
async fn shake_hands(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    state: &IngestState,
    phase: &mut watch::Receiver<Phase>,
) -> Option<TlsStream<TcpStream>> {
    tokio::select! {
        shaken = tokio::time::timeout(duration(state.limits.first_header_timeout), acceptor.accept(stream)) => shaken.ok()?.ok(),
        _ = phase.wait_for(|phase| !matches!(phase, Phase::Serving(_))) => None,
    }
}

/// Serves one connection to its end.
async fn talk<S>(stream: S, names: ClientNames, house: &House, mut phase: watch::Receiver<Phase>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let state = &house.state;
    let progress = Arc::new(Progress::new());
    let io = TokioIo::new(Patient::new(stream, duration(state.limits.body_timeout), progress.clone()));
    let service = service_fn(|mut request: Request<Incoming>| {
        if !names.0.is_empty() {
            request.extensions_mut().insert(names.clone());
        }
        respond(state, &house.fallback, request, progress.clone())
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(duration(state.limits.header_timeout))
        .max_buf_size(BUFFER_BYTES)
        .max_header_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    let mut silence = pin!(sleep(duration(state.limits.first_header_timeout)));
    let mut listening = true;
    loop {
        tokio::select! {
            // What went wrong is the peer's doing (it left, spoke no HTTP, was too slow), and hyper answers it.
            _ = connection.as_mut() => break,
            // Who keeps a connection open may be slow to ask again, but not to ask at all.
            () = silence.as_mut(), if listening => {
                if progress.step() == Step::First {
                    state.metrics.connections_refused_total.with_label_values(&["silent"]).inc();
                    break;
                }
                listening = false;
            }
            changed = phase.changed() => match *phase.borrow_and_update() {
                Phase::Over => break,
                _ if changed.is_err() => break,
                Phase::Draining => connection.as_mut().graceful_shutdown(),
                Phase::Serving(_) => match progress.owed_by_peer(GRACE) {
                    None => {}
                    Some(Owed::Nothing) => connection.as_mut().graceful_shutdown(),
                    Some(Owed::Part) => {
                        state.metrics.connections_refused_total.with_label_values(&["crowded"]).inc();
                        break;
                    }
                },
            },
        }
    }
}

async fn respond(
    state: &IngestState,
    fallback: &Router,
    request: Request<Incoming>,
    progress: Arc<Progress>,
) -> Result<Reply, Infallible> {
    let mut request = request.map(|body| Noted::new(body, progress.clone()));
    let uri = request.uri().clone();
    let reply = if let Some(endpoint) = Endpoint::of(request.method(), uri.path()) {
        Ok(state.answer(endpoint, &mut request).await)
    } else {
        let bounded = |body: Noted<Incoming>| {
            if body.is_end_stream() {
                return Body::empty();
            }
            Body::new(Bounded::new(body, duration(state.limits.body_timeout), state.limits.body_bytes))
        };
        fallback.clone().call(request.map(bounded)).await
    };
    progress.enter(Step::Next);
    reply
}
