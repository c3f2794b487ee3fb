//! Tests with the real binary, real processes and faithful fakes. One binary, because each more is a link to wait for.
//!
//! - [`tidy`]: the order of the house: who may use whom, what no file may contain.
//! - [`documents`]: what the README and the shipped rules say works as they say.
//! - [`systemd`]: the unit and its companions, judged by systemd's own tools.
//! - [`prometheus`]: the whole way from a real Prometheus to a pager, with a kill -9 in between.
//! - [`causes`]: probable causes and reported changes, from a POST to what people read.
//! - [`crash`]: kill -9 and SIGTERM under load, a second daemon on the same folder.
//! - [`crowds`]: one loud source, thousands of bad connections.
//! - [`damage`]: damage in the middle of the log, refused and passed over.
//! - [`drop_in`]: the addresses of PagerDuty's and Opsgenie's APIs, and Alertmanager's clients for them.
//! - [`overload`]: far more than the engine takes.
//! - [`signatures`]: signed messages, each taken once.
//! - [`service`]: what systemd and people at a terminal see: readiness, watchdog, signals, ports, folders.
//! - [`reload`]: broken rules at start and at reload.
//! - [`replay`]: the same inputs and the same log give the same state on any thread, build and processor.
//! - [`bad_input`]: broken framing, broken JSON, bombs.
//! - [`damaged`]: requests damaged at random.
//! - [`rejects`]: messages that cannot be mapped, test messages, sources that fall silent.
//! - [`packs`]: the shipped rule packs, and the alert names that they must know.
//! - [`people`]: reports and heartbeats, with kills between.
//! - [`real_roots`]: probable causes on real sets, where these are there.
//! - [`secrets`]: canaries, and a search through every output.
//! - [`deliver`]: each kind of receiver against a faithful fake that misbehaves.
//! - [`client_certificates`]: the port that speaks TLS.
//! - [`commands`]: the commands, amtool and promtool against a running daemon.
//! - [`explain`]: why, asked of a daemon, of its data directory, of its past.
//! - [`demo`]: the first command of the README.
//! - [`daemon`], [`http`], [`fakes`]: what the tests stand on: the daemon as a child process, a small client, the receivers.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]
#![allow(clippy::print_stderr, reason = "what the processes said, where a test has failed")]

mod backtest;
mod bad_input;
mod causes;
mod client_certificates;
mod commands;
mod crash;
mod crowds;
mod daemon;
mod damage;
mod damaged;
mod deliver;
mod demo;
mod documents;
mod drop_in;
mod explain;
mod fakes;
mod http;
mod overload;
mod packs;
mod people;
mod prometheus;
#[path = "../sim/random.rs"]
mod random;
mod real_roots;
mod rejects;
mod reload;
mod replay;
mod secrets;
mod service;
mod signatures;
mod systemd;
mod tidy;
