//! The pure core: state, input and time in, facts out.
//!
//! No IO, no clock, no randomness, no hash-map order; time is an argument. Each stage reads the state and decides;
//! [`Engine::record`] is the only way to change anything. The shell (`runtime`) stamps time, writes the facts to the
//! log and carries out what they owe.

pub mod entity;
pub mod fact;
pub mod input;

pub use entity::Entity;
pub use fact::Fact;
pub use input::{Act, Answer, DeliveryOutcome, Input, News, Refusal};
