//! Quell: alerts in, few well-explained incidents out, nothing lost.
//!
//! Monitoring tools post alerts; most are repeats. Quell drops those, correlates the rest into incidents by rules that people
//! write, classifies and prioritizes them, and escalates to pagers, mail and ticket systems until somebody acts. It acknowledges
//! nothing that is not on disk, and can say of everything why.
//!
//! ```text
//!  POST ─▶ ingest ─▶ dedup ─▶ enrich ─▶ suppress ─▶ correlate ─▶ classify ─▶ prioritize ─▶ escalate ─▶ deliver ─▶ pager, ticket
//!          parse,    repeat?   labels    silence,    into which   category,   impact ×      who, when,   outbox,
//!          auth      refresh             inhibit,    incident?    team        urgency       how often    retry
//!                    and stop            hold                                 → P1..P5
//!         └─ shell, in parallel ─┘└──────────────── engine, one thread, pure ─────────────────────────┘└─ shell ─┘
//! ```
//!
//! # Where to start reading
//!
//! From the inside out; each room uses only those above it in this list (`tests/it/tidy.rs` has the exact table and holds it).
//!
//! 1. [`model`]: the words as types. Alert, incident, notification, reason.
//! 2. [`ruleset`]: rule files in, checked and indexed rules out. Its compiled form, [`ruleset::rules`], is enough for a first reading.
//! 3. [`engine`]: [`engine::fact`] is everything that can happen, [`engine::input`] everything that can be told. Then one file per stage.
//! 4. [`storage`]: the log, which is the truth, and SQLite behind it, which is a view.
//! 5. [`deliver`]: one file per kind of receiver, behind one trait.
//! 6. [`runtime`]: the thread that runs the engine, commits what it decides and publishes what changed. [`runtime::Handle`] is the only way in.
//! 7. [`ingest`] and [`api`]: HTTP, from senders and for people.
//! 8. `app` puts all of it together, starts it and stops it; [`cli`] has one file per command.
//! 9. [`verify`]: the live engine on events that never happened, for trying rules out. Needs none of the shell.
//!
//! [`config`] and [`metrics`] are used throughout the shell; `wire` has the JSON shapes that the API and webhooks share,
//! [`signature`] the schemes by which senders sign.
//!
//! # Invariants
//!
//! - **A 2xx means synced.** No answer and no notification leaves before the facts behind it are on disk.
//! - **State changes only by applying a fact.** Recovery applies facts and never decides again, so neither an upgrade nor a changed rule
//!   rewrites the past.
//! - **The engine is a function** of state, time and input. It has no IO, no clock, no randomness, no order that depends on hashing; the same
//!   log gives the same state on any machine.
//! - **Time in the log never runs backwards**, whatever the machine's clock does. Timers are part of the state.
//! - **A repeat reaches no rule, no log and no disk.** Nine of ten alerts are repeats. (A message that is signed leaves one
//!   record, so that it is not taken twice.)
//! - **Every decision carries its reason** as a value: the rule with file and line, the silence, the alert, the person.
//! - **One key per incident and receiver, for ever.** Whatever is sent twice is sent under the same key.
//! - **The view may be deleted.** Nothing is known only there that the log has not said.
//! - **Bad rules, payloads, receivers and disks stop nothing else.** A ruleset takes effect as a whole or not at all.
//! - **Everything has a limit**, and reaching it has a stated outcome and a metric.

pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod deliver;
pub mod engine;
pub mod ingest;
pub mod metrics;
pub mod model;
pub mod ruleset;
pub mod runtime;
pub mod signature;
pub mod storage;
pub mod telemetry;
pub mod verify;
pub mod wire;
