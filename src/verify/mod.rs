//! Trying rules out: the live engine on events that never happened.
//!
//! Owns virtual time ([`player`]) and rule tests ([`rule_test`], `quell test`), also those that a recorded incident makes
//! ([`capture`]), other rules over what has happened ([`backtest`]), the alerts that rules are held against ([`recorded`]); and
//! explanations ([`explain`]), which play nothing. It never decides anything itself: what
//! a rule does here is what it does in the daemon, because the engine is the same. It reads no clock, and changes no file.

pub mod backtest;
pub mod capture;
pub mod explain;
pub mod player;
pub mod recorded;
pub mod rule_test;
