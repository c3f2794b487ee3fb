//! The `receivers` list: `- name: x` and one key that says what it is.

use super::load::Names;
use super::section::{Notes, Section};
use super::{ConfigError, EmailConfig, ReceiverConfig, ReceiverKind, ServicenowConfig, SmtpTls};

/// The keys that say what a receiver is.
const KINDS: [&str; 6] = ["pagerduty", "webhook", "alertmanager_webhook", "email", "servicenow", "log"];

/// Where PagerDuty takes events.
const PAGERDUTY_URL: &str = "https://events.pagerduty.com/v2/enqueue";

/// Reads all receivers.
pub(super) fn read(notes: &Notes<'_>, sections: Vec<Section<'_>>) -> Vec<ReceiverConfig> {
    let mut names = Names::default();
    let mut receivers = Vec::new();
    for mut section in sections {
        let place = section.place_of("name");
        let name = section.name("name");
        names.add(notes, "receiver", &name, &place);
        let kinds: Vec<&'static str> = KINDS.into_iter().filter(|kind| section.has(kind)).collect();
        if let [kind] = kinds[..] {
            let kind = section.section(kind).map(|body| read_kind(notes, kind, body));
            section.finish();
            receivers.extend(kind.map(|kind| ReceiverConfig { name: name.into(), kind }));
        } else {
            let message = format!("the receiver `{name}` must have exactly one of {}", KINDS.join(", "));
            notes.error(ConfigError::new("missing_key", message, &section.place));
            if kinds.is_empty() {
                // What stands there instead is named, too.
                section.know(&KINDS);
                section.finish();
            }
        }
    }
    receivers
}

fn read_kind(notes: &Notes<'_>, kind: &str, mut s: Section<'_>) -> ReceiverKind {
    let read = match kind {
        "pagerduty" => {
            let url = if s.has("url") { s.url("url") } else { PAGERDUTY_URL.to_owned() };
            ReceiverKind::Pagerduty { url, routing_key: s.need_secret("routing_key") }
        }
        "webhook" => ReceiverKind::Webhook { url: s.url("url"), secret: s.secret("secret") },
        "alertmanager_webhook" => ReceiverKind::AlertmanagerWebhook {
            url: s.url("url"),
            max_alerts: s.count("max_alerts").unwrap_or(0),
            send_resolved: s.flag("send_resolved").unwrap_or(true),
            bearer: s.secret("bearer"),
        },
        "email" => ReceiverKind::Email(email(notes, &mut s)),
        "servicenow" => ReceiverKind::Servicenow(ServicenowConfig {
            url: s.url("url"),
            user: s.need_text("user"),
            password: s.need_secret("password"),
            assignment_group: s.text("assignment_group"),
            caller_id: s.text("caller_id"),
            close_code: s.text("close_code").unwrap_or_else(|| "Solved (Permanently)".to_owned()),
            categories: s.pairs("categories"),
        }),
        _ => ReceiverKind::Log,
    };
    s.finish();
    read
}

fn email(notes: &Notes<'_>, s: &mut Section<'_>) -> EmailConfig {
    let words = [("starttls", SmtpTls::Starttls), ("implicit", SmtpTls::Implicit), ("off", SmtpTls::Off)];
    let port = s.number("port").unwrap_or(587);
    let by_port = if port == 465 { SmtpTls::Implicit } else { SmtpTls::Starttls };
    let config = EmailConfig {
        host: s.need_text("host"),
        port,
        tls: s.word("tls", &words).unwrap_or(by_port),
        user: s.text("user"),
        password: s.secret("password"),
        from: s.need_text("from"),
        to: s.texts("to"),
    };
    if config.to.is_empty() {
        s.note("missing_key", "to", "must name somebody", &s.place);
    }
    if config.user.is_some() != config.password.is_some() {
        s.note("missing_key", "user", "and `password` belong together", &s.place);
    }
    if config.tls == SmtpTls::Off {
        let message = format!("mail to {} goes unencrypted because of `tls: off`", config.host);
        notes.warn(ConfigError::new("insecure", message, &s.place));
    }
    config
}
