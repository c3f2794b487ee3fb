//! The shell around the engine: its thread, the commit of what it decides, the outbox, clock, reload and health.
//!
//! Others speak to all of this through [`Handle`] alone.

pub mod handle;
pub mod live;

pub use handle::{Committed, Handle, SubmitError};
pub use live::Live;
