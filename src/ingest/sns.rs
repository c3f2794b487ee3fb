//! Envelopes of Amazon SNS: whether a message is from a topic of the list, and signed by Amazon.
//!
//! An envelope names two addresses. The one of the certificate must be a certificate's at Amazon's own host, and the answer must
//! hold in [`certificate`]; the one that confirms a subscription is part of what is signed, and must be a confirmation for that
//! topic at Amazon's own host. Nothing else of a message is ever asked for, and no answer's redirect is followed.

mod certificate;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;

use super::answer::Fault;
use super::format::cloudwatch::amazon_host;
use super::format::{self, Json};
use crate::config::SnsConfig;
use crate::model::{Millis, Time};
use crate::signature::{Again, Proof, message_id};

pub use certificate::{Calling, Outgoing};
use certificate::{Certificate, Digest};
pub(super) use certificate::{Certificates, Refused, Trust};

/// What a notification's signature is over, in order; and a confirmation's.
const OF_NOTIFICATION: [&str; 6] = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"];
const OF_CONFIRMATION: [&str; 7] = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];

/// What the messages of one source must prove.
#[derive(Debug)]
pub(super) struct Sns {
    topics: Vec<String>,
    certificate: Option<Arc<Certificate>>,
    raw: bool,
    pub(super) confirm: bool,
    window: Millis,
}

impl Sns {
    /// # Errors
    /// A certificate that is none.
    pub(super) fn new(config: &SnsConfig) -> Result<Sns, String> {
        let certificate = config.certificate.as_ref().map(|pem| Certificate::read(pem.as_bytes())).transpose()?;
        Ok(Sns {
            topics: config.topics.clone(),
            certificate: certificate.map(Arc::new),
            raw: config.raw,
            confirm: config.confirm,
            window: config.window,
        })
    }

    /// Checks a message. `None` for one without an envelope, where the source takes such.
    ///
    /// # Errors
    /// Why it is refused, or cannot be checked at this moment.
    pub(super) async fn verify(
        &self,
        text: &str,
        json_depth: usize,
        certificates: &Certificates,
        now: Time,
    ) -> Result<Option<Proof>, Fault> {
        let body = format::parse(text, json_depth).map_err(Fault::from)?;
        let field = |name: &str| body.get(name).and_then(Json::as_str);
        let need = |name: &str| field(name).ok_or_else(|| forbidden(&format!("{name} is missing")));
        let Some(kind) = field("Type") else {
            return if self.raw && body.get("Type").is_none() {
                Ok(None)
            } else {
                Err(forbidden("this source takes signed messages of SNS only"))
            };
        };
        let signed: &[&str] = match kind {
            "Notification" => &OF_NOTIFICATION,
            "SubscriptionConfirmation" | "UnsubscribeConfirmation" => &OF_CONFIRMATION,
            _ => return Err(forbidden("Type is none of SNS")),
        };
        let topic = need("TopicArn")?;
        if !self.topics.iter().any(|known| known == topic) {
            return Err(counted("topic", "TopicArn is none of the source's topics"));
        }
        let url = need("SigningCertURL")?;
        if !is_certificate(url) {
            return Err(counted("certificate", "SigningCertURL is no certificate of Amazon SNS"));
        }
        let digest = match need("SignatureVersion")? {
            "1" => Digest::Sha1,
            "2" => Digest::Sha256,
            _ => return Err(forbidden("SignatureVersion is neither 1 nor 2")),
        };
        let mut content = String::new();
        for name in signed {
            match field(name) {
                Some(value) => content.extend([name, "\n", value, "\n"]),
                // The one field that may be missing.
                None if *name == "Subject" => {}
                None => return Err(forbidden(&format!("{name} is missing"))),
            }
        }
        let signature = STANDARD.decode(need("Signature")?).map_err(|_| forbidden("Signature is no base64"))?;
        let sent_at = Time::parse_rfc3339(need("Timestamp")?).ok_or_else(|| forbidden("Timestamp is no time"))?;
        let certificate = match &self.certificate {
            Some(named) => named.clone(),
            None => certificates.of(url, now).await.map_err(Fault::from)?,
        };
        if !certificate.has_signed(digest, content.as_bytes(), &signature) {
            return Err(counted("signature", "the signature is not good"));
        }
        if now.since(sent_at).0.abs() > self.window.0 {
            return Err(counted("stale", "Timestamp is too far from our time"));
        }
        if kind == "SubscriptionConfirmation" && !is_confirmation(need("SubscribeURL")?, topic) {
            return Err(forbidden("SubscribeURL is no confirmation at an address of Amazon SNS"));
        }
        let until = sent_at + self.window + Millis(1);
        let id = message_id(&[b"sns:", need("MessageId")?.as_bytes()]);
        Ok(Some(Proof { id, sent_at: Some(sent_at), until, again: Again::Same }))
    }
}

/// `https://sns.<region>.amazonaws.com/SimpleNotificationService-<digits>.pem`, with nothing before, between or behind.
fn is_certificate(url: &str) -> bool {
    let Some(host) = amazon_host(url) else { return false };
    let path = url.strip_prefix("https://").and_then(|rest| rest.strip_prefix(host)).unwrap_or_default();
    let name = path.strip_prefix("/SimpleNotificationService-").and_then(|rest| rest.strip_suffix(".pem")).unwrap_or_default();
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The address that confirms the subscription to a topic, at Amazon's own host.
fn is_confirmation(url: &str, topic: &str) -> bool {
    let Some(host) = amazon_host(url) else { return false };
    let rest = url.strip_prefix("https://").and_then(|rest| rest.strip_prefix(host)).unwrap_or_default();
    let Some(query) = rest.strip_prefix("/?") else { return false };
    let is = |wanted: &str, value: &str| {
        let mut found = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(name, _)| *name == wanted);
        matches!((found.next(), found.next()), (Some((_, given)), None) if super::route::decode(given) == value)
    };
    !query.contains('#') && is("Action", "ConfirmSubscription") && is("TopicArn", topic)
}

/// That a message is not Amazon's, or not for this source.
fn forbidden(why: &str) -> Fault {
    counted("forbidden", why)
}

/// The same, with a reason of its own for whoever watches the metrics.
fn counted(reason: &'static str, why: &str) -> Fault {
    Fault { reason, ..Fault::new(StatusCode::FORBIDDEN, "forbidden", why) }
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Fault {
        match refused {
            Refused::Untrusted(why) => counted("certificate", &format!("the certificate is not trusted: {why}")),
            // SNS tries again.
            Refused::Unknown(why) => {
                let message = format!("the certificate cannot be had at this moment: {why}");
                Fault::new(StatusCode::SERVICE_UNAVAILABLE, "certificate", &message)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_amazons_own_addresses_are_asked() {
        let certificates = [
            ("https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0f1e2d3c.pem", true),
            ("https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-0f1e2d3c.pem", true),
            ("http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0f1e2d3c.pem", false),
            ("https://sns.us-east-1.amazonaws.com.evil/SimpleNotificationService-0f1e2d3c.pem", false),
            ("https://sns.us-east-1.amazonaws.com@evil.example/SimpleNotificationService-0f1e2d3c.pem", false),
            ("https://evil.example@sns.us-east-1.amazonaws.com/SimpleNotificationService-0f1e2d3c.pem", false),
            ("https://sns.us-east-1.amazonaws.com:444/SimpleNotificationService-0f1e2d3c.pem", false),
            ("https://sns.us-east-1.amazonaws.com\\@evil.example/SimpleNotificationService-0f1e2d3c.pem", false),
            ("https://s3.us-east-1.amazonaws.com/bucket/SimpleNotificationService-0f1e2d3c.pem", false),
            ("https://bucket.s3.amazonaws.com/SimpleNotificationService-0f1e2d3c.pem", false),
            ("https://sns.us-east-1.amazonaws.com/other.pem", false),
            ("https://sns.us-east-1.amazonaws.com/a/SimpleNotificationService-0f1e2d3c.pem", false),
            ("https://sns.us-east-1.amazonaws.com/SimpleNotificationService-../x.pem", false),
            ("https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0f1e2d3c.pem?x=.pem", false),
            ("https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0f1e2d3c.pem#.pem", false),
            ("https://sns.us-east-1.amazonaws.com/SimpleNotificationService-.pem", false),
            ("//sns.us-east-1.amazonaws.com/SimpleNotificationService-0f1e2d3c.pem", false),
        ];
        for (url, expected) in certificates {
            assert_eq!(is_certificate(url), expected, "{url}");
        }
        let topic = "arn:aws:sns:eu-west-1:1:t";
        let confirmations = [
            ("https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:eu-west-1:1:t&Token=1", true),
            (
                "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn%3Aaws%3Asns%3Aeu-west-1%3A1%3At",
                true,
            ),
            ("https://sns.eu-west-1.amazonaws.com/?Action=Publish&TopicArn=arn:aws:sns:eu-west-1:1:t", false),
            ("https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:eu-west-1:2:other", false),
            (
                "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Action=Publish&TopicArn=arn:aws:sns:eu-west-1:1:t",
                false,
            ),
            ("https://sns.eu-west-1.amazonaws.com/x?Action=ConfirmSubscription&TopicArn=arn:aws:sns:eu-west-1:1:t", false),
            ("http://169.254.169.254/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:eu-west-1:1:t", false),
        ];
        for (url, expected) in confirmations {
            assert_eq!(is_confirmation(url, topic), expected, "{url}");
        }
    }
}
