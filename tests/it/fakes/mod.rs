//! Stand-ins for the receivers, faithful to their vendors' documents: in-process servers on a port of the system's choice that
//! keep real state, refuse what the vendor refuses, record every request and can be told to fail.
//!
//! Each runs on threads of its own until it is dropped, so that plain and async tests can use it. Nothing here sleeps:
//! a slow answer is held until the test lets it go.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and so does what it stands on")]

pub(crate) mod http;
pub(crate) mod listener;
pub(crate) mod pagerduty;
pub(crate) mod servicenow;
pub(crate) mod smtp;
pub(crate) mod webhook;

pub(crate) use http::{Answer, Fault};
pub(crate) use pagerduty::PagerDuty;
pub(crate) use servicenow::ServiceNow;
pub(crate) use smtp::Smtp;
pub(crate) use webhook::Webhook;
