//! Quell's own webhook: the API's JSON, signed as Standard Webhooks 1.0.0 when a secret is set.
//!
//! `webhook-id` is equal on every attempt; a receiver that remembers it hears everything once.

use std::future::Future;
use std::pin::Pin;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Url;
use serde_json::{Value, json};
use sha2::Sha256;

use super::client::{Client, Context, Secrets, parse_url};
use super::{Delivery, Message, Receiver};
use crate::config::Secret;
use crate::model::NotificationKind;
use crate::wire::{alert_json, incident_json};

/// Bytes of a body; alerts are left out from the end of the list until it fits.
const BODY_BYTES_MAX: usize = 512_000;
/// Bytes of a signing key, as Standard Webhooks has it.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Somebody's own HTTP endpoint.
pub(crate) struct Webhook {
    client: Client,
    url: Url,
    key: Option<Key>,
}

impl Webhook {
    /// # Errors
    /// What is wrong with the settings, in words.
    pub(crate) fn new(context: &Context, url: &str, secret: Option<&Secret>) -> Result<Webhook, String> {
        let url = parse_url(url)?;
        let client = Client::new(context, context.timeouts.other, Secrets::of_url(&url, secret.cloned()))?;
        Ok(Webhook { client, url, key: secret.map(Key::parse).transpose()? })
    }

    async fn send(&self, message: &Message) -> Result<Delivery, Delivery> {
        let (id, seconds, body) = (webhook_id(&message.id), message.now.0.div_euclid(1_000), body(message));
        let mut request = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json; charset=utf-8")
            .header("webhook-id", &id)
            .header("webhook-timestamp", seconds);
        if let Some(key) = &self.key {
            request = request.header("webhook-signature", key.sign(&id, seconds, &body));
        }
        self.client.judge(&self.client.call(request.body(body), message.now).await?)?;
        Ok(Delivery::Taken { remote: None })
    }
}

impl Receiver for Webhook {
    fn kind(&self) -> &'static str {
        "webhook"
    }

    fn is_pager(&self) -> bool {
        false
    }

    fn deliver<'a>(&'a self, message: &'a Message) -> Pin<Box<dyn Future<Output = Delivery> + Send + 'a>> {
        Box::pin(async { self.send(message).await.unwrap_or_else(|failed| failed) })
    }
}

/// A signing key. Has no `Debug`, so that it cannot be printed.
struct Key(Vec<u8>);

impl Key {
    /// Reads `whsec_` and base64 of 24 to 64 bytes; the prefix may be missing.
    fn parse(secret: &Secret) -> Result<Key, String> {
        let text = secret.expose().trim();
        let bytes =
            BASE64.decode(text.strip_prefix("whsec_").unwrap_or(text)).map_err(|_| "the secret is not base64".to_owned())?;
        if !KEY_BYTES.contains(&bytes.len()) {
            return Err(format!("the secret has {} bytes, it must have 24 to 64", bytes.len()));
        }
        Ok(Key(bytes))
    }

    /// The value of `webhook-signature` over `<id>.<seconds>.<body>`.
    fn sign(&self, id: &str, seconds: i64, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(format!("{id}.{seconds}.").as_bytes());
        mac.update(body.as_bytes());
        format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
    }
}

/// An id in the characters that Standard Webhooks allows.
fn webhook_id(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

/// What happened, by its name to the outside. Only the first telling of an incident opens it.
fn event_type(message: &Message) -> &'static str {
    match message.kind {
        NotificationKind::Trigger if !message.again => "incident.opened",
        NotificationKind::Trigger | NotificationKind::Update => "incident.updated",
        NotificationKind::Acknowledge => "incident.acknowledged",
        NotificationKind::Resolve => "incident.resolved",
    }
}

fn body(message: &Message) -> String {
    let mut alerts: Vec<Value> = message.alerts.iter().map(|record| alert_json(record, None)).collect();
    loop {
        let body = json!({
            "type": event_type(message),
            "timestamp": message.created_at.to_rfc3339(),
            "data": { "incident": incident_json(&message.incident), "alerts": alerts },
        });
        let text = body.to_string();
        if text.len() <= BODY_BYTES_MAX || alerts.pop().is_none() {
            return text;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_as_standard_webhooks_says() {
        let cases = [
            (
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                r#"{"test": 2432232314}"#,
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
            (
                "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
                "msg_0001",
                1_767_323_045,
                r#"{"type":"incident.opened","timestamp":"2026-01-02T03:04:05Z","data":{"id":"INC-1"}}"#,
                "v1,Q3UnGiLYsoLGo7aufF9hqsK6QtLIS453ijUYf2ViGqQ=",
            ),
        ];
        for (secret, id, seconds, body, expected) in cases {
            for secret in [secret, secret.strip_prefix("whsec_").unwrap()] {
                assert_eq!(Key::parse(&Secret::new(secret)).ok().unwrap().sign(id, seconds, body), expected);
            }
        }
    }

    #[test]
    fn secrets_that_cannot_sign_are_refused_and_not_repeated() {
        let short = format!("whsec_{}", BASE64.encode([7; 23]));
        let long = format!("whsec_{}", BASE64.encode([7; 65]));
        for bad in [short.as_str(), &long, "whsec_not base64", ""] {
            let error = Key::parse(&Secret::new(bad)).err().unwrap();
            assert!(bad.is_empty() || !error.contains(bad), "{error}");
        }
    }

    #[test]
    fn ids_keep_to_their_characters() {
        assert_eq!(webhook_id("d0c5-7"), "d0c5-7");
        assert_eq!(webhook_id("a.b/c d-1"), "a_b_c_d-1");
    }
}
