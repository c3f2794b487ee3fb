//! Monitoring tools: each says every minute what fires, and for a quarter of an hour what has ended; what was not acknowledged
//! it says again after five seconds.

use quell::config::Limits;
use quell::ingest::intake::Intake;
use quell::ingest::source::{Format, Source};
use quell::ingest::{alertmanager, prometheus};
use quell::model::{Millis, Time};
use quell::runtime::stepped::{Stepped, Submitted};

use super::START;
use crate::disk::SimDisk;
use crate::random::Random;

const EVERY: Millis = Millis::minutes(1);
const AGAIN_AFTER: Millis = Millis::seconds(5);
const RESOLVED_FOR: Millis = Millis::minutes(15);

/// One condition on one thing, and when it holds.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) service: String,
    pub(crate) critical: bool,
    /// From when to when; far enough apart that the end of one is heard before the next.
    pub(crate) times: Vec<(Time, Time)>,
}

/// All senders.
pub(crate) struct Senders {
    pub(crate) series: Vec<Series>,
    servers: Vec<Sender>,
    pub(crate) one_alert_a_request: bool,
    pub(crate) each_twice: bool,
}

struct Sender {
    source: &'static str,
    next_at: Time,
    /// How much later than its twin it notices what begins.
    skew: Millis,
}

/// One request's body, with what it says.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    pub(crate) source: &'static str,
    text: String,
    sender: Option<usize>,
    /// Series and occurrence of what it says fires.
    pub(crate) firing: Vec<(usize, usize)>,
    /// Series and occurrence of what it says has ended.
    pub(crate) ended: Vec<(usize, usize)>,
}

/// One alert as it is sent.
#[derive(Clone)]
struct Said {
    text: String,
    /// Series and occurrence.
    which: (usize, usize),
    fires: bool,
}

/// A request under way.
pub(crate) struct Post {
    pub(crate) body: Body,
    submitted: Option<Submitted>,
    refused: bool,
}

impl Senders {
    /// `pair`: two Prometheus servers that watch the same, 15 s apart; otherwise an Alertmanager that says the state in words.
    pub(crate) fn new(series: Vec<Series>, pair: bool) -> Senders {
        let sender = |source, skew| Sender { source, next_at: START + Millis::seconds(1) + skew, skew };
        let servers = if pair {
            vec![sender("prometheus", Millis::ZERO), sender("prometheus", Millis::seconds(15))]
        } else {
            vec![sender("alertmanager", Millis::ZERO)]
        };
        Senders { series, servers, one_alert_a_request: false, each_twice: false }
    }

    /// A dozen series on four services, each with up to two occurrences within `length`.
    pub(crate) fn random(random: &mut Random, length: Millis) -> Vec<Series> {
        let some = |random: &mut Random, most: i64| Millis(i64::try_from(random.below(most.unsigned_abs())).unwrap());
        let count = 4 + random.below(10);
        let series = (0..count).map(|n| {
            let mut times = Vec::new();
            let mut from = START + some(random, length.0 / 2);
            for _ in 0..=random.below(2) {
                let to = from + Millis::minutes(2) + some(random, length.0 / 3);
                times.push((from, to));
                from = to + Millis::minutes(14) + some(random, length.0 / 4);
            }
            Series {
                name: format!("series{n}"),
                service: format!("service{}", random.below(4)),
                critical: random.one_in(2),
                times,
            }
        });
        series.collect()
    }

    /// Whatever still fires ends, and nothing begins any more.
    pub(crate) fn all_end_by(&mut self, now: Time) {
        for series in &mut self.series {
            series.times.retain(|(from, _)| *from < now);
            for (_, to) in &mut series.times {
                *to = (*to).min(now);
            }
        }
    }

    pub(crate) fn next_at(&self) -> Time {
        self.servers.iter().map(|sender| sender.next_at).min().unwrap_or(Time(i64::MAX))
    }

    /// What is to be said now.
    pub(crate) fn due(&mut self, now: Time) -> Vec<Body> {
        let mut bodies = Vec::new();
        for (number, sender) in self.servers.iter_mut().enumerate().filter(|(_, sender)| sender.next_at <= now) {
            sender.next_at = now + EVERY;
            let mut said: Vec<Said> = self.series.iter().enumerate().filter_map(|(at, one)| say(at, one, sender, now)).collect();
            if self.each_twice {
                said = said.into_iter().flat_map(|one| [one.clone(), one]).collect();
            }
            let size = if self.one_alert_a_request { 1 } else { said.len().max(1) };
            bodies.extend(said.chunks(size).map(|said| body(said, number, sender)));
        }
        bodies
    }

    /// Nothing of it is safe: it is said again soon.
    pub(crate) fn refused(&mut self, body: &Body, now: Time) {
        if let Some(sender) = body.sender {
            self.servers[sender].next_at = now + AGAIN_AFTER;
        }
    }
}

/// What a sender has to say of one series now, if anything.
fn say(series: usize, one: &Series, sender: &Sender, now: Time) -> Option<Said> {
    let begun = |(from, _): &(Time, Time)| *from + sender.skew <= now;
    let occurrence = one.times.iter().rposition(begun)?;
    let (from, to) = (one.times[occurrence].0 + sender.skew, one.times[occurrence].1);
    let fires = now < to;
    if !fires && (now.since(to) > RESOLVED_FOR || to <= from) {
        return None;
    }
    let severity = if one.critical { "critical" } else { "warning" };
    let (status, ends_at) = if fires { ("firing", now + Millis::minutes(4)) } else { ("resolved", to) };
    let (name, service) = (&one.name, &one.service);
    let labels = format!(r#"{{"alertname":"{name}","service":"{service}","severity":"{severity}"}}"#);
    let text = format!(r#"{{"status":"{status}","labels":{labels},"startsAt":"{from}","endsAt":"{ends_at}"}}"#);
    Some(Said { text, which: (series, occurrence), fires })
}

fn body(said: &[Said], sender_number: usize, sender: &Sender) -> Body {
    let texts: Vec<&str> = said.iter().map(|said| said.text.as_str()).collect();
    let text = match sender.source {
        "prometheus" => format!("[{}]", texts.join(",")),
        _ => format!(r#"{{"version":"4","alerts":[{}]}}"#, texts.join(",")),
    };
    let (firing, ended): (Vec<&Said>, Vec<&Said>) = said.iter().partition(|said| said.fires);
    let which = |said: Vec<&Said>| said.into_iter().map(|said| said.which).collect();
    Body { source: sender.source, text, sender: Some(sender_number), firing: which(firing), ended: which(ended) }
}

impl Body {
    /// A text that none of the senders is behind.
    pub(crate) fn of(source: &'static str, text: String) -> Body {
        Body { source, text, sender: None, firing: Vec::new(), ended: Vec::new() }
    }
}

impl Post {
    /// Takes a request in as the server does: repeats end in the table, news goes to the engine.
    pub(crate) fn send(body: Body, runtime: &Stepped<SimDisk>, source: &Source, limits: &Limits) -> Post {
        let handle = runtime.handle();
        let mut intake = Intake::new(handle.live(), source, limits, handle.now());
        match &source.format {
            Format::Prometheus => prometheus::read(&body.text, &mut intake).unwrap(),
            Format::Alertmanager => alertmanager::read(&body.text, &mut intake).unwrap(),
            Format::Generic(_) | Format::Tool(_) => unreachable!("no such source"),
        }
        let sorted = intake.finish();
        assert!(sorted.rejected.is_empty(), "{:?} of {}", sorted.rejected, body.text);
        let words = sorted.pending.iter().map(|pending| pending.word).collect();
        let submitted = if sorted.news.is_empty() { None } else { Some(runtime.submit_news(sorted.news, words)) };
        let refused = matches!(submitted, Some(Err(_)));
        Post { body, submitted: submitted.and_then(Result::ok), refused }
    }

    /// Whether it was acknowledged, once that is known.
    pub(crate) fn answered(&mut self) -> Option<bool> {
        if self.refused {
            return Some(false);
        }
        let Some(submitted) = &mut self.submitted else { return Some(true) };
        let Ok(answers) = submitted.answers()? else { return Some(false) };
        for answer in &answers {
            assert!(answer.is_ok(), "{answer:?}");
        }
        Some(true)
    }
}
