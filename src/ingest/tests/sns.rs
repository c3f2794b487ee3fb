//! Messages of Amazon SNS: the samples against a certificate that the site names, and messages signed here against one that
//! Amazon's host gives. What is asked for is written down, and for what is refused that is nothing.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::tools::{FOLDER, samples};
use super::{Reply, Setup, T0};
use crate::config::Tool;
use crate::ingest::sns::Trust;
use crate::model::{Millis, Time};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/sns");
const TOPIC: &str = "arn:aws:sns:eu-west-1:210987654321:prod-alarms";
const URL: &str = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0f1e2d3c.pem";
const CONFIRM: &str = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:eu-west-1:210987654321:prod-alarms&Token=2336412f37fb687f5d51";

fn fixture(name: &str) -> Vec<u8> {
    fs::read(format!("{FIXTURES}/{name}")).unwrap()
}

/// Every sample is answered as the manifest says, with the certificate of the samples named, and without it (by Amazon's own
/// roots, which do not lead to it) none passes that is signed.
#[test]
fn samples_are_answered_as_their_manifest_says() {
    let samples = || samples().into_iter().filter(|sample| sample.tool == Tool::Cloudwatch && sample.outcome != "material");
    for sample in samples() {
        let setup = Setup::new(&format!(
            "sources: [{{ name: aws, format: cloudwatch, token: t, sns: {{ topics: [\"{TOPIC}\"], raw: true, \
             certificate: {{ file: {FOLDER}/cloudwatch/test-signing-cert.pem }} }} }}]"
        ));
        setup.amazon.documents.lock().unwrap().extend(confirmation_of(&sample.body));
        let (status, text) = post(&setup, &sample.headers, &sample.body, "t");
        let expected = match &*sample.outcome {
            // Without an envelope it is a raw message like another.
            "fragment" => 202,
            _ => sample.expected["answer"].as_u64().unwrap(),
        };
        assert_eq!(u64::from(status), expected, "{}: {text}", sample.file);
        let asked = setup.amazon.asked.lock().unwrap().len();
        assert_eq!(asked, usize::from(sample.file == "cloudwatch/subscription-confirmation.json"), "{}", sample.file);
        if sample.outcome == "alerts" {
            assert_eq!(
                setup.counts("aws"),
                if sample.file.contains("resolved") { [1, 1, 0, 0] } else { [1, 0, 1, 0] },
                "{}",
                sample.file
            );
        }
    }
    assert!(samples().count() >= 10);
    for sample in samples().filter(|sample| sample.body.contains("SigningCertURL")) {
        let setup = Setup::new(&format!("sources: [{{ name: aws, format: cloudwatch, sns: {{ topics: [\"{TOPIC}\"] }} }}]"));
        let certificate = fs::read(format!("{FOLDER}/cloudwatch/test-signing-cert.pem")).unwrap();
        let body: Value = serde_json::from_str(&sample.body).unwrap();
        setup.amazon.documents.lock().unwrap().insert(body["SigningCertURL"].as_str().unwrap().to_owned(), certificate);
        let (status, text) = post(&setup, &sample.headers, &sample.body, "");
        assert_eq!((status, setup.counts("aws")), (403, [0; 4]), "{}: {text}", sample.file);
        assert!(
            setup.amazon.asked.lock().unwrap().iter().all(|url| url.contains("/SimpleNotificationService-")),
            "{}",
            sample.file
        );
    }
}

/// The address that a confirmation names, as one that answers.
fn confirmation_of(body: &str) -> Option<(String, Vec<u8>)> {
    let body: Value = serde_json::from_str(body).unwrap();
    Some((body["SubscribeURL"].as_str()?.to_owned(), b"<ok/>".to_vec()))
}

/// Posts a message at the moment that it says it was sent.
fn post(setup: &Setup, headers: &[(String, String)], body: &str, token: &str) -> Reply {
    let said: Value = serde_json::from_str(body).unwrap();
    let sent_at = said["Timestamp"].as_str().and_then(Time::parse_rfc3339);
    setup.engine.set_now(sent_at.unwrap_or(T0));
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    let path = if token.is_empty() { "/v1/ingest/aws".to_owned() } else { format!("/v1/ingest/aws/{token}") };
    setup.send(&path, &headers, body.as_bytes())
}

/// A message like SNS', by its fields.
fn message(kind: &str) -> Value {
    let alarm = json!({ "AlarmName": "A", "AlarmArn": "arn:aws:cloudwatch:eu-west-1:1:alarm:A", "NewStateValue": "ALARM" });
    let mut message = json!({
        "Type": kind, "MessageId": "m-1", "TopicArn": TOPIC, "Message": alarm.to_string(), "Timestamp": T0.to_rfc3339(),
        "SignatureVersion": "2", "SigningCertURL": URL,
    });
    if kind != "Notification" {
        message["Token"] = json!("2336412f37fb687f5d51");
        message["SubscribeURL"] = json!(CONFIRM);
    }
    message
}

/// Signs a message with the key of the fixtures' certificates.
fn sign(mut message: Value) -> Value {
    let key = PrivatePkcs8KeyDer::from_pem_slice(&fixture("leaf.key")).unwrap();
    let key = ring::signature::RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
    let names: &[&str] = match message["Type"].as_str() {
        Some("Notification") => &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
        _ => &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"],
    };
    let lines = names.iter().filter_map(|name| Some(format!("{name}\n{}\n", message.get(*name)?.as_str()?)));
    let (text, mut signature) = (lines.collect::<String>(), vec![0; key.public().modulus_len()]);
    let random = ring::rand::SystemRandom::new();
    key.sign(&ring::signature::RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature).unwrap();
    message["Signature"] = json!(BASE64.encode(signature));
    message
}

fn with(mut message: Value, field: &str, value: &str) -> Value {
    message[field] = json!(value);
    message
}

fn without(mut message: Value, field: &str) -> Value {
    message.as_object_mut().unwrap().remove(field);
    message
}

/// A source whose certificates lead to the fixtures' root; at [`URL`] lies one of them.
fn setup(certificate: &str) -> Setup {
    let yaml = format!("sources: [{{ name: aws, format: cloudwatch, sns: {{ topics: [\"{TOPIC}\"] }} }}]");
    let setup = Setup::trusting(&yaml, Trust::of(&fixture("root.pem"), &fixture("issuer.pem")));
    let documents = [(URL, fixture(certificate)), (CONFIRM, b"<ok/>".to_vec())];
    setup.amazon.documents.lock().unwrap().extend(documents.map(|(url, document)| (url.to_owned(), document)));
    setup
}

fn send(setup: &Setup, message: &Value, at: Time) -> Reply {
    setup.engine.set_now(at);
    setup.send("/v1/ingest/aws", &[("content-type", "text/plain; charset=UTF-8")], message.to_string().as_bytes())
}

#[test]
fn only_what_amazon_signed_for_a_topic_of_the_list_passes() {
    let good = || message("Notification");
    let subscribe = || message("SubscriptionConfirmation");
    let host = |host: &str| format!("https://{host}/SimpleNotificationService-0f1e2d3c.pem");
    let refused: Vec<(&str, Value)> = vec![
        ("no signature", good()),
        ("another text", with(sign(good()), "Message", "{}")),
        ("another subject", with(sign(good()), "Subject", "S")),
        ("another id", with(sign(good()), "MessageId", "m-2")),
        ("another type", with(sign(subscribe()), "Type", "UnsubscribeConfirmation")),
        ("the other version", with(sign(good()), "SignatureVersion", "1")),
        ("no version", without(sign(good()), "SignatureVersion")),
        ("a version that is none", with(sign(good()), "SignatureVersion", "3")),
        ("a signature that is none", with(sign(good()), "Signature", "?")),
        ("no type", without(sign(good()), "Type")),
        ("an empty type", with(sign(good()), "Type", "")),
        ("an unknown type", sign(with(good(), "Type", "Other"))),
        ("no envelope", json!({ "AlarmName": "A", "AlarmArn": "arn:aws:x", "NewStateValue": "ALARM" })),
        ("another topic", sign(with(good(), "TopicArn", "arn:aws:sns:eu-west-1:210987654321:other"))),
        ("a topic of somebody else", sign(with(good(), "TopicArn", "arn:aws:sns:eu-west-1:1:prod-alarms"))),
        ("a topic that begins alike", sign(with(good(), "TopicArn", &format!("{TOPIC}2")))),
        ("no certificate", without(sign(good()), "SigningCertURL")),
        ("a host that looks alike", with(sign(good()), "SigningCertURL", &host("sns.us-east-1.amazonaws.com.evil"))),
        ("a host behind a user", with(sign(good()), "SigningCertURL", &host("sns.us-east-1.amazonaws.com@evil.example"))),
        ("somebody's bucket", with(sign(good()), "SigningCertURL", &host("bucket.s3.amazonaws.com"))),
        ("a bucket by path", with(sign(good()), "SigningCertURL", &host("s3.us-east-1.amazonaws.com/bucket"))),
        ("no TLS", with(sign(good()), "SigningCertURL", &URL.replace("https", "http"))),
        ("inside", with(sign(good()), "SigningCertURL", &host("169.254.169.254"))),
        ("any document of Amazon's", with(sign(good()), "SigningCertURL", "https://sns.eu-west-1.amazonaws.com/other.pem")),
    ];
    for (row, message) in refused {
        let setup = setup("leaf.pem");
        let (status, text) = send(&setup, &message, T0);
        assert_eq!((status, setup.counts("aws")), (403, [0; 4]), "{row}: {text}");
        let asked = setup.amazon.asked.lock().unwrap().clone();
        assert!(asked.is_empty() || asked == [URL], "{row}: {asked:?}");
        let names_certificate = message["SigningCertURL"] == URL && message["TopicArn"] == TOPIC;
        assert!(asked.is_empty() || names_certificate, "{row}: asked for {asked:?}");
    }
    for (row, url) in [
        ("the metadata of a cloud", "http://169.254.169.254/latest/meta-data/iam/security-credentials/"),
        ("a host that looks alike", "https://sns.eu-west-1.amazonaws.com.evil.example/?Action=ConfirmSubscription"),
        (
            "another act",
            "https://sns.eu-west-1.amazonaws.com/?Action=Publish&TopicArn=arn:aws:sns:eu-west-1:210987654321:prod-alarms",
        ),
        ("another topic", "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:eu-west-1:1:x"),
    ] {
        let setup = setup("leaf.pem");
        let (status, text) = send(&setup, &sign(with(subscribe(), "SubscribeURL", url)), T0);
        assert_eq!(status, 403, "{row}: {text}");
        assert_eq!(*setup.amazon.asked.lock().unwrap(), [URL], "{row}");
    }
    for (reason, message) in [
        ("topic", sign(with(good(), "TopicArn", "arn:aws:sns:eu-west-1:210987654321:other"))),
        ("certificate", with(sign(good()), "SigningCertURL", &host("bucket.s3.amazonaws.com"))),
        ("signature", with(sign(good()), "Message", "{}")),
        ("stale", sign(with(good(), "Timestamp", "2026-12-01T00:00:00Z"))),
        ("forbidden", without(sign(good()), "Type")),
    ] {
        let setup = setup("leaf.pem");
        send(&setup, &message, T0);
        let metrics = String::from_utf8(setup.metrics.expose()).unwrap();
        assert!(metrics.contains(&format!("quell_requests_rejected_total{{reason=\"{reason}\"}} 1")), "{reason}");
    }
    let setup = setup("leaf.pem");
    let (status, text) = send(&setup, &sign(with(good(), "Subject", "ALARM: A")), T0);
    assert_eq!((status, setup.counts("aws")), (202, [1, 0, 1, 0]), "{text}");
}

#[test]
fn only_certificates_of_amazons_chain_are_believed() {
    let hours = |hours: i64| T0 + Millis::hours(hours);
    let years = |years: i64| T0 + Millis::hours(24 * 365 * years);
    let cases = [
        ("leaf.pem", T0, 202, ""),
        // Each message is of its own moment; the certificate begins in 2026 and ends in 2126.
        ("leaf.pem", years(-1), 403, "not trusted"),
        ("leaf.pem", years(100), 403, "not trusted"),
        ("self-made.pem", T0, 403, "not trusted"),
        ("other-name.pem", T0, 403, "another name"),
        ("other-region.pem", T0, 403, "another name"),
        // Amazon's own, but of another region, and its chain does not lead to the fixtures' root.
        ("af-south-1-2026.pem", T0, 403, "not trusted"),
        ("leaf.key", T0, 403, "0 certificates"),
        ("make.sh", T0, 403, "0 certificates"),
    ];
    for (certificate, now, expected, words) in cases {
        let setup = setup(certificate);
        let (status, text) = send(&setup, &sign(with(message("Notification"), "Timestamp", &now.to_rfc3339())), now);
        assert!(status == expected && text.contains(words), "{certificate} at {}: {status} {text}", now.to_rfc3339());
    }
    // Too old, too new; an hour of trying again is nothing.
    for (sent_at, expected) in [(-2, 202), (-3, 403), (3, 403)] {
        let sent = with(message("Notification"), "Timestamp", &hours(sent_at).to_rfc3339());
        assert_eq!(send(&setup("leaf.pem"), &sign(sent), T0).0, expected, "sent {sent_at} hours from now");
    }
}

#[test]
fn a_certificate_is_asked_for_once_and_not_at_anybodys_pace() {
    let setup = setup("leaf.pem");
    for number in 0..3 {
        let sent = sign(with(message("Notification"), "MessageId", &format!("m-{number}")));
        assert_eq!(send(&setup, &sent, T0).0, 202);
    }
    assert_eq!(*setup.amazon.asked.lock().unwrap(), [URL]);
    let made_up = |number: i32| format!("https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-{number}.pem");
    for number in 0..50 {
        let (status, text) = send(&setup, &with(sign(message("Notification")), "SigningCertURL", &made_up(number)), T0);
        assert_eq!(status, 503, "{text}");
    }
    assert_eq!(setup.amazon.asked.lock().unwrap().len(), 10);
    // What is known needs nobody's answer; and the next minute is another.
    assert_eq!(send(&setup, &sign(with(message("Notification"), "MessageId", "m-9")), T0).0, 202);
    send(&setup, &with(sign(message("Notification")), "SigningCertURL", &made_up(60)), T0 + Millis::minutes(1));
    assert_eq!(setup.amazon.asked.lock().unwrap().len(), 11);
}

#[test]
fn what_sns_sends_again_is_taken_once_and_answered_as_taken() {
    let setup = setup("leaf.pem");
    let sent = sign(message("Notification"));
    for (at, counts) in [(0, [1, 0, 1, 0]), (1, [1, 0, 1, 0]), (7_200, [1, 0, 1, 0])] {
        let (status, text) = send(&setup, &sent, T0 + Millis::seconds(at));
        assert_eq!((status, setup.counts("aws")), (202, counts), "{at}: {text}");
    }
    assert_eq!(send(&setup, &sent, T0 + Millis::seconds(7_201)).0, 403, "too old by now");
}

#[test]
fn a_subscription_is_confirmed_once_it_answers() {
    let setup = setup("leaf.pem");
    let sent = sign(message("SubscriptionConfirmation"));
    setup.amazon.documents.lock().unwrap().remove(CONFIRM);
    let (status, text) = send(&setup, &sent, T0);
    assert!(status == 503 && !text.contains("2336412f37fb687f5d51"), "{text}");
    setup.amazon.documents.lock().unwrap().insert(CONFIRM.to_owned(), Vec::new());
    assert_eq!(send(&setup, &sent, T0).0, 200);
    // Our answer was lost, and the topic asks again.
    assert_eq!(send(&setup, &sent, T0).0, 202);
    assert_eq!(*setup.amazon.asked.lock().unwrap(), [URL, CONFIRM, CONFIRM]);
    let ended = sign(with(message("UnsubscribeConfirmation"), "MessageId", "m-2"));
    assert_eq!(send(&setup, &ended, T0).0, 202);
    assert_eq!(setup.amazon.asked.lock().unwrap().len(), 3, "its address would subscribe again");

    for settings in [format!("token: t, sns: {{ topics: [\"{TOPIC}\"], confirm: false }}"), "token: t".to_owned()] {
        let yaml = format!("sources: [{{ name: aws, format: cloudwatch, {settings} }}]");
        let setup = Setup::trusting(&yaml, Trust::of(&fixture("root.pem"), &fixture("issuer.pem")));
        setup.amazon.documents.lock().unwrap().insert(URL.to_owned(), fixture("leaf.pem"));
        setup.engine.set_now(T0);
        assert_eq!(setup.send("/v1/ingest/aws/t", &[], sent.to_string().as_bytes()).0, 200);
        assert!(!setup.amazon.asked.lock().unwrap().contains(&CONFIRM.to_owned()), "{settings}");
    }
}
