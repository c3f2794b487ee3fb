//! The demo's pager and chat: a listener that takes every webhook and counts what it gets.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

/// Bytes of a webhook that are read.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Takes webhooks until it is dropped.
#[derive(Clone, Default)]
pub(super) struct Sink {
    /// By path: the receiver's name.
    taken: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Sink {
    /// Listens on a free port of this machine.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn listen(&self) -> std::io::Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let sink = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sink = sink.clone();
                let service = service_fn(move |request| sink.clone().take(request));
                let mut http = hyper::server::conn::http1::Builder::new();
                http.timer(TokioTimer::new());
                tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(address)
    }

    /// How many messages a receiver got.
    pub(super) fn taken(&self, receiver: &str) -> usize {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).get(receiver).copied().unwrap_or(0)
    }

    async fn take(self, request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
        let receiver = request.uri().path().trim_matches('/').to_owned();
        let whole = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await.is_ok();
        if whole {
            *self.taken.lock().unwrap_or_else(PoisonError::into_inner).entry(receiver).or_insert(0) += 1;
        }
        let mut response = Response::new(Empty::new());
        if !whole {
            *response.status_mut() = hyper::StatusCode::BAD_REQUEST;
        }
        Ok(response)
    }
}
