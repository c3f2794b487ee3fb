//! Plays a timeline into an engine, and tells what it decided in lines that people read.
//!
//! A line is `TIME COMMAND`, the time counted from 2026-01-05T00:00:00Z, a Monday. Timers run at the very moment they are
//! due, between the lines.
//!
//! | command | does |
//! | --- | --- |
//! | `fire a=b c="d e" @f=g` | a sender says that an alert with these labels (and annotations) fires |
//! | `resolve a=b` | … that it has resolved |
//! | `fired 5m a=b` | … that it fires, and has done so for so long |
//! | `expire a=b` | nothing was heard of it for too long |
//! | `ack INC-1 ann`, `assign INC-1 ann`, `comment INC-1 text`, `done INC-1 ann`, `reopen INC-1 ann`, `close INC-1 ann`, `major INC-1 why`, `normal INC-1 why` | a person acts |
//! | `silence 1 10m a="b"` | a silence, numbered, from now on for so long |
//! | `silence-all 1 5m a!=""` | a silence that may cover everything |
//! | `silence-later 1 5m 10m a="b"` | a silence that begins after 5m and lasts 10m |
//! | `unsilence 1` | it ends |
//! | `change deploy 5m service=cart cluster=eu1` | a change is reported that began so long ago; further words: `id`, `summary` |
//! | `report alertname="Checkout is slow" service=checkout` | a person reports something, and it is an alert with these labels |
//! | `beat backup` | the heartbeat of this name is there |
//! | `rules NAME` | other rules are in force from now on: those of the block with this name, or `first`, those of the beginning |
//! | `restart` | the daemon is stopped, and started again at the next line; nothing runs meanwhile |
//! | `delivered 1`, `dead 1` | what came of notification 1 |
//! | `receivers a b` | the receivers that exist |
//! | `many 50 2s alertname=A host=h#` | so many alerts, so far apart, `#` being the number of each; only the first and the last are told of |
//! | `show` | the incidents that are open, and the alerts that are suppressed |
//! | `wait` | nothing |

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::{Act, DeliveryOutcome, Engine, EngineOptions, Fact, Input, News, State};
use crate::model::alert::{REPORTS, Step};
use crate::model::incident::{IncidentType, MajorStep};
use crate::model::{
    Actor, Alert, AlertStatus, Change, Incident, IncidentId, Labels, Millis, NotificationId, Reason, Silence, SilenceId, Time,
    cause,
};
use crate::ruleset::{self, Ruleset, SourceFile};

/// 2026-01-05T00:00:00Z.
pub(super) const START: Time = Time(1_767_571_200_000);

/// Reads rules, which must be good.
pub(super) fn rules(text: &str) -> Arc<Ruleset> {
    rules_with(text, &[])
}

/// Reads rules that name these tables.
pub(super) fn rules_with(text: &str, tables: &[SourceFile]) -> Arc<Ruleset> {
    let mut files = vec![SourceFile { name: "rules.yaml".to_owned(), text: text.to_owned() }];
    files.extend_from_slice(tables);
    match ruleset::load(&files, None, ruleset::Limits::default()) {
        Ok(loaded) => Arc::new(loaded.ruleset),
        Err(faults) => panic!("rules do not load: {faults:#?}\n{text}"),
    }
}

/// Plays the commands of a timeline and returns it with what was decided written below each.
pub(super) fn play(rules: Arc<Ruleset>, others: &BTreeMap<String, Arc<Ruleset>>, timeline: &str) -> String {
    let mut story = Story::new(rules.clone());
    story.others = others.clone();
    story.others.insert("first".to_owned(), rules);
    for line in timeline.lines().map(str::trim_end) {
        if line.trim_start().starts_with("=>")
            || line.trim_start().split_once(' ').is_some_and(|(_, r)| r.trim_start().starts_with("=>"))
        {
            continue;
        }
        if !line.is_empty() {
            story.play_line(line);
        }
    }
    story.told
}

pub(super) struct Story {
    pub(super) engine: Engine,
    pub(super) facts: Vec<Fact>,
    /// Rules that may come into force, by name.
    others: BTreeMap<String, Arc<Ruleset>>,
    /// From a restart to the next line.
    down: bool,
    told: String,
}

impl Story {
    pub(super) fn new(rules: Arc<Ruleset>) -> Story {
        let engine = Engine::new(State::new(), rules, EngineOptions::default());
        let mut story = Story { engine, facts: Vec::new(), others: BTreeMap::new(), down: false, told: String::new() };
        story.step(START, Input::Created { directory: "d".into() });
        story
    }

    /// One input at one moment, without telling.
    pub(super) fn step(&mut self, at: Time, input: Input) -> Vec<Fact> {
        let mut facts = Vec::new();
        // Which changes nothing: the properties hold a story's engine against others that never look ahead.
        self.engine.read_ahead(std::slice::from_ref(&input));
        if let Err(refusal) = self.engine.step(at, input, &mut facts) {
            self.line(&format!("        => refused: {refusal:?}"));
        }
        self.facts.extend(facts.iter().cloned());
        facts
    }

    /// The engine that a start makes of what is stored.
    pub(super) fn restart(&mut self) {
        let mut state = State::new();
        self.engine.state().entities().for_each(|entity| state.add(entity));
        state.finish();
        self.engine = Engine::new(state, self.engine.rules().clone(), EngineOptions::default());
        self.down = true;
    }

    fn play_line(&mut self, line: &str) {
        let (offset, command) = line.split_once(char::is_whitespace).unwrap_or((line, "wait"));
        let at = START + Millis::parse(offset).unwrap_or_else(|| panic!("no time: {line}"));
        let down = std::mem::take(&mut self.down);
        while let Some(due) = self.engine.next_timer().filter(|due| *due < at && !down) {
            let facts = self.step(due, Input::Tick);
            self.tell(&format!("{} ", due.since(START)), &facts);
        }
        self.line(line);
        let command = command.trim_start();
        if command == "restart" {
            self.restart();
            return;
        }
        if let Some(names) = command.strip_prefix("receivers ") {
            self.engine.know_receivers(names.split(' ').map(Arc::from).collect());
            return;
        }
        if let Some(many) = command.strip_prefix("many ") {
            self.play_many(at, many);
            return;
        }
        if command == "show" {
            let facts = self.step(at, Input::Tick);
            self.tell("", &facts);
            self.show();
            return;
        }
        let input = match command.strip_prefix("rules ") {
            Some(name) => Input::Rules(self.others.get(name).expect("rules of that name").clone()),
            None => Story::input(command, at),
        };
        let facts = self.step(at, input);
        self.tell("", &facts);
    }

    /// Alerts one after the other. What the first and the last came to is told, and of the others how many facts there were.
    fn play_many(&mut self, at: Time, many: &str) {
        let mut words = many.splitn(3, ' ');
        let count: i64 = words.next().and_then(|word| word.parse().ok()).expect("many COUNT APART LABELS");
        let apart = words.next().and_then(Millis::parse).expect("many COUNT APART LABELS");
        let labels = words.next().expect("many COUNT APART LABELS");
        let mut untold = 0;
        for number in 0..count {
            let now = at + Millis(apart.0 * number);
            while let Some(due) = self.engine.next_timer().filter(|due| *due < now) {
                let facts = self.step(due, Input::Tick);
                self.tell(&format!("{} ", due.since(START)), &facts);
            }
            let fire = format!("fire {}", labels.replace('#', &number.to_string()));
            let facts = self.step(now, Story::input(&fire, now));
            if number == 0 || number == count - 1 {
                if untold > 0 {
                    self.line(&format!("        => … {untold} facts …"));
                }
                self.tell(&format!("{} ", now.since(START)), &facts);
            } else {
                untold += facts.len();
            }
        }
    }

    pub(super) fn input(command: &str, at: Time) -> Input {
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
        let incident = || IncidentId::parse(first).unwrap_or_else(|| panic!("no incident: {command}"));
        let number = || first.parse::<u64>().unwrap_or_else(|_| panic!("no number: {command}"));
        let by = || Actor::Person(if second.is_empty() { "ann" } else { second }.into());
        let act = |act| Input::Act { act, by: by() };
        match verb {
            "fire" => Input::Alert(News { alert: alert(rest, at), status: AlertStatus::Firing, ends_at: None, lasts: None }),
            "fired" => {
                let began = at - Millis::parse(first).expect("fired AGO LABELS");
                Input::Alert(News { alert: alert(second, began), status: AlertStatus::Firing, ends_at: None, lasts: None })
            }
            "resolve" => {
                Input::Alert(News { alert: alert(rest, at), status: AlertStatus::Resolved, ends_at: Some(at), lasts: None })
            }
            "expire" => Input::Expired { fingerprint: alert(rest, at).fingerprint, expired_at: at },
            "ack" => act(Act::Acknowledge(incident())),
            "assign" => Input::Act { act: Act::Assign(incident(), Some(second.into())), by: Actor::Person("ann".into()) },
            "comment" => Input::Act { act: Act::Comment(incident(), second.into()), by: Actor::Person("ann".into()) },
            "done" => act(Act::Resolve(incident())),
            "reopen" => act(Act::Reopen(incident())),
            "close" => act(Act::Close(incident())),
            "major" | "normal" => {
                let to = if verb == "major" { IncidentType::Major } else { IncidentType::Normal };
                Input::Act { act: Act::SetType(incident(), to, second.into()), by: Actor::Person("ann".into()) }
            }
            "silence" => {
                let (length, matchers) = second.split_once(' ').expect("silence NUMBER LENGTH MATCHERS");
                Input::Act { act: Act::SetSilence(silence(number(), at, length, matchers)), by: Actor::Person("ann".into()) }
            }
            "silence-all" => {
                let (length, matchers) = second.split_once(' ').expect("silence-all NUMBER LENGTH MATCHERS");
                act(Act::SetSilenceOfAll(silence(number(), at, length, matchers)))
            }
            "silence-later" => {
                let mut words = second.splitn(3, ' ');
                let mut length = || words.next().and_then(Millis::parse).expect("silence-later NUMBER WAIT LENGTH MATCHERS");
                let (wait, length) = (length(), length());
                let silence = silence(number(), at + wait, &length.to_string(), words.next().expect("matchers"));
                Input::Act { act: Act::SetSilence(silence), by: Actor::Person("ann".into()) }
            }
            "unsilence" => Input::Act { act: Act::EndSilence(SilenceId(u128::from(number()))), by: Actor::Person("ann".into()) },
            "delivered" => {
                Input::Delivery { notification: NotificationId(number()), outcome: DeliveryOutcome::Delivered { remote: None } }
            }
            "dead" => Input::Delivery {
                notification: NotificationId(number()),
                outcome: DeliveryOutcome::Dead { error: "refused".into() },
            },
            "change" => {
                let (ago, said) = second.split_once(' ').expect("change KIND AGO LABELS");
                act(Act::RecordChange(Arc::new(change(first, at, ago, said))))
            }
            "report" => {
                let report = Alert { source: REPORTS.into(), ..Alert::clone(&alert(rest, at)) };
                Input::Act { act: Act::Report(Arc::new(report)), by: Actor::Person("ann".into()) }
            }
            "beat" => Input::Act { act: Act::Beat(first.into()), by: Actor::Person("cron".into()) },
            "wait" => Input::Tick,
            _ => panic!("no such command: {command}"),
        }
    }

    fn tell(&mut self, prefix: &str, facts: &[Fact]) {
        let pad = if prefix.is_empty() { "        " } else { prefix };
        for fact in facts {
            if let Some(text) = self.sentence(fact) {
                self.line(&format!("{pad:<8}=> {text}"));
            }
        }
    }

    fn show(&mut self) {
        let state = self.engine.state();
        let open = state.incidents().filter(|incident| incident.status.is_active());
        let mut lines: Vec<String> = open.map(|incident| summary(incident)).collect();
        let mut suppressed: Vec<String> = state
            .alerts()
            .filter(|record| record.is_suppressed())
            .map(|record| {
                let by: Vec<String> =
                    record.suppressed_by.iter().map(|by| format!("{} {}", by.kind.as_str(), short(&by.id()))).collect();
                format!("suppressed {} by {}", record.labels(), by.join(", "))
            })
            .collect();
        suppressed.sort();
        lines.append(&mut suppressed);
        for line in lines {
            self.line(&format!("        => {line}"));
        }
    }

    fn line(&mut self, line: &str) {
        self.told.push_str(line);
        self.told.push('\n');
    }

    /// What a fact says; nothing for mere planning.
    fn sentence(&self, fact: &Fact) -> Option<String> {
        let labels = |key| self.engine.state().alert(key).map_or_else(|| key_text(key), |record| record.alert.labels.to_string());
        Some(match fact {
            Fact::AlertEnriched { labels, rules, .. } => format!("labels now {labels} ({})", names(rules)),
            Fact::AlertSuppressed { fingerprint, by } => {
                format!("suppressed {} by {} {}", labels(*fingerprint), by.kind.as_str(), short(&by.id()))
            }
            Fact::AlertReleased { fingerprint, by } => {
                format!("released {} from {} {}", labels(*fingerprint), by.kind.as_str(), short(&by.id()))
            }
            Fact::AlertWaiting { rule, until, .. } => format!("waits under {} until {}", rule.name, until.since(START)),
            Fact::AlertLeft { incident, fingerprint, .. } => format!("{incident} left by {}", labels(*fingerprint)),
            Fact::AlertWaitedInVain { rule, dropped, .. } => {
                format!("waited in vain under {}{}", rule.name, if *dropped { ", dropped" } else { "" })
            }
            Fact::AlertFlapping { fingerprint, rule, changes, .. } => {
                format!("flapping {} after {changes} changes ({})", labels(*fingerprint), rule.name)
            }
            Fact::SequenceStepped { rule, step: Step::FIRING, until, .. } => {
                format!("counts for {} until {}", rule.name, until.since(START))
            }
            Fact::SequenceStepped { rule, step, until, .. } => {
                format!("step {} of {} until {}", step + 1, rule.name, until.since(START))
            }
            Fact::AlertBeats { fingerprint, beat: None } => format!("no beat any more: {}", labels(*fingerprint)),
            Fact::AlertBeats { fingerprint, beat: Some(beat) } => match beat.due {
                // That the wait is over stands before what comes of it.
                None if !self.engine.state().alert(*fingerprint).is_some_and(|record| record.is_firing()) => return None,
                None => format!("beat of {} {}", beat.rule.name, beat.key),
                Some(due) => format!("beat of {} {} missed at {}", beat.rule.name, beat.key, due.since(START)),
            },
            Fact::HeartbeatHeard { heartbeat, within, .. } => format!("{heartbeat} beats, again within {within}"),
            Fact::HeartbeatMissed { heartbeat, .. } => format!("{heartbeat} is missed"),
            Fact::HeartbeatPlanned { heartbeat, due: Some(due), .. } => {
                format!("{heartbeat} is missed at {} if not heard of", due.since(START))
            }
            Fact::HeartbeatPlanned { heartbeat, due: None, .. } => format!("{heartbeat} is awaited no more"),
            Fact::BeatMissed { incident, fingerprint, .. } => format!("{incident} misses {}", labels(*fingerprint)),
            Fact::AlertResolved { expired, .. } => if *expired { "alert expired" } else { "alert resolved" }.to_owned(),
            Fact::IncidentOpened { incident, rule, key, title, recurrence_of, .. } => {
                let again = recurrence_of.map(|id| format!(", recurrence of {id}")).unwrap_or_default();
                format!("{incident} opened by {} {key}: {title:?}{again}", rule.name)
            }
            Fact::AlertJoined { incident, fingerprint, .. } => format!("{incident} joined by {}", labels(*fingerprint)),
            Fact::IncidentAttached { incident, parent, .. } => format!("{incident} is part of {parent}"),
            Fact::IncidentTitled { incident, title } => format!("{incident} is now {title:?}"),
            Fact::IncidentClassified { incident, category, subcategory, team, .. } => {
                let subcategory = subcategory.as_deref().unwrap_or("-");
                format!("{incident} classified {category}/{subcategory}, team {}", team.as_deref().unwrap_or("-"))
            }
            Fact::IncidentPrioritized { incident, impact, urgency, reason } => {
                let priority = crate::model::incident::priority(*impact, *urgency);
                format!("{incident} is P{priority} ({})", why(reason))
            }
            Fact::IncidentAcknowledged { incident, by } => format!("{incident} acknowledged by {by}"),
            Fact::IncidentAssigned { incident, assignee, .. } => {
                format!("{incident} assigned to {}", assignee.as_deref().unwrap_or("nobody"))
            }
            Fact::IncidentCommented { incident, text, by } => format!("{incident} commented by {by}: {text}"),
            Fact::IncidentResolved { incident, reason, .. } => format!("{incident} resolved ({})", why(reason)),
            Fact::IncidentReopened { incident, reason } => format!("{incident} reopened ({})", why(reason)),
            Fact::IncidentClosed { incident, reason } => format!("{incident} closed ({})", why(reason)),
            Fact::IncidentWithoutPolicy { incident } => format!("{incident} has no policy"),
            Fact::EscalationPaused { incident, rule } => format!("{incident} escalation {rule} paused"),
            Fact::EscalationContinued { incident, rule, paused_for } => {
                format!("{incident} escalation {rule} goes on after {paused_for}")
            }
            Fact::EscalationEnded { incident, rule, reason } => {
                format!("{incident} escalation {} ended ({})", rule.name, why(reason))
            }
            Fact::EscalationStepped { incident, rule, skipped: true, step } => {
                format!("{incident} step {} of {rule} skipped", step + 1)
            }
            Fact::NotificationQueued { notification: n } => {
                let again = if n.again { " again" } else { "" };
                format!("{} tells {} {}{again} ({})", n.incident, n.receiver, n.kind.as_str(), why(&n.reason))
            }
            Fact::IncidentCausesFound { incident, causes, .. } => {
                let causes: Vec<String> = causes.iter().map(|cause| cause.sentence(usize::MAX)).collect();
                format!("{incident} comes from {}", causes.join("\n        => … or from "))
            }
            Fact::IncidentTypeSet { incident, said } => {
                format!("{incident} is {} by {} ({})", said.incident_type.as_str(), said.by, said.why)
            }
            Fact::MergeHeld { incident, child, .. } => format!("{child} is kept from being part of {incident}"),
            Fact::IncidentDetached { incident, parent } => format!("{incident} is no part of {parent} any more"),
            Fact::IncidentMajor { incident, step: MajorStep::Declared(reason) } => {
                format!("{incident} is a major incident ({})", why(reason))
            }
            Fact::StormBegan { incident, alerts, usual, level, kinds, .. } => {
                let kinds: Vec<String> = kinds.iter().map(ToString::to_string).collect();
                format!(
                    "{incident} is a storm: {alerts} alerts, {usual} are usual, level {level}; seen before: {}",
                    kinds.join(", ")
                )
            }
            Fact::StormKindSeen { incident, of: kind, passed } => {
                format!("{incident} has the first {kind}{}", if *passed { ", which goes on" } else { "" })
            }
            Fact::StormEnded { incident, alerts } => format!("{incident} is a storm no more: {alerts} alerts"),
            Fact::UsualMeasured { rule, key, milli_per_hour, .. } => {
                format!("usual for {rule} {key}: {}.{:03} an hour", milli_per_hour / 1_000, milli_per_hour % 1_000)
            }
            Fact::ChangeRecorded { change } => format!("{} {} of {}", change.kind, change.id, change.things.join(", ")),
            Fact::ChangeForgotten { change, surplus } => {
                format!("change {change} forgotten{}", if *surplus { ", there are too many" } else { "" })
            }
            Fact::MessageTaken { message, .. } => format!("message {} of {} taken", message.id, message.source),
            Fact::NotificationDead { notification, error, .. } => format!("notification {} is dead: {error}", notification.0),
            _ => return None,
        })
    }
}

fn summary(incident: &Incident) -> String {
    format!(
        "{} {} P{} {}/{} team {} {}/{} firing, {} suppressed: {:?}",
        incident.id,
        incident.status.as_str(),
        incident.priority,
        incident.category,
        incident.subcategory.as_deref().unwrap_or("-"),
        incident.team.as_deref().unwrap_or("-"),
        incident.alerts_firing,
        incident.alerts_total,
        incident.alerts_suppressed,
        incident.title
    ) + &incident.parent.map(|parent| format!(" part of {parent}")).unwrap_or_default()
}

fn names(rules: &[crate::model::RuleRef]) -> String {
    rules.iter().map(|rule| rule.name.to_string()).collect::<Vec<_>>().join(", ")
}

fn why(reason: &Reason) -> String {
    match reason {
        Reason::Rule(rule) => format!("rule {}", rule.name),
        Reason::Silence(id) => format!("silence {}", short(&id.to_string())),
        Reason::Alert(_, rule) => format!("an alert, rule {}", rule.name),
        Reason::Actor(actor) => format!("by {actor}"),
        Reason::Text(text) => text.to_string(),
    }
}

/// A silence's id without its leading zeros.
fn short(id: &str) -> &str {
    let bare = id.trim_start_matches(['0', '-']);
    if bare.len() < id.len() && !bare.is_empty() { bare } else { id }
}

fn key_text(key: crate::model::Fingerprint) -> String {
    key.to_string()
}

fn silence(number: u64, at: Time, length: &str, matchers: &str) -> Silence {
    Silence {
        id: SilenceId(u128::from(number)),
        matchers: ruleset::parse_matchers(matchers).expect("good matchers"),
        starts_at: at,
        ends_at: at + Millis::parse(length).expect("a length"),
        updated_at: at,
        created_by: "ann".into(),
        comment: "".into(),
    }
}

/// An alert from `a=b c="d e"`.
/// A change of which these words are said.
fn change(kind: &str, at: Time, ago: &str, said: &str) -> Change {
    let said = alert(said, at).labels.clone();
    let ago = Millis::parse(ago).expect("how long ago it began");
    let id = said.get("id");
    Change {
        id: if id.is_empty() { kind } else { id }.into(),
        kind: kind.into(),
        things: vec![cause::thing(said.get("service"))],
        cluster: Some(said.get("cluster")).filter(|name| !name.is_empty()).map(Arc::from),
        started_at: Time(at.0 - ago.0),
        ended_at: None,
        summary: said.get("summary").into(),
        url: "".into(),
        reported_by: "ci".into(),
        author: None,
        environment: Some(said.get("env")).filter(|name| !name.is_empty()).map(Arc::from),
    }
}

pub(super) fn alert(text: &str, at: Time) -> Arc<Alert> {
    let (mut pairs, mut notes) = (Vec::new(), Vec::new());
    let mut rest = text.trim();
    while let Some((name, tail)) = rest.split_once('=') {
        let (value, tail) = match tail.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').expect("a closing quote"),
            None => tail.split_once(' ').unwrap_or((tail, "")),
        };
        let (name, value) = (name.trim(), value.to_owned());
        match name.strip_prefix('@') {
            Some(name) => notes.push((name.to_owned(), value)),
            None => pairs.push((name.to_owned(), value)),
        }
        rest = tail.trim_start();
    }
    let set = |pairs: &[(String, String)]| {
        Labels::from_pairs(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))).expect("short labels")
    };
    let labels = set(&pairs);
    Arc::new(Alert {
        fingerprint: labels.fingerprint(),
        labels,
        annotations: set(&notes),
        generator_url: "".into(),
        source: "test".into(),
        starts_at: at,
    })
}
