//! What people read: the line on a phone's screen, the plain text and the page of a mail, made from a [`Message`] by
//! templates that are compiled in.
//!
//! Everything that came from outside enters the templates as a value, cleaned and cut beforehand; nothing of it is ever
//! taken for a template. So the output is bounded by its parts, and rendering cannot fail for what a sender wrote.

use std::sync::LazyLock;

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};

use super::{ALERTS_SHOWN_MAX, Message, text};
use crate::model::{AlertRecord, CauseReason, Incident, Labels, Millis, NotificationKind, Time, cause};

/// Characters of the summary line.
pub(crate) const SUMMARY_CHARS_MAX: usize = 250;

const TITLE_CHARS_MAX: usize = 160;
const SENTENCE_CHARS_MAX: usize = 500;
const NAME_CHARS_MAX: usize = 60;
const LABELS_SHOWN_MAX: usize = 8;
const URL_CHARS_MAX: usize = 2_000;

const SUMMARY: &str = "\
{%- if kind == 'resolve' %}Resolved: {% elif kind == 'acknowledge' %}Acknowledged{% if actor %} by {{ actor }}{% endif %}: \
{% elif kind == 'update' %}Update: {% elif again %}Still open: {% endif -%}
{{ head }}";

const HEAD: &str = "\
{% if major %}MAJOR {% endif %}P{{ priority }}{% if about %} {{ about }}{% endif %}\
{% if active %}: {{ firing }} alert{{ '' if firing == 1 else 's' }}, {{ severity }}{% endif %} — {{ title }}";

const BODY: &str = "\
{{ summary }}

{{ id }} is {{ status }}{% if actor %} by {{ actor }}{% endif %}. Opened {{ opened_at }}{% if age %}, {{ age }} ago{% endif %}.
{{ firing }} of {{ total }} alert{{ '' if total == 1 else 's' }} firing · {{ category }}\
{% if team %} · team {{ team }}{% endif %}{% if services %} · {{ services }}{% endif %}
{% if cause %}Probable cause: {{ cause }}
{% endif %}{% if runbook %}Runbook: {{ runbook }}
{% endif %}{% if reason %}Why: {{ reason }}
{% endif %}{% if url %}{{ url }}
{% endif %}{% if shared %}
In common: {{ shared }}
{% endif %}{% if alerts %}
{% for alert in alerts %}- {{ alert.name }}{% if alert.labels %} {{ alert.labels }}{% endif %}
  {{ 'firing since' if alert.firing else 'resolved' }} {{ alert.time }}{% if alert.summary %}: {{ alert.summary }}{% endif %}
{% if alert.runbook %}  {{ alert.runbook }}
{% endif %}{% endfor %}{% if more %}and {{ more }} more
{% endif %}{% endif %}";

const HTML: &str = "\
<!DOCTYPE html>
<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"></head>
<body style=\"font-family:sans-serif;font-size:16px;line-height:1.4;margin:12px\">
<h1 style=\"font-size:18px;margin:0 0 8px\">{{ summary }}</h1>
<p>{% if url %}<a href=\"{{ url }}\">{{ id }}</a>{% else %}{{ id }}{% endif %} is <b>{{ status }}</b>\
{% if actor %} by {{ actor }}{% endif %}. Opened {{ opened_at }}{% if age %}, {{ age }} ago{% endif %}.<br>
{{ firing }} of {{ total }} alert{{ '' if total == 1 else 's' }} firing · {{ category }}\
{% if team %} · team {{ team }}{% endif %}{% if services %} · {{ services }}{% endif %}</p>
{% if cause %}<p>Probable cause: {{ cause }}</p>
{% endif %}{% if runbook %}<p><a href=\"{{ runbook }}\">Runbook</a></p>
{% endif %}{% if reason %}<p>Why: {{ reason }}</p>
{% endif %}{% if shared %}<p>In common: <code>{{ shared }}</code></p>
{% endif %}{% if alerts %}<ul style=\"padding-left:18px\">
{% for alert in alerts %}<li><b>{{ alert.name }}</b>{% if alert.labels %} <code>{{ alert.labels }}</code>{% endif %}<br>
{{ 'firing since' if alert.firing else 'resolved' }} {{ alert.time }}{% if alert.summary %}: {{ alert.summary }}{% endif %}\
{% if alert.runbook %}<br><a href=\"{{ alert.runbook }}\">runbook</a>{% endif %}</li>
{% endfor %}</ul>
{% if more %}<p>and {{ more }} more</p>
{% endif %}{% endif %}</body></html>
";

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates.set_auto_escape_callback(|name| if name == "html" { AutoEscape::Html } else { AutoEscape::None });
    for (name, source) in [("summary", SUMMARY), ("head", HEAD), ("body", BODY), ("html", HTML)] {
        templates.add_template(name, source).expect("a template that the tests compile");
    }
    templates
});

/// A message in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    /// What the incident is, in one line: `P1 checkout: 14 alerts, critical — Database trouble in eu1`.
    pub(crate) head: String,
    /// What the message says, in one line: `Resolved: P1 checkout — Database trouble in eu1`.
    pub(crate) summary: String,
    /// All of it as plain text.
    pub(crate) body: String,
}

/// Puts a message into words. Never longer than some 25,000 characters.
pub(crate) fn words(message: &Message) -> Words {
    let (head, summary) = lines(message);
    let body = render("body", &values(message, &summary));
    Words { head, summary, body }
}

/// The message as a page of HTML, for mail.
pub(crate) fn html(message: &Message) -> String {
    let (_, summary) = lines(message);
    render("html", &values(message, &summary))
}

/// What the incident is and what the message says, a line each.
fn lines(message: &Message) -> (String, String) {
    let incident = &message.incident;
    let head = render(
        "head",
        &context! {
            major => incident.major.is_some(),
            priority => incident.priority,
            about => about(message),
            active => message.kind != NotificationKind::Resolve,
            firing => incident.alerts_firing,
            severity => incident.severity.as_str(),
            title => text::line(&incident.title, TITLE_CHARS_MAX),
        },
    );
    let summary = render(
        "summary",
        &context! {
            kind => message.kind.as_str(),
            again => message.again,
            actor => message.actor.as_deref().map(|name| text::line(name, NAME_CHARS_MAX)),
            head => &head,
        },
    );
    (text::clip_chars(&head, SUMMARY_CHARS_MAX), text::clip_chars(&summary, SUMMARY_CHARS_MAX))
}

/// What it is about in a word or two: its service, and how many more; else its category.
fn about(message: &Message) -> Option<String> {
    let incident = &message.incident;
    match incident.services.as_slice() {
        [] if &*incident.category == "uncategorised" => None,
        [] => Some(text::line(&incident.category, NAME_CHARS_MAX)),
        [one] => Some(text::line(one, NAME_CHARS_MAX)),
        [first, rest @ ..] => Some(format!("{} +{}", text::line(first, NAME_CHARS_MAX), rest.len())),
    }
}

fn values(message: &Message, summary: &str) -> Value {
    let incident = &message.incident;
    let category = match &incident.subcategory {
        Some(sub) => format!("{}/{sub}", incident.category),
        None => incident.category.to_string(),
    };
    let services: Vec<String> = incident.services.iter().take(5).map(|name| text::line(name, NAME_CHARS_MAX)).collect();
    let total = incident.alerts_total as usize;
    let shown = &message.alerts[..message.alerts.len().min(ALERTS_SHOWN_MAX)];
    context! {
        summary => summary,
        id => incident.id.to_string(),
        status => incident.status.as_str(),
        actor => message.actor.as_deref().map(|name| text::line(name, NAME_CHARS_MAX)),
        opened_at => minute(incident.opened_at),
        age => age(message),
        firing => incident.alerts_firing,
        total => total,
        category => text::line(&category, 2 * NAME_CHARS_MAX),
        team => incident.team.as_deref().map(|name| text::line(name, NAME_CHARS_MAX)),
        services => services.join(", "),
        cause => cause(incident).map(|cause| text::line(&cause, SENTENCE_CHARS_MAX)),
        runbook => incident.runbook.as_deref().filter(|link| is_short_link(link)),
        reason => text::line(&message.reason, SENTENCE_CHARS_MAX),
        url => link(message),
        shared => pairs(&incident.labels, &Labels::default()),
        alerts => shown.iter().map(|record| alert_values(record, &incident.labels)).collect::<Vec<Value>>(),
        more => total.saturating_sub(shown.len()),
    }
}

/// The likeliest cause, with the two weightiest reasons; nothing where it only says what the summary says already.
fn cause(incident: &Incident) -> Option<String> {
    let likeliest = incident.causes().first()?;
    let told = matches!(incident.services.as_slice(), [one] if *likeliest.entity == *cause::thing(one));
    let changed = likeliest.reasons.iter().any(|reason| matches!(reason, CauseReason::Changed { .. }));
    (!told || changed).then(|| likeliest.sentence(2))
}

fn alert_values(record: &AlertRecord, shared: &Labels) -> Value {
    let annotations = &record.alert.annotations;
    let said = ["summary", "description", "message"].iter().map(|name| annotations.get(name)).find(|text| !text.is_empty());
    let runbook = annotations.get("runbook_url");
    let name = record.labels().get("alertname");
    context! {
        firing => record.is_firing(),
        name => if name.is_empty() { "alert".to_owned() } else { text::line(name, 2 * NAME_CHARS_MAX) },
        labels => pairs(record.labels(), shared),
        time => minute(record.ends_at.unwrap_or(record.alert.starts_at)),
        summary => said.map(|said| text::line(said, SENTENCE_CHARS_MAX)),
        runbook => is_short_link(runbook).then_some(runbook),
    }
}

/// Labels in short, without the name and without those that `shared` has already.
fn pairs(labels: &Labels, shared: &Labels) -> String {
    let shown: Vec<String> = labels
        .iter()
        .filter(|(name, value)| *name != "alertname" && shared.get(name) != *value)
        .map(|(name, value)| format!("{}={}", text::line(name, NAME_CHARS_MAX), text::line(value, NAME_CHARS_MAX)))
        .collect();
    let more = shown.len().saturating_sub(LABELS_SHOWN_MAX);
    let list = shown.into_iter().take(LABELS_SHOWN_MAX).collect::<Vec<String>>().join(" ");
    if more == 0 { list } else { format!("{list} (+{more})") }
}

/// The link to the incident, if it is one.
pub(crate) fn link(message: &Message) -> Option<&str> {
    message.url.as_deref().filter(|url| is_short_link(url))
}

fn is_short_link(text: &str) -> bool {
    text::is_web_link(text) && text.len() <= URL_CHARS_MAX
}

/// How long ago it opened, to the minute; nothing within the first one.
fn age(message: &Message) -> Option<String> {
    let age = message.now.since(message.incident.opened_at);
    let whole_minutes = Millis(age.0 - age.0.rem_euclid(60_000));
    (whole_minutes.0 > 0).then(|| whole_minutes.to_string())
}

/// A moment as people read it: `2026-01-05 00:00 UTC`.
fn minute(time: Time) -> String {
    let stamp = time.to_rfc3339();
    format!("{} {} UTC", &stamp[..10], &stamp[11..16])
}

fn render(name: &str, values: &Value) -> String {
    let template = TEMPLATES.get_template(name).expect("one of the four templates");
    // A name that is not there is the only way to fail, and every value is.
    template.render(values).expect("a template over all the values that it names")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::sync::Arc;

    use super::*;
    use crate::deliver::sample;
    use crate::model::cause::Symptom;
    use crate::model::{Cause, Reason};

    type Change<'a> = &'a dyn Fn(&mut Message);

    #[test]
    fn reads_well_on_a_phone() {
        let lines = |change: &dyn Fn(&mut Message)| {
            let mut message = sample::message(NotificationKind::Trigger, 2);
            change(&mut message);
            words(&message).summary
        };
        let cases: [(&str, Change); 8] = [
            ("MAJOR P1 checkout: 14 alerts, critical — Database trouble in eu1", &|m| {
                sample::change(m, |incident| incident.major = Some(Reason::Text("".into())));
            }),
            ("P1 checkout: 14 alerts, critical — Database trouble in eu1", &|_| {}),
            ("Still open: P1 checkout: 14 alerts, critical — Database trouble in eu1", &|m| m.again = true),
            ("Update: P1 checkout: 14 alerts, critical — Database trouble in eu1", &|m| m.kind = NotificationKind::Update),
            ("Acknowledged by ann: P1 checkout: 14 alerts, critical — Database trouble in eu1", &|m| {
                m.kind = NotificationKind::Acknowledge;
                m.actor = Some("ann".into());
            }),
            ("Resolved: P1 checkout — Database trouble in eu1", &|m| m.kind = NotificationKind::Resolve),
            ("P1 checkout +2: 1 alert, critical — Database trouble in eu1", &|m| {
                sample::change(m, |incident| {
                    incident.services = ["checkout", "cart", "auth"].map(Into::into).to_vec().into();
                    incident.alerts_firing = 1;
                });
            }),
            ("P1 database: 14 alerts, critical — Database trouble in eu1", &|m| {
                sample::change(m, |incident| incident.services = Vec::new().into());
            }),
        ];
        for (expected, change) in cases {
            assert_eq!(lines(change), expected);
        }
    }

    #[test]
    fn the_body_says_what_why_and_where() {
        let message = sample::message(NotificationKind::Trigger, 2);
        insta::assert_snapshot!(words(&message).body, @r"
        P1 checkout: 14 alerts, critical — Database trouble in eu1

        INC-1042 is open. Opened 2026-01-05 00:00 UTC, 12m ago.
        14 of 14 alerts firing · database/replication · team dba · checkout
        Why: the policy page-dba tells dba-pager at once
        https://quell.example/incidents/INC-1042

        In common: cluster=eu1

        - ReplicationLag host=db-1 severity=critical
          firing since 2026-01-05 00:00 UTC: replica is 40 s behind
        - ReplicationLag host=db-2 severity=critical
          firing since 2026-01-05 00:00 UTC: replica is 40 s behind
        and 12 more
        ");
    }

    #[test]
    fn a_cause_is_told_that_the_summary_does_not_say_already() {
        let came = || CauseReason::Came { after: Millis::ZERO };
        let says = || CauseReason::Says { alert: "DiskFull".into(), symptom: Symptom::Saturated };
        let changed = || CauseReason::Changed { kind: "deploy".into(), summary: "v42".into(), before: Millis::minutes(3) };
        let line = |entity: &str, reasons: Vec<CauseReason>| {
            let mut message = sample::message(NotificationKind::Trigger, 1);
            sample::change(&mut message, |incident| {
                incident.causes = Some(Arc::new(vec![Cause { entity: entity.into(), score: 72, reasons }]));
            });
            let (words, html) = (words(&message), html(&message));
            assert_eq!(words.body.contains("\nProbable cause: "), html.contains("<p>Probable cause: "));
            words.body.lines().find(|line| line.starts_with("Probable cause")).map(str::to_owned)
        };
        let told = "Probable cause: service/cart-db (72): DiskFull says that it runs out of something; it alerted first, which the cause often does not";
        assert_eq!(line("service/cart-db", vec![says(), came(), changed()]).as_deref(), Some(told));
        assert_eq!(line("service/checkout", vec![says(), came()]), None, "the one service that it is about");
        let told = "Probable cause: service/checkout (72): deploy 3m before the first alert of it or of what depends on it: v42";
        assert_eq!(line("service/checkout", vec![changed()]).as_deref(), Some(told));
    }

    #[test]
    fn a_runbook_that_is_a_link_is_told() {
        for (runbook, told) in [("https://runbooks.example/checkout", true), ("javascript:alert(1)", false), ("page 7", false)] {
            let mut message = sample::message(NotificationKind::Trigger, 0);
            sample::change(&mut message, |incident| incident.runbook = Some(runbook.into()));
            let line = format!("\nRunbook: {runbook}\n");
            assert_eq!(words(&message).body.contains(&line), told, "{runbook}");
            assert_eq!(html(&message).contains(">Runbook</a>"), told, "{runbook}");
        }
    }

    #[test]
    fn hostile_text_stays_text() {
        let hostile = "{{ 7*7 }}{% for x in y %}<script>alert(1)</script>\u{1b}[2J\u{202e}\r\nBcc: x@y";
        let mut message = sample::message(NotificationKind::Trigger, 1);
        sample::change(&mut message, |incident| {
            incident.title = hostile.into();
            incident.labels = Labels::from_pairs([("evil", hostile)]).unwrap().into();
            incident.team = Some(hostile.into());
        });
        message.reason = hostile.into();
        message.actor = Some(hostile.into());
        message.url = Some("javascript:alert(1)".into());
        message.alerts =
            vec![sample::alert(&[("alertname", hostile)], &[("summary", hostile), ("runbook_url", "javascript:x")], true)];
        let (words, html) = (words(&message), html(&message));
        assert!(words.summary.contains("{{ 7*7 }}{% for x in y %}<script>alert(1)</script>[2J  Bcc: x@y"), "{}", words.summary);
        for text in [&words.summary, &words.body, &html] {
            assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}') && !text.contains('\r'), "{text}");
            assert!(!text.contains("javascript:") && !text.contains("\nBcc"), "{text}");
        }
        assert!(!html.contains("<script") && html.contains("&lt;script&gt;"), "{html}");
    }

    #[test]
    fn the_largest_message_is_bounded() {
        let long = "ä<&\"".repeat(4_000);
        let many: Vec<(String, &str)> = (0..20).map(|i| (format!("label{i}"), &long[..1_000])).collect();
        let labels: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let mut message = sample::message(NotificationKind::Update, 0);
        let runbook = format!("https://r.example/{}", "x".repeat(1_980));
        message.alerts = (0..super::super::ALERTS_SHOWN_MAX)
            .map(|_| sample::alert(&labels, &[("summary", &long), ("runbook_url", &runbook)], true))
            .collect();
        sample::change(&mut message, |incident| {
            incident.title = long.as_str().into();
            incident.services = vec![long.as_str().into(); 100].into();
            incident.labels = Labels::from_pairs(labels.iter().copied()).unwrap().into();
        });
        message.reason.clone_from(&long);
        let words = words(&message);
        assert!(words.summary.chars().count() <= SUMMARY_CHARS_MAX, "{}", words.summary.chars().count());
        let characters = words.body.chars().count();
        assert!(characters <= 75_000, "{characters}");
        assert!(html(&message).len() < 400_000, "{}", html(&message).len());
    }

    proptest! {
        #[test]
        fn any_text_renders(title in ".{0,300}", name in ".{0,80}", value in ".{0,300}", reason in ".{0,600}", kind in 0usize..4) {
            let kinds =
                [NotificationKind::Trigger, NotificationKind::Update, NotificationKind::Acknowledge, NotificationKind::Resolve];
            let mut message = sample::message(kinds[kind], 0);
            message.alerts = vec![sample::alert(&[(&name, &value), ("alertname", &value)], &[("summary", &value)], true)];
            message.actor = Some(name.clone());
            message.reason = reason;
            sample::change(&mut message, |incident| {
                incident.title = title.as_str().into();
                incident.services = vec![name.as_str().into(), value.as_str().into()].into();
            });
            let words = words(&message);
            prop_assert!(words.summary.lines().count() == 1 && words.summary.chars().count() <= SUMMARY_CHARS_MAX);
            prop_assert!(!words.body.chars().any(|c| c.is_control() && c != '\n'));
            prop_assert!(html(&message).ends_with("</body></html>"));
        }
    }
}
