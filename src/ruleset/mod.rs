//! Rule files in, checked and indexed rules out.
//!
//! Owns the language of DESIGN's section 4: reading YAML strictly, naming every fault with its place, and the compiled
//! form that the engine runs ([`rules`]). Never decides anything about an alert, never reads a clock; only [`files`]
//! touches a disk.
//!
//! What a rule file may say is documented beside the code that reads it: [`schema`]. How a file is read and its faults are
//! told ([`yaml`], [`fields`], [`report`]) serves rule tests, too, so that both languages are one to their writers.

pub mod alert_index;
mod builtin;
pub mod diagnostics;
pub mod expression;
pub(crate) mod fields;
pub mod files;
pub mod index;
pub mod inhibition;
mod json_schema;
mod lint;
pub mod load;
pub mod matchers;
pub mod pages;
pub(crate) mod report;
pub mod rules;
pub mod schedule;
mod schema;
mod scopes;
pub mod services;
pub(crate) mod suggest;
pub mod table;
pub mod template;
#[cfg(test)]
mod tests;
pub(crate) mod yaml;

pub use alert_index::{AlertIndex, Found, Listed};
pub use builtin::{SAME_SERVICE, report_rule};
pub use diagnostics::{Code, Diagnostic};
pub use expression::{AlertSubject, Expression, IncidentSubject, Sees, Subject};
pub use files::{is_test, read_files, read_tests};
pub use index::MatcherIndex;
pub use inhibition::Inhibition;
pub use json_schema::json_schema;
pub use lint::lint_recorded;
pub use load::{Limits, Loaded, SourceFile, load};
pub use matchers::{MatcherFault, captures, parse_matchers};
pub use rules::{
    ClassifyRule, CorrelateRule, EnrichRule, EscalateRule, EscalateStep, Flapping, HeartbeatRule, Otherwise, PrioritizeRule,
    Ruleset, Sequence, SequenceStep, StormRule, SuppressHow, SuppressRule, Threshold, Tie, TieHow, Topology,
};
pub use schedule::Schedule;
pub use services::{Catalogue, Service};
pub use table::Table;
pub use template::{Scope, Template, pairs_value};
