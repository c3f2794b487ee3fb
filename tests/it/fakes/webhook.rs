//! A program that takes Standard Webhooks: checks the signature by its own reckoning, drops ids that it has seen.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::http::{Answer, Fault, Request, Server};

/// The program.
pub(crate) struct Webhook {
    server: Server,
    events: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Webhook {
    /// Starts one that wants `whsec_…` signatures if a secret is given.
    pub(crate) fn start(secret: Option<&str>) -> Webhook {
        let key = secret.map(|secret| BASE64.decode(secret.strip_prefix("whsec_").unwrap()).unwrap());
        let events: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
        let shared = events.clone();
        let server = Server::start(move |request| take(&mut shared.lock().unwrap(), key.as_deref(), request));
        Webhook { server, events }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/hook", self.server.url())
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }

    pub(crate) fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        self.server.script(faults);
    }

    /// What was taken: each id once, in order.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.events.lock().unwrap().iter().map(|(_, event)| event.clone()).collect()
    }
}

fn take(events: &mut Vec<(String, Value)>, key: Option<&[u8]>, request: &Request) -> Answer {
    let (id, time) = (request.header("webhook-id"), request.header("webhook-timestamp"));
    if let Some(key) = key {
        let well_formed = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        let signed = [id.as_bytes(), b".", time.as_bytes(), b".", &request.body].concat();
        let expected = format!("v1,{}", BASE64.encode(hmac_sha256(key, &signed)));
        let matches = request.header("webhook-signature").split(' ').any(|given| given == expected);
        if !well_formed || time.parse::<u64>().is_err() || !matches {
            return Answer::text(401, "");
        }
    }
    if id.is_empty() || !events.iter().any(|(known, _)| known == id) {
        events.push((id.to_owned(), request.json()));
    }
    Answer::text(204, "")
}

/// HMAC by its definition (RFC 2104), so that a mistake in how the library is used cannot hide on both sides.
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0u8; 64];
    assert!(key.len() <= block.len(), "longer keys would be hashed first");
    block[..key.len()].copy_from_slice(key);
    let inner = Sha256::digest([&block.map(|b| b ^ 0x36)[..], message].concat());
    Sha256::digest([&block.map(|b| b ^ 0x5c)[..], &inner[..]].concat()).into()
}
