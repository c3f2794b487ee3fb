//! What a source's senders must prove: `token`, `token_header`, `token_field`, `signature`, `sns`; and `handshake`.

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::section::Section;
use super::{Secret, SourceFormat, Tool};
use crate::model::Millis;

/// Bytes of a secret of Standard Webhooks.
const KEY_BYTES: RangeInclusive<usize> = 24..=64;

/// Bytes of a public key of ed25519.
const PUBLIC_KEY_BYTES: usize = 32;

/// Public keys of one source.
const PUBLIC_KEYS_MAX: usize = 8;

/// How a sender signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Github,
    Grafana,
    Pagerduty,
    Sentry,
    StandardWebhooks,
}

/// A signature that each message must carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureConfig {
    pub scheme: Scheme,
    /// Any of them makes a good signature; more than one while it is being changed.
    pub secrets: Vec<Secret>,
    /// Keys of ed25519 that check signatures `v1a` of `standard-webhooks`, as any of the secrets checks others.
    pub public_keys: Vec<Vec<u8>>,
    /// The header that the signature comes in, where it is not the scheme's usual one.
    pub header: Option<String>,
    /// The header that the signed time comes in, for `grafana`.
    pub timestamp_header: Option<String>,
    /// How far the signed time may be from ours; without one, for how long the same message is refused.
    pub window: Millis,
}

/// What CloudEvents' handshake grants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandshakeConfig {
    /// Who may send, as they call themselves; none where anybody may who has the token.
    pub origins: Vec<String>,
    /// Requests a minute that are granted at most.
    pub rate: Option<u32>,
}

/// What messages of Amazon SNS must prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnsConfig {
    /// The topics that may send.
    pub topics: Vec<String>,
    /// The certificate that signs, in PEM, instead of the one that a message names.
    pub certificate: Option<String>,
    /// Whether messages without envelope and signature are taken, on the token alone.
    pub raw: bool,
    /// Whether a subscription to a topic of the list is confirmed.
    pub confirm: bool,
    /// How far a message's time may be from ours.
    pub window: Millis,
}

impl Scheme {
    /// All of them, with their words.
    pub const ALL: [(&'static str, Scheme); 5] = [
        ("github", Scheme::Github),
        ("grafana", Scheme::Grafana),
        ("pagerduty", Scheme::Pagerduty),
        ("sentry", Scheme::Sentry),
        ("standard-webhooks", Scheme::StandardWebhooks),
    ];

    /// The key that a secret stands for.
    ///
    /// # Errors
    /// What is wrong with its form, in words and without the secret.
    pub fn key(self, secret: &Secret) -> Result<Vec<u8>, String> {
        let text = secret.expose();
        if self != Scheme::StandardWebhooks {
            return Ok(text.as_bytes().to_vec());
        }
        let text = text.trim();
        let form = format!("must be `whsec_` and base64 of {} to {} bytes", KEY_BYTES.start(), KEY_BYTES.end());
        let bytes =
            BASE64.decode(text.strip_prefix("whsec_").unwrap_or(text)).map_err(|_| format!("{form}; this is no base64"))?;
        if !KEY_BYTES.contains(&bytes.len()) {
            return Err(format!("{form}; this has {}", bytes.len()));
        }
        Ok(bytes)
    }

    /// The scheme of a tool that always signs in the same way.
    fn of(format: Option<SourceFormat>) -> Option<Scheme> {
        match format {
            Some(SourceFormat::Tool(Tool::Grafana)) => Some(Scheme::Grafana),
            Some(SourceFormat::Tool(Tool::Sentry)) => Some(Scheme::Sentry),
            _ => None,
        }
    }

    /// [`SignatureConfig::window`] where the site says nothing. Messages of Sentry and PagerDuty have numbers of their own, so
    /// no two are alike and the same one may be refused for long; those of others may well be.
    #[must_use]
    pub fn window(self) -> Millis {
        match self {
            Scheme::Pagerduty => Millis::hours(7 * 24),
            Scheme::Sentry => Millis::hours(24),
            Scheme::Github | Scheme::Grafana | Scheme::StandardWebhooks => Millis::minutes(5),
        }
    }
}

/// [`SnsConfig::window`] where the site says nothing: SNS tries for an hour at most.
const SNS_WINDOW: Millis = Millis::hours(2);

/// What was read.
#[derive(Default)]
pub(super) struct Auth {
    pub(super) tokens: Vec<Secret>,
    pub(super) token_header: Option<String>,
    pub(super) token_field: Option<String>,
    pub(super) signature: Option<SignatureConfig>,
    pub(super) sns: Option<SnsConfig>,
    pub(super) client_certificate: Vec<String>,
    pub(super) handshake: HandshakeConfig,
}

/// Reads the keys of one source.
pub(super) fn read(section: &mut Section<'_>, format: Option<SourceFormat>) -> Auth {
    let said = ["token_header", "token_field", "signature", "sns", "client_certificate", "handshake"]
        .map(|key| section.has(key).then(|| (key, section.place_of(key))));
    let tokens = section.secrets("token");
    let token_header = header(section, "token_header");
    let token_field = section.has("token_field").then(|| section.name("token_field"));
    let signature = section.section("signature").and_then(|section| signature(section, format));
    let sns = section.section("sns").map(|section| sns(section, !tokens.is_empty()));
    let client_certificate = client_names(section);
    let handshake = section.section("handshake").map(handshake).unwrap_or_default();
    for (key, place) in said.into_iter().flatten() {
        match (key, format) {
            ("sns", Some(format)) if format != SourceFormat::Tool(Tool::Cloudwatch) => {
                section.note("bad_value", key, "belongs to format `cloudwatch` only", &place);
            }
            ("handshake", Some(format)) if format != SourceFormat::Tool(Tool::Cloudevents) => {
                section.note("bad_value", key, "belongs to format `cloudevents` only", &place);
            }
            ("token_field", Some(SourceFormat::Prometheus)) => {
                section.note("bad_value", key, "cannot be of this format, whose bodies are lists", &place);
            }
            (_, Some(SourceFormat::Tool(Tool::PagerdutyEvents | Tool::Opsgenie))) => {
                section.note("bad_value", key, "cannot be of this format, whose senders have a key and nothing else", &place);
            }
            ("token_header" | "token_field", _) if tokens.is_empty() => {
                section.note("missing_key", "token", &format!("is missing: `{key}` says where it comes"), &place);
            }
            _ => {}
        }
    }
    Auth { tokens, token_header, token_field, signature, sns, client_certificate, handshake }
}

fn handshake(mut section: Section<'_>) -> HandshakeConfig {
    let place = section.place_of("origins");
    let origins = section.texts("origins");
    for origin in origins.iter().filter(|it| it.is_empty() || it.contains(|c: char| c.is_whitespace() || "*/".contains(c))) {
        section.note("bad_value", "origins", &format!("has {origin:?}, which is no DNS name"), &place);
    }
    let rate = section.number("rate");
    section.finish();
    HandshakeConfig { origins, rate }
}

/// Names in certificates, in lower case.
fn client_names(section: &mut Section<'_>) -> Vec<String> {
    let place = section.place_of("client_certificate");
    let names = section.texts("client_certificate");
    for name in names.iter().filter(|name| name.is_empty() || name.contains(['*', ' ', '/'])) {
        section.note("bad_value", "client_certificate", &format!("has {name:?}, which is no DNS name"), &place);
    }
    names.into_iter().map(|name| name.to_lowercase()).collect()
}

fn signature(mut section: Section<'_>, format: Option<SourceFormat>) -> Option<SignatureConfig> {
    let usual = Scheme::of(format).filter(|_| !section.has("scheme"));
    let scheme = usual.or_else(|| section.need_word("scheme", &Scheme::ALL));
    let place = section.place_of("timestamp_header");
    let public_keys = public_keys(&mut section, scheme);
    if !section.has("secret") && public_keys.is_empty() {
        section.note("missing_key", "secret", "is missing", &section.place);
    }
    let secret_place = section.place_of("secret");
    let secrets = section.secrets("secret");
    for fault in secrets.iter().filter_map(|secret| scheme?.key(secret).err()) {
        section.note("secret", "secret", &fault, &secret_place);
    }
    let (name, timestamp_header) = (header(&mut section, "header"), header(&mut section, "timestamp_header"));
    if timestamp_header.is_some() && scheme.is_some_and(|scheme| scheme != Scheme::Grafana) {
        section.note("bad_value", "timestamp_header", "belongs to the scheme `grafana` only", &place);
    }
    let window = section.duration("window");
    section.know(&["scheme"]);
    section.finish();
    let scheme = scheme?;
    let window = window.unwrap_or(scheme.window());
    Some(SignatureConfig { scheme, secrets, public_keys, header: name, timestamp_header, window })
}

/// Keys that are no secrets.
fn public_keys(section: &mut Section<'_>, scheme: Option<Scheme>) -> Vec<Vec<u8>> {
    let place = section.place_of("public_key");
    let texts = section.one_or_more("public_key");
    if !texts.is_empty() && scheme.is_some_and(|scheme| scheme != Scheme::StandardWebhooks) {
        section.note("bad_value", "public_key", "belongs to the scheme `standard-webhooks` only", &place);
    }
    if texts.len() > PUBLIC_KEYS_MAX {
        section.note("bad_value", "public_key", &format!("must have at most {PUBLIC_KEYS_MAX} keys"), &place);
    }
    let key = |text: &String| {
        let bytes = BASE64.decode(text.trim().strip_prefix("whpk_").unwrap_or(text.trim())).ok();
        let bytes = bytes.filter(|bytes| bytes.len() == PUBLIC_KEY_BYTES);
        if bytes.is_none() {
            let form = format!("must be `whpk_` and base64 of {PUBLIC_KEY_BYTES} bytes");
            section.note("bad_value", "public_key", &form, &place);
        }
        bytes
    };
    texts.iter().filter_map(key).collect()
}

fn sns(mut section: Section<'_>, has_token: bool) -> SnsConfig {
    let (topics_place, raw_place) = (section.place_of("topics"), section.place_of("raw"));
    let sns = SnsConfig {
        topics: section.texts("topics"),
        certificate: section.file("certificate"),
        raw: section.flag("raw").unwrap_or(false),
        confirm: section.flag("confirm").unwrap_or(true),
        window: section.duration("window").unwrap_or(SNS_WINDOW),
    };
    if sns.topics.is_empty() {
        section.note("missing_key", "topics", "must name the topics that may send", &topics_place);
    }
    for topic in sns.topics.iter().filter(|topic| !is_topic(topic)) {
        let message = format!("has {topic:?}, which is no topic's ARN, such as arn:aws:sns:eu-west-1:123456789012:alarms");
        section.note("bad_value", "topics", &message, &topics_place);
    }
    if sns.raw && !has_token {
        section.note("missing_key", "raw", "needs a `token` of the source: raw messages carry no signature", &raw_place);
    }
    section.finish();
    sns
}

/// `arn:<partition>:sns:<region>:<account>:<name>`.
fn is_topic(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    matches!(parts[..], ["arn", partition, "sns", region, account, name]
        if partition.starts_with("aws") && ![region, account, name].contains(&""))
}

/// The name of a header, in lower case.
fn header(section: &mut Section<'_>, key: &'static str) -> Option<String> {
    let place = section.place_of(key);
    let name = section.text(key)?;
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        section.note("bad_value", key, &format!("{name:?} is no name of a header"), &place);
    }
    Some(name.to_lowercase())
}
