//! A request's body: read in bounded time into bounded memory, unpacked if it is gzip, checked to be text.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};
use hyper::header::CONTENT_ENCODING;
use hyper::{HeaderMap, StatusCode};

/// How many bodies of the largest size may be in memory at once, over all connections.
const BODIES_MAX: usize = 16;

/// Bytes out for each byte in that a packed body may become; alerts alike pack to a fiftieth, a bomb to a thousandth.
const RATIO_MAX: usize = 200;

/// Packed bodies below this size unpacked are never called a bomb.
const RATIO_FREE_BYTES: usize = 1 << 20;

/// Why a body was not taken, with what to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    TooLarge,
    TooSlow,
    Encoding,
    NotGzip,
    NotText,
    /// The sender went away, or framed its chunks wrongly.
    Broken,
    /// All memory for bodies is in use.
    Crowded,
}

impl Refused {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Refused::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Refused::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Refused::Encoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refused::NotGzip | Refused::NotText | Refused::Broken => StatusCode::BAD_REQUEST,
            Refused::Crowded => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    /// The metric's reason, and the code of the answer.
    pub(super) fn code(self) -> &'static str {
        match self {
            Refused::TooLarge => "body_too_large",
            Refused::TooSlow => "body_too_slow",
            Refused::Encoding => "body_encoding",
            Refused::NotGzip => "body_not_gzip",
            Refused::NotText => "body_not_utf8",
            Refused::Broken => "body_broken",
            Refused::Crowded => "bodies_memory",
        }
    }

    pub(super) fn message(self) -> &'static str {
        match self {
            Refused::TooLarge => "the body is too large",
            Refused::TooSlow => "the body took too long",
            Refused::Encoding => "the body's encoding is not gzip or identity",
            Refused::NotGzip => "the body is no gzip",
            Refused::NotText => "the body is not UTF-8",
            Refused::Broken => "the body broke off",
            Refused::Crowded => "too many large bodies at once",
        }
    }
}

/// Memory for bodies, shared by all connections.
#[derive(Debug)]
pub(super) struct Bodies {
    used: Arc<AtomicUsize>,
    body_bytes: usize,
    deadline: Duration,
}

/// A body in memory. Its bytes count until it is dropped.
#[derive(Debug)]
pub(super) struct Text {
    bytes: Vec<u8>,
    _share: Share,
}

impl Text {
    /// The body as it came, but for its packing.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The body as text.
    pub(super) fn as_str(&self) -> Result<&str, Refused> {
        std::str::from_utf8(&self.bytes).map_err(|_| Refused::NotText)
    }
}

impl Bodies {
    pub(super) fn new(body_bytes: usize, deadline: Duration) -> Bodies {
        Bodies { used: Arc::default(), body_bytes, deadline }
    }

    /// Reads a body to its end.
    pub(super) async fn read<B>(&self, headers: &HeaderMap, body: B) -> Result<Text, Refused>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let packed = match headers.get(CONTENT_ENCODING).map(|value| value.as_bytes().trim_ascii()) {
            None | Some(b"identity" | b"") => false,
            Some(encoding) if encoding.eq_ignore_ascii_case(b"gzip") => true,
            Some(_) => return Err(Refused::Encoding),
        };
        if headers.get_all(CONTENT_ENCODING).iter().count() > 1 {
            return Err(Refused::Encoding);
        }
        let text = tokio::time::timeout(self.deadline, self.collect(body)).await.map_err(|_| Refused::TooSlow)??;
        if packed { self.unpack(&text) } else { Ok(text) }
    }

    async fn collect<B>(&self, mut body: B) -> Result<Text, Refused>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let announced = body.size_hint().exact();
        if announced.is_some_and(|bytes| bytes > self.body_bytes as u64) {
            return Err(Refused::TooLarge);
        }
        let mut share = self.share();
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Refused::Broken)?.into_data() else { continue };
            if bytes.len() + data.len() > self.body_bytes {
                return Err(Refused::TooLarge);
            }
            if bytes.is_empty() {
                // What was announced is believed once something of it has come, and only up to 64 KiB.
                let all = announced.and_then(|all| usize::try_from(all).ok()).unwrap_or(0);
                bytes.reserve_exact(all.min(1 << 16).max(data.len()));
            }
            share.grow(data.len())?;
            bytes.extend_from_slice(&data);
        }
        Ok(Text { bytes, _share: share })
    }

    fn unpack(&self, packed: &Text) -> Result<Text, Refused> {
        let mut share = self.share();
        let mut decoder = MultiGzDecoder::new(&*packed.bytes);
        let (mut bytes, mut chunk) = (Vec::new(), [0; 1 << 14]);
        loop {
            let read = decoder.read(&mut chunk).map_err(|_| Refused::NotGzip)?;
            if read == 0 {
                return Ok(Text { bytes, _share: share });
            }
            let length = bytes.len() + read;
            let bomb = length > RATIO_FREE_BYTES && length / packed.bytes.len().max(1) > RATIO_MAX;
            if length > self.body_bytes || bomb {
                return Err(Refused::TooLarge);
            }
            share.grow(read)?;
            bytes.extend_from_slice(&chunk[..read]);
        }
    }

    fn share(&self) -> Share {
        Share { used: self.used.clone(), bytes: 0, max: self.body_bytes.saturating_mul(BODIES_MAX) }
    }
}

/// What one body has of the memory for bodies; given back when dropped.
#[derive(Debug)]
struct Share {
    used: Arc<AtomicUsize>,
    bytes: usize,
    max: usize,
}

impl Share {
    fn grow(&mut self, bytes: usize) -> Result<(), Refused> {
        self.bytes += bytes;
        if self.used.fetch_add(bytes, Ordering::Relaxed) + bytes > self.max {
            return Err(Refused::Crowded);
        }
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
