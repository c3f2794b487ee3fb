//! Whether a message was signed by somebody who has the secret: the schemes of HMAC-SHA256 that senders use, and ed25519.
//!
//! | scheme | signature in | over | signed time |
//! | --- | --- | --- | --- |
//! | `github` | `X-Hub-Signature-256: sha256=<hex>` | body | no |
//! | `grafana` | `X-Grafana-Alerting-Signature: <hex>` | body, or `<time>:<body>` | where a header for it is named |
//! | `pagerduty` | `X-PagerDuty-Signature: v1=<hex>,…` | body | no |
//! | `sentry` | `Sentry-Hook-Signature: <hex>` | body | no |
//! | `standard-webhooks` | `webhook-signature: v1,<base64> …`, `v1a,<base64>` for ed25519 | `<id>.<time>.<body>` | always |
//!
//! Every secret is tried on every signature, and all of it compared in constant time: neither which secret fits nor how much of
//! a signature does is to be seen from outside. What is not signed (`X-GitHub-Delivery`, `Sentry-Hook-Timestamp`) proves nothing and
//! is not looked at. Reads no clock, remembers nothing: whether a message came before is for those to say who keep what is
//! [proved](Proof).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use hyper::HeaderMap;
use ring::signature::{ED25519, UnparsedPublicKey};
use sha2::{Digest, Sha256};

use crate::config::{Scheme, SignatureConfig};
use crate::model::{MessageId, Millis, Time};

/// Signatures that one header may have.
const SIGNATURES_MAX: usize = 8;

/// Characters of an id of Standard Webhooks.
const ID_CHARS_MAX: usize = 256;

/// How long an id of Standard Webhooks is remembered: by then its sender has given up.
const RETRIES: Millis = Millis::hours(24);

/// What a good signature proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The same for the same message, and for no other.
    pub id: MessageId,
    /// When it was sent, where that is signed.
    pub sent_at: Option<Time>,
    /// Until when the same message could be good again, and must be remembered.
    pub until: Time,
    /// What is known of a message that was taken before and comes again.
    pub again: Again,
}

/// What it means that a message comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Its sender may mean another message that happens to be equal, or somebody else has recorded it: nobody can tell.
    Unclear,
    /// Its sender tries again if it was sent later than the one before, since nobody else can sign that; else it was recorded.
    RetryIfLater,
    /// Its sender never means another message by the same id.
    Same,
}

/// Why there is no proof. For us alone: a stranger is told nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The headers are not there, not there once, or not of the scheme's form.
    Unsigned,
    /// No secret makes this signature of this content.
    Wrong,
    /// It is good, and of another time.
    Stale,
}

impl Refused {
    /// The metric's reason.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Refused::Unsigned => "unsigned",
            Refused::Wrong => "signature",
            Refused::Stale => "stale",
        }
    }
}

/// The signature that each message of a source must carry.
pub struct Verifier {
    scheme: Scheme,
    keys: Vec<Vec<u8>>,
    /// Of ed25519.
    public_keys: Vec<Vec<u8>>,
    header: String,
    timestamp_header: Option<String>,
    window: Millis,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({:?}, {} keys)", self.scheme, self.keys.len() + self.public_keys.len())
    }
}

/// A header's signatures and what each must be of.
struct Signed<'m> {
    signatures: Vec<Vec<u8>>,
    /// Those of ed25519, where we have a key for them.
    public: Vec<Vec<u8>>,
    /// The parts of the signed content, in order.
    content: Vec<&'m [u8]>,
    sent_at: Option<Time>,
}

impl Verifier {
    /// # Errors
    /// What is wrong with a secret, in words and without the secret.
    pub fn new(config: &SignatureConfig) -> Result<Verifier, String> {
        let usual = match config.scheme {
            Scheme::Github => "x-hub-signature-256",
            Scheme::Grafana => "x-grafana-alerting-signature",
            Scheme::Pagerduty => "x-pagerduty-signature",
            Scheme::Sentry => "sentry-hook-signature",
            Scheme::StandardWebhooks => "webhook-signature",
        };
        Ok(Verifier {
            scheme: config.scheme,
            keys: config.secrets.iter().map(|secret| config.scheme.key(secret)).collect::<Result<_, _>>()?,
            public_keys: config.public_keys.clone(),
            header: config.header.clone().unwrap_or_else(|| usual.to_owned()),
            timestamp_header: config.timestamp_header.clone(),
            window: config.window,
        })
    }

    /// Whether a message that came at `now` is signed.
    ///
    /// # Errors
    /// Why it is not, or not any more.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8], now: Time) -> Result<Proof, Refused> {
        let signed = self.read(headers, body).ok_or(Refused::Unsigned)?;
        let mut is_good = false;
        for key in &self.keys {
            // Once for each secret, however many signatures a stranger sends.
            let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
            signed.content.iter().for_each(|part| mac.update(part));
            for signature in &signed.signatures {
                is_good |= mac.clone().verify_slice(signature).is_ok();
            }
        }
        if !is_good && !self.is_signed_publicly(&signed) {
            return Err(Refused::Wrong);
        }
        if signed.sent_at.is_some_and(|sent_at| now.since(sent_at).0.abs() > self.window.0) {
            return Err(Refused::Stale);
        }
        Ok(self.prove(headers, &signed, now))
    }

    /// Whether one of the signatures is of the owner of a public key. There is no secret here that the time could tell.
    fn is_signed_publicly(&self, signed: &Signed<'_>) -> bool {
        if signed.public.is_empty() {
            return false;
        }
        let content = signed.content.concat();
        let is_by = |key: &Vec<u8>| {
            let key = UnparsedPublicKey::new(&ED25519, key);
            signed.public.iter().any(|signature| key.verify(&content, signature).is_ok())
        };
        self.public_keys.iter().any(is_by)
    }

    /// What is proved by a message that is signed.
    fn prove(&self, headers: &HeaderMap, signed: &Signed<'_>, now: Time) -> Proof {
        // One millisecond more: what is as old as the window allows is good still.
        let until = signed.sent_at.unwrap_or(now) + self.window + Millis(1);
        if self.scheme == Scheme::StandardWebhooks {
            let id = message_id(&[b"id:", only(headers, "webhook-id").unwrap_or_default()]);
            return Proof { id, sent_at: signed.sent_at, until: until.max(now + RETRIES), again: Again::RetryIfLater };
        }
        // Of what was signed, and not of the signature: with two secrets the same message has two.
        Proof { id: message_id(&signed.content), sent_at: signed.sent_at, until, again: Again::Unclear }
    }

    /// `None` for headers that are not of the scheme's form.
    fn read<'m>(&self, headers: &'m HeaderMap, body: &'m [u8]) -> Option<Signed<'m>> {
        let value = std::str::from_utf8(only(headers, &self.header)?).ok()?;
        let of_body = |signatures| Some(Signed { signatures, public: Vec::new(), content: vec![body], sent_at: None });
        match self.scheme {
            Scheme::Github => of_body(vec![unhex(value.strip_prefix("sha256=")?)?]),
            Scheme::Sentry => of_body(vec![unhex(value)?]),
            Scheme::Pagerduty => of_body(several(value.split(','), "v1=", unhex)?),
            Scheme::Grafana => {
                let signatures = vec![unhex(value)?];
                let Some(name) = &self.timestamp_header else { return of_body(signatures) };
                let time = only(headers, name)?;
                Some(Signed { signatures, public: Vec::new(), content: vec![time, b":", body], sent_at: Some(seconds(time)?) })
            }
            Scheme::StandardWebhooks => {
                // A signature for which there is no key is one of another version: it must not be tried with a key of another kind.
                let of = |version: &str, keys: &[Vec<u8>]| {
                    let found = several(value.split(' '), version, |text| BASE64.decode(text).ok());
                    found.filter(|_| !keys.is_empty()).unwrap_or_default()
                };
                let (signatures, public) = (of("v1,", &self.keys), of("v1a,", &self.public_keys));
                (!signatures.is_empty() || !public.is_empty()).then_some(())?;
                let (id, time) = (only(headers, "webhook-id")?, only(headers, "webhook-timestamp")?);
                // With a full stop in the id, the same bytes could be cut into id, time and body in another way.
                let is_id = !id.is_empty() && id.len() <= ID_CHARS_MAX && !id.contains(&b'.');
                is_id.then_some(())?;
                let content = vec![id, b".", time, b".", body];
                Some(Signed { signatures, public, content, sent_at: Some(seconds(time)?) })
            }
        }
    }
}

/// What tells one message from others: the first half of a SHA-256 over parts.
#[must_use]
pub fn message_id(parts: &[&[u8]]) -> MessageId {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
    }
    let digest = digest.finalize();
    MessageId(digest[..16].iter().fold(0, |id, byte| id << 8 | u128::from(*byte)))
}

/// A header that is there once, without the spaces around it. More than one is doubtful: a proxy may have looked at the other.
#[must_use]
pub fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_bytes().trim_ascii()),
        _ => None,
    }
}

/// Those of a few signatures that are of our version; other versions are passed over, as their senders mean it.
fn several<'v>(
    values: impl Iterator<Item = &'v str>,
    version: &str,
    read: impl Fn(&str) -> Option<Vec<u8>>,
) -> Option<Vec<Vec<u8>>> {
    let values: Vec<&str> = values.map(str::trim).filter(|value| !value.is_empty()).collect();
    let ours = values.iter().filter_map(|value| value.strip_prefix(version)).map(read).collect::<Option<Vec<_>>>()?;
    (!ours.is_empty() && values.len() <= SIGNATURES_MAX).then_some(ours)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits = text.as_bytes().iter().map(digit).collect::<Option<Vec<u8>>>()?;
    (digits.len() % 2 == 0).then(|| digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// Unix seconds, in digits alone.
fn seconds(text: &[u8]) -> Option<Time> {
    let is_number = !text.is_empty() && text.len() <= 12 && text.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(text).ok().filter(|_| is_number)?;
    Some(Time(text.parse::<i64>().ok()? * 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    /// Vectors that others have published or made.
    #[test]
    fn known_vectors_are_good() {
        let config = |scheme: Scheme, secret: &str, timestamp_header: Option<&str>| SignatureConfig {
            scheme,
            secrets: vec![Secret::new(secret)],
            public_keys: Vec::new(),
            header: None,
            timestamp_header: timestamp_header.map(str::to_owned),
            window: scheme.window(),
        };
        let cases = [
            (
                config(Scheme::Github, "It's a Secret to Everybody", None),
                "Hello, World!",
                vec![("x-hub-signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")],
            ),
            (
                config(Scheme::Pagerduty, "pdsecret", None),
                r#"{"event":{"id":"01A","event_type":"incident.acknowledged"}}"#,
                vec![("x-pagerduty-signature", "v1=f9643687b0dd0650ce4786314159a476652b356e3e0351b7fe8c75c42fffcffa")],
            ),
            (
                config(Scheme::StandardWebhooks, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", None),
                r#"{"test": 2432232314}"#,
                vec![
                    ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
                    ("webhook-timestamp", "1614265330"),
                    ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
                ],
            ),
        ];
        for (config, body, headers) in cases {
            let headers: HeaderMap =
                headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            let verifier = Verifier::new(&config).unwrap();
            verifier.verify(&headers, body.as_bytes(), Time(1_614_265_330_000)).unwrap();
            assert_eq!(verifier.verify(&headers, b"another", Time(1_614_265_330_000)), Err(Refused::Wrong), "{config:?}");
        }
    }

    /// Made by OpenSSL: `openssl pkeyutl -sign -rawin` over `<id>.<time>.<body>`.
    #[test]
    fn a_signature_of_ed25519_is_good() {
        let key = BASE64.decode("0kQObho1VDeZsMSF3blOoUnsrQ26FUqDsIaZ6IjdWf8=").unwrap();
        let config = SignatureConfig {
            scheme: Scheme::StandardWebhooks,
            secrets: Vec::new(),
            public_keys: vec![key],
            header: None,
            timestamp_header: None,
            window: Millis::minutes(5),
        };
        let signature = "v1a,6LNk5URy5oq2NGeCwZBVdYGB4Om+0/SpBo/Iupd2YCgNtmwaseMu5qqTJhNdsyUnz0Y3ZD8P9dRkhCKNDr6GAw==";
        let mut headers = HeaderMap::new();
        for (name, value) in [("id", "msg_p5jXN8AQM9LWM0D4loKWxJek"), ("timestamp", "1614265330"), ("signature", signature)] {
            let name: hyper::header::HeaderName = format!("webhook-{name}").parse().unwrap();
            headers.insert(name, value.parse().unwrap());
        }
        let verifier = Verifier::new(&config).unwrap();
        verifier.verify(&headers, br#"{"test": 2432232314}"#, Time(1_614_265_330_000)).unwrap();
        let other = verifier.verify(&headers, br#"{"test": 2432232315}"#, Time(1_614_265_330_000));
        assert_eq!(other, Err(Refused::Wrong));
    }

    #[test]
    fn numbers_and_digits_are_read_strictly() {
        for (text, expected) in [("0aFf", Some(vec![10, 255])), ("", Some(vec![])), ("0", None), ("0g", None), ("+1", None)] {
            assert_eq!(unhex(text), expected, "{text}");
        }
        for text in ["", "-1", "+1", "1.5", "1e9", " 1", "1000000000000"] {
            assert_eq!(seconds(text.as_bytes()), None, "{text}");
        }
        assert_eq!(seconds(b"1614265330"), Some(Time(1_614_265_330_000)));
    }
}
