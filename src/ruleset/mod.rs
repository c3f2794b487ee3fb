//! Rule files in, checked and indexed rules out.
//!
//! Owns the language of DESIGN's section 4: reading YAML strictly, naming every fault with its place, and the compiled
//! form that the engine runs ([`rules`]). Never decides anything about an alert, never reads a clock; only [`files`]
//! touches a disk.
//!
//! What a rule file may say is documented beside the code that reads it: [`schema`].

mod builtin;
pub mod diagnostics;
mod fields;
pub mod files;
pub mod index;
mod lint;
pub mod load;
pub mod matchers;
mod report;
pub mod rules;
pub mod schedule;
mod schema;
pub mod services;
mod suggest;
pub mod table;
pub mod template;
#[cfg(test)]
mod tests;
mod yaml;

pub use diagnostics::{Code, Diagnostic};
pub use files::read_files;
pub use index::MatcherIndex;
pub use load::{Limits, Loaded, SourceFile, load};
pub use matchers::{MatcherFault, captures, parse_matchers};
pub use rules::{
    ClassifyRule, CorrelateRule, EnrichRule, EscalateRule, EscalateStep, Flapping, Otherwise, PrioritizeRule, Ruleset, Sequence,
    SuppressHow, SuppressRule, Threshold, Topology,
};
pub use schedule::Schedule;
pub use services::{Catalogue, Service};
pub use table::Table;
pub use template::{Scope, Template, pairs_value};
