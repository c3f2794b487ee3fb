//! Rule files in, checked and indexed rules out.
//!
//! Owns the language of DESIGN's section 4: reading YAML strictly, naming every fault with its place, and the compiled
//! form that the engine runs ([`rules`]). Never decides anything about an alert, never reads a clock; only [`load`]
//! reads files, through texts that its caller hands in.

pub mod index;
pub mod matchers;
pub mod rules;
pub mod schedule;
pub mod template;
mod yaml;

pub use index::MatcherIndex;
pub use rules::{
    ClassifyRule, CorrelateRule, EnrichRule, EscalateRule, EscalateStep, Otherwise, PrioritizeRule, Ruleset, SuppressHow,
    SuppressRule, Threshold,
};
pub use schedule::Schedule;
pub use template::{Scope, Template};
