//! The shell around the engine: its thread, the commit of what it decides, the outbox, clock, reload and health.
//!
//! Owns everything between the pure engine and the world that is not HTTP: when things happen, in which order they become durable
//! and visible, and what is carried out. Never decides what an alert means, never speaks a sender's or a receiver's language.
//! Others speak to all of this through [`Handle`] alone; `app` starts and stops it.
//!
//! ```text
//!  submit ──▶ queue ──▶ engine_thread: step ─▶ append ─▶ sync ─▶ Live ─▶ view_thread, listeners, outbox ─▶ answers
//!                        ▲  timers, expiry                                                         │
//!                        └───────────────────────── outcomes ◀───── receivers ◀────────────────────┘
//! ```
//!
//! | file | |
//! | --- | --- |
//! | `start`, `recovery` | from the data folder to a running engine, and back to rest |
//! | `handle`, `queue` | how others reach the engine, and when they are turned away |
//! | `engine_thread` | one batch after the other: decide, sync, publish, answer |
//! | `live` | everything live, in concurrent tables |
//! | `view_thread`, `catch_up`, `retention` | the view behind the log; what may be let go |
//! | `outbox` | attempts, retries, breakers |
//! | `reload` | new rules while running, and what else is read again on request |
//! | `stepped` | the same without threads, for simulations |
//! | `sources` | what the intake shows of its sources; a seam only |
//! | `clock`, `shutdown`, `health`, `recent`, `gauges`, `observe` | small parts |

mod catch_up;
pub mod clock;
mod engine_thread;
mod gauges;
pub mod handle;
mod health;
pub mod live;
mod observe;
mod outbox;
mod queue;
mod recent;
mod recovery;
mod reload;
mod retention;
pub mod shutdown;
pub mod sources;
mod start;
pub mod stepped;
#[cfg(test)]
mod tests;
mod view_thread;

pub use clock::Clock;
pub use handle::{Committed, Handle, NotTaken, SubmitError};
pub use health::Status;
pub use live::Live;
pub use outbox::Receivers;
pub use queue::is_critical;
pub use recent::{ReadLog, read_log};
pub use reload::{LoadMore, LoadRules, Loaded};
pub use shutdown::Shutdown;
pub use start::{Parts, Runtime, StartError, start};
