//! Quell.
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
pub mod storage;
pub mod telemetry;
pub mod wire;
