//! A body that must have come whole by a deadline, and stay below a size: for what goes on to the API's router, whose
//! handlers then need not think of senders that never finish.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// A body with bounds.
pub(super) struct Bounded<B> {
    body: B,
    deadline: Pin<Box<Sleep>>,
    bytes_left: usize,
}

impl<B> Bounded<B> {
    pub(super) fn new(body: B, time: Duration, bytes: usize) -> Bounded<B> {
        Bounded { body, deadline: Box::pin(sleep(time)), bytes_left: bytes }
    }
}

impl<B: Body<Data = Bytes, Error: std::error::Error + Send + Sync + 'static> + Unpin> Body for Bounded<B> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(io::Error::other(error)))),
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                let Some(left) = self.bytes_left.checked_sub(bytes) else {
                    return Poll::Ready(Some(Err(io::ErrorKind::FileTooLarge.into())));
                };
                self.bytes_left = left;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Pending => self.deadline.as_mut().poll(context).map(|()| Some(Err(io::ErrorKind::TimedOut.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
