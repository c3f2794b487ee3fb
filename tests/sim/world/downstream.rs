//! Pagers and chats at the other end: they keep state, know a message by its id and an incident by its key, and fail as they
//! are told to.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use quell::deliver::{Delivery, Fault, Message, Receiver, retry};
use quell::model::{Millis, NotificationKind, Time};
use quell::runtime::stepped::{ATTEMPT_MAX, Stepped};

use crate::disk::SimDisk;
use crate::random::Random;

/// How a receiver answers for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    /// Takes the message, but the answer is lost on the way.
    AnswerLost,
    /// Takes the message and never answers.
    TakesAndHangs,
    /// Does not even take it, and never answers.
    Hangs,
    /// The connection breaks before anything is taken.
    Resets,
    /// This status, with this `Retry-After`; nothing is taken.
    Status(u16, &'static str),
    /// 200, with an error in the body; nothing is taken.
    ErrorInBody,
}

/// Every mood that a receiver may fall into.
pub(crate) const MOODS: [Mood; 21] = [
    Mood::AnswerLost,
    Mood::TakesAndHangs,
    Mood::Hangs,
    Mood::Resets,
    Mood::ErrorInBody,
    Mood::Status(500, ""),
    Mood::Status(502, ""),
    Mood::Status(503, "5"),
    Mood::Status(504, ""),
    Mood::Status(429, "0"),
    Mood::Status(429, "30"),
    Mood::Status(429, "86400"),
    Mood::Status(429, "Mon, 05 Jan 2026 00:20:00 GMT"),
    Mood::Status(429, "soon"),
    Mood::Status(400, ""),
    Mood::Status(401, ""),
    Mood::Status(403, ""),
    Mood::Status(404, ""),
    Mood::Status(410, ""),
    Mood::Status(413, ""),
    Mood::Well,
];

/// A receiver's own side.
pub(crate) struct Downstream {
    /// From when on it is in which mood.
    moods: Vec<(Time, Mood)>,
    /// Every attempt that reached it.
    pub(crate) attempts: Vec<Seen>,
    /// What it took, in order, each id once.
    pub(crate) taken: Vec<Seen>,
    /// Whether each key is open.
    pub(crate) open: BTreeMap<String, bool>,
    /// How often each key rang: a trigger on one that was not open.
    pub(crate) rang: BTreeMap<String, u32>,
}

/// One message as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Time,
    pub(crate) id: u64,
    pub(crate) key: String,
    pub(crate) incident: u64,
    pub(crate) kind: NotificationKind,
}

/// What an attempt will come to, and after how long.
pub(crate) struct Outcome {
    pub(crate) delivery: Delivery,
    pub(crate) takes: Millis,
}

impl Downstream {
    /// One that is well, or one that falls into a new mood every few minutes.
    pub(crate) fn new(name: &str, falters: bool, random: &mut Random) -> Downstream {
        let mut moods = vec![(super::START, Mood::Well)];
        // The last resort is sound: it has to be.
        if falters && name != "default" {
            let mut at = super::START;
            for _ in 0..12 {
                at = at + Millis(i64::try_from(random.below(10 * 60_000)).unwrap());
                moods.push((at, MOODS[usize::try_from(random.below(MOODS.len() as u64)).unwrap()]));
                at = at + Millis(i64::try_from(random.below(5 * 60_000)).unwrap());
                moods.push((at, Mood::Well));
            }
        }
        Downstream { moods, attempts: Vec::new(), taken: Vec::new(), open: BTreeMap::new(), rang: BTreeMap::new() }
    }

    /// It is in this mood from then on, until the next such word.
    pub(crate) fn set_mood(&mut self, from: Time, mood: Mood) {
        self.moods.retain(|(at, _)| *at < from);
        self.moods.push((from, mood));
    }

    pub(crate) fn is_well_from(&mut self, from: Time) {
        self.set_mood(from, Mood::Well);
    }

    /// A message arrives.
    pub(crate) fn take(&mut self, message: &Message, now: Time, random: &mut Random) -> Outcome {
        let id = message.id.rsplit('-').next().and_then(|id| id.parse().ok()).unwrap();
        let seen = Seen { at: now, id, key: message.key.clone(), incident: message.incident.id.0, kind: message.kind };
        self.attempts.push(seen.clone());
        let mood = self.moods.iter().rev().find(|(from, _)| *from <= now).map_or(Mood::Well, |(_, mood)| *mood);
        let quick = Millis(20 + i64::try_from(random.below(300)).unwrap());
        let forever = Millis(i64::try_from(ATTEMPT_MAX.as_millis()).unwrap());
        let failed = |fault, error: &str| Delivery::TryAgain { fault, error: error.to_owned(), retry_after: None };
        if matches!(mood, Mood::Well | Mood::AnswerLost | Mood::TakesAndHangs) {
            self.accept(seen);
        }
        let (delivery, takes) = match mood {
            Mood::Well => (Delivery::Taken { remote: None }, quick),
            Mood::AnswerLost | Mood::Resets => (failed(Fault::Network, "connection reset"), quick),
            Mood::TakesAndHangs | Mood::Hangs => (Stepped::<SimDisk>::no_answer(), forever),
            Mood::ErrorInBody => (failed(Fault::Server, "not the answer that was expected"), quick),
            Mood::Status(status, retry_after) => (judge(status, retry_after, message.now), quick),
        };
        Outcome { delivery, takes }
    }

    fn accept(&mut self, seen: Seen) {
        if self.taken.iter().any(|before| before.id == seen.id) {
            return;
        }
        let open = self.open.entry(seen.key.clone()).or_default();
        match seen.kind {
            NotificationKind::Trigger if !*open => {
                *open = true;
                *self.rang.entry(seen.key.clone()).or_default() += 1;
            }
            NotificationKind::Resolve => *open = false,
            _ => {}
        }
        self.taken.push(seen);
    }
}

/// What the program's HTTP client makes of a status (its own tests hold it to this table).
fn judge(status: u16, retry_after: &str, now: Time) -> Delivery {
    let fault = match status {
        401 | 403 => Fault::Auth,
        429 => Fault::Throttled,
        500.. => Fault::Server,
        _ => return Delivery::Refused { fault: Fault::Rejected, error: format!("HTTP {status}") },
    };
    Delivery::TryAgain { fault, error: format!("HTTP {status}"), retry_after: retry::parse_retry_after(retry_after, now) }
}

/// What the runtime sees of a receiver before it makes an attempt: its kind.
pub(crate) struct Stand {
    is_pager: bool,
}

impl Stand {
    pub(crate) fn receiver(name: &str) -> Arc<dyn Receiver> {
        Arc::new(Stand { is_pager: matches!(name, "pager" | "managers") })
    }
}

impl Receiver for Stand {
    fn kind(&self) -> &'static str {
        "simulated"
    }

    fn is_pager(&self) -> bool {
        self.is_pager
    }

    fn deliver<'a>(&'a self, _: &'a Message) -> Pin<Box<dyn Future<Output = Delivery> + Send + 'a>> {
        unreachable!("the world makes the attempts")
    }
}
