//! Whom a connection waits for: its peer, or us. When all connections are in use, those that only wait for their peers make room.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::Instant;

/// Where one connection is, shared by all that moves it on.
#[derive(Debug)]
pub(super) struct Progress {
    began: Instant,
    step: AtomicU8,
    /// Milliseconds from `began` to the present step.
    since: AtomicU64,
    /// An answer is ready, and the peer does not take it.
    stalled: AtomicBool,
}

/// What comes next on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Step {
    /// The peer's first request.
    First,
    /// The rest of a request's body.
    Body,
    /// Our answer.
    Answer,
    /// The peer's next request.
    Next,
}

impl Step {
    const ALL: [Step; 4] = [Step::First, Step::Body, Step::Answer, Step::Next];
}

impl Progress {
    pub(super) fn new() -> Progress {
        let began = Instant::now();
        Progress { began, step: AtomicU8::new(Step::First as u8), since: AtomicU64::new(0), stalled: AtomicBool::new(false) }
    }

    pub(super) fn step(&self) -> Step {
        Step::ALL[usize::from(self.step.load(Ordering::Relaxed)) % Step::ALL.len()]
    }

    pub(super) fn enter(&self, step: Step) {
        self.step.store(step as u8, Ordering::Relaxed);
        self.since.store(self.millis(), Ordering::Relaxed);
    }

    /// Says whether the peer keeps us waiting with what it asked for.
    pub(super) fn stall(&self, stalled: bool) {
        if self.stalled.swap(stalled, Ordering::Relaxed) != stalled {
            self.since.store(self.millis(), Ordering::Relaxed);
        }
    }

    /// What the peer owes, where it has owed that for so long.
    pub(super) fn owed_by_peer(&self, at_least: Duration) -> Option<Owed> {
        let stalled = self.stalled.load(Ordering::Relaxed);
        let waited = Duration::from_millis(self.millis().saturating_sub(self.since.load(Ordering::Relaxed)));
        if waited < at_least {
            return None;
        }
        match self.step() {
            _ if stalled => Some(Owed::Part),
            Step::First | Step::Body => Some(Owed::Part),
            Step::Next => Some(Owed::Nothing),
            Step::Answer => None,
        }
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// What a connection that waits for its peer would lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owed {
    /// Nothing: it is idle between two requests.
    Nothing,
    /// Part of a request, or of an answer, that the peer is slow with.
    Part,
}

/// A request's body that notes when it is complete: from then on the peer waits for us.
pub(super) struct Noted<B> {
    body: B,
    progress: Arc<Progress>,
}

impl<B: Body> Noted<B> {
    pub(super) fn new(body: B, progress: Arc<Progress>) -> Noted<B> {
        progress.enter(if body.is_end_stream() { Step::Answer } else { Step::Body });
        Noted { body, progress }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Noted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.progress.enter(Step::Answer);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn only_who_waits_for_the_peer_is_owed_something() {
        let progress = Progress::new();
        for (step, stalled, owed) in [
            (Step::First, false, Some(Owed::Part)),
            (Step::Body, false, Some(Owed::Part)),
            (Step::Answer, false, None),
            (Step::Answer, true, Some(Owed::Part)),
            (Step::Next, true, Some(Owed::Part)),
            (Step::Next, false, Some(Owed::Nothing)),
        ] {
            progress.enter(step);
            progress.stall(stalled);
            assert_eq!(progress.owed_by_peer(SECOND), None, "{step:?} has just begun");
            tokio::time::advance(SECOND).await;
            assert_eq!(progress.owed_by_peer(SECOND), owed, "{step:?} {stalled}");
        }
    }
}
