//! What a rule file may say: one file for each stage, each with the keys of its rules, their defaults and limits.
//!
//! A rule file is a mapping with a list of rules for each stage it has something to say about:
//!
//! | section | its rules | which of them apply |
//! | --- | --- | --- |
//! | `services` | [entries of the catalogue](services) | each by its name |
//! | `enrich` | [change labels](enrich) | every one that matches, in order |
//! | `suppress` | [suppress alerts](suppress) | every one that matches; each reason is kept |
//! | `correlate` | [group alerts into incidents](correlate) | the first that matches; with `continue: true` later ones too |
//! | `classify` | [name category and team](classify) | for each field, the first that matches and names it |
//! | `prioritize` | [set impact and urgency](prioritize) | the first that matches |
//! | `escalate` | [say who is told, and when](escalate) | the first that matches; with `continue: true` later ones too |
//! | `heartbeats` | [what is to be heard of again and again](heartbeats) | each by its name |
//!
//! Every rule has a `name`, unique in its stage over all files, and may have `match`, a list of texts with
//! [matchers](super::matchers) that must all hold. For the stages that look at alerts, the alert must satisfy them; for
//! those that look at incidents, some firing alert of the incident must satisfy all of them. It may have `when`, an
//! [expression](super::expression) that must be true besides. A rule with neither fits everything.
//!
//! Lengths of time are Prometheus': `90s`, `10m`, `1h30m`, `2d`. Unknown keys, keys without a value and keys that are
//! there twice are errors.

pub(super) mod classify;
pub(super) mod correlate;
pub(super) mod enrich;
pub(super) mod escalate;
pub(super) mod heartbeats;
pub(super) mod prioritize;
pub(super) mod services;
pub(super) mod suppress;
pub(super) mod ties;
