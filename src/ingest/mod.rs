//! HTTP in: what senders post becomes news for the engine, or ends here as a repeat.
//!
//! ```text
//! accept ─▶ server: connection, headers ─▶ route ─▶ auth ─▶ body ─▶ prometheus │ alertmanager │ generic ─▶ intake ─▶ answer
//!           permits, timeouts                      token    bytes    one file per format: text to `Said`    │
//!                                                                                 repeats end in `Live` ◀──┤
//!                                                                                 news: one `Handle::submit` ▼
//! ```
//!
//! A format's file turns a body into [`Said`](intake::Said) values and knows nothing of tables; [`intake`] asks the
//! tables and knows nothing of formats; `route` knows HTTP. What Prometheus and Alertmanager post is read by [`wire`]: in
//! one pass by `plain` where it has the usual form, else by `general`. What monitoring tools post in forms of their own is
//! read in [`format`], and taken in by `tools`; `drop_in` has the addresses of PagerDuty and Opsgenie; [`trial`] only
//! shows. What a sender can get wrong about one alert costs it that alert only. Everything that is not about taking alerts
//! in goes to the API's router.
//!
//! [`sources`] has those in force, which a reload replaces.
//!
//! What cannot be mapped is kept by [`rejects`] before it is answered, and tried again by [`replay`]. [`watch`] and [`drift`]
//! count whether sources still speak, and still say what they used to say; [`own`] makes alerts of that.

mod answer;
mod auth;
mod body;
mod check;
mod deadline;
mod drift;
mod drop_in;
mod ends;
mod engine;
mod general;
pub mod intake;
mod marks;
mod own;
mod patient;
mod peers;
mod plain;
mod proof;
mod rejects;
mod replay;
mod route;
mod server;
mod sns;
pub mod source;
mod sources;
mod taken;
#[cfg(test)]
mod tests;
mod tls;
mod tools;
pub mod watch;
pub mod wire;

pub mod alertmanager;
pub mod format;
pub mod generic;
mod progress;
pub mod prometheus;
pub mod recorded;
pub mod trial;

pub use route::IngestState;
pub use server::{Doors, serve};
pub use sns::{Calling, Outgoing};
pub use sources::Prepared;
pub use tls::TlsDoor;
