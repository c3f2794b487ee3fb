//! Tests with the real binary, real processes and faithful fakes. One binary, because each more is a link to wait for.
//!
//! - [`tidy`]: the order of the house: who may use whom, what no file may contain.
//! - [`systemd`]: the unit and its companions, judged by systemd's own tools.
//! - [`daemon`], [`http`]: the daemon as a child process, and a small client. No tests of their own.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod daemon;
mod http;
mod systemd;
mod tidy;
