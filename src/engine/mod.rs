//! The pure core: state, input and time in, facts out.
//!
//! No IO, no clock, no randomness, no hash-map order; time is an argument. Each stage reads the state and decides;
//! [`Engine::record`] is the only way to change anything. The shell (`runtime`) stamps time, writes the facts to the
//! log and carries out what they owe.
//!
//! | file | decides |
//! | --- | --- |
//! | `news` | what a sender's word means: a new occurrence, a resolve, nothing |
//! | `enrich` | labels |
//! | `suppress`, `inhibit`, `flapping` | whether anybody may hear of an alert now |
//! | `correlate`, `threshold`, `heartbeat`, `sequence`, `topology`, `ties`, `storms` | into which incident it goes |
//! | `classify`, `prioritize` | category, team; impact, urgency |
//! | `major` | whether it is a major incident, and which others are parts of that |
//! | `escalate` | who is told, when, how often |
//! | `succession` | who is told once the rules have changed |
//! | `matched`, `conditions` | which rules hold for an alert by their matchers, and for an incident by `when` |
//! | `lifecycle`, `acts` | resolving, reopening, closing; what people do |
//! | `reports` | where what a person reports goes |
//! | `named_heartbeats` | whether a heartbeat that a rule file names is missed |
//! | `reported`, `causes` | what people have changed of late; what an incident probably comes from |
//! | `sweep` | what may leave the memory |
//! | `ahead` | nothing: it brings near what the others will ask for |
//!
//! Tests: `tests.rs` beside this file, and the running documents in `tests/spec`.

mod acts;
mod ahead;
mod causes;
mod classify;
mod conditions;
mod correlate;
mod enrich;
pub mod entity;
mod escalate;
pub mod fact;
mod flapping;
mod heartbeat;
mod inhibit;
pub mod input;
mod lifecycle;
mod major;
mod matched;
mod named_heartbeats;
mod news;
mod prioritize;
mod reported;
mod reports;
mod sequence;
pub mod state;
mod storms;
mod succession;
mod suppress;
mod sweep;
#[cfg(test)]
mod tests;
mod threshold;
mod ties;
mod topology;

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Labels, Millis, RuleRef, TakenMessage, Time};
use crate::ruleset::{MatcherIndex, Ruleset};

pub use entity::{Changes, Entity, Meta};
pub use fact::Fact;
pub use input::{Act, Answer, DeliveryOutcome, Input, News, Refusal, Reported};
pub use state::State;
use state::Timer;

/// The receiver that is told when no policy fits, and as a last resort when another cannot be reached.
const DEFAULT_RECEIVER: &str = "default";

/// Rounds of timers in one step. What is decided now needs two: a fall of priority, and the update that tells of it.
const TIMER_ROUNDS_MAX: usize = 4;

/// Limits and lengths that are the engine's own.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// Alerts that may fire at once.
    pub active_alerts: usize,
    /// Alerts that one incident takes; the next one opens another incident.
    pub alerts_per_incident: u32,
    /// Incidents that one rule makes parts of others within an hour; further ones stand for themselves.
    pub merges_per_hour: usize,
    /// A resolved incident that its own alert comes back to within this reopens; later, it is a new incident.
    pub reopen_within: Millis,
    /// Resolved alerts that are kept for that, the youngest; those beyond find their way by the rules alone.
    pub returning_alerts: usize,
    /// A resolved incident closes by itself after this.
    pub close_after: Millis,
    /// A lower priority takes hold after it has fitted for this long.
    pub fall_after: Millis,
    /// Reported changes in memory; beyond them the oldest leave.
    pub changes: usize,
    /// A reported change leaves the memory this long after it was made.
    pub changes_kept: Millis,
    /// Messages of one source that are remembered; beyond them the oldest are forgotten.
    pub messages_per_source: u32,
}

impl Default for EngineOptions {
    fn default() -> EngineOptions {
        EngineOptions {
            active_alerts: 2_000_000,
            alerts_per_incident: 100_000,
            merges_per_hour: 1_000,
            reopen_within: Millis::hours(24),
            returning_alerts: 50_000,
            close_after: Millis::hours(7 * 24),
            fall_after: Millis::minutes(10),
            changes: 10_000,
            changes_kept: Millis::hours(24),
            messages_per_source: 100_000,
        }
    }
}

/// The state, the rules in force, and what is derived from both.
#[derive(Debug)]
pub struct Engine {
    state: State,
    rules: Arc<Ruleset>,
    receivers: Arc<[Arc<str>]>,
    options: EngineOptions,
    now: Time,
    /// What the present step has decided so far.
    facts: Vec<Fact>,
    positions: Positions,
    inhibitions: inhibit::Inhibitions,
    conditions: conditions::Conditions,
    ties: ties::Ties,
    /// Whether any rule counts changes; where none does, alerts pass without a look.
    counts_changes: bool,
    /// Whether any rule waits for beats; likewise.
    awaits_beats: bool,
    silences: suppress::ActiveSilences,
    /// When the windows of `during` rules begin: time and position of the rule.
    window_starts: BTreeSet<(Time, usize)>,
    next_sweep: Time,
    storms: storms::Storms,
    /// When storms that go on are looked at; `None` while there are none.
    next_storm_look: Option<Time>,
    matched: matched::Matched,
    habit: ahead::Habit,
    /// Buffers for look-ups in an index, which may nest.
    buffers: Vec<Vec<u32>>,
}

/// Where each rule stands in its stage now, by name: facts and entities name rules, which a reload may have moved or removed.
#[derive(Debug, Default)]
struct Positions {
    correlate: FxHashMap<Arc<str>, usize>,
    classify: FxHashMap<Arc<str>, usize>,
    prioritize: FxHashMap<Arc<str>, usize>,
    escalate: FxHashMap<Arc<str>, usize>,
    /// Which classify rules name category, subcategory and team.
    naming: [classify::Naming; 3],
}

impl Positions {
    fn of(rules: &Ruleset) -> Positions {
        fn by_name<'a>(rules: impl Iterator<Item = &'a RuleRef>) -> FxHashMap<Arc<str>, usize> {
            rules.enumerate().map(|(position, rule)| (rule.name.clone(), position)).collect()
        }
        Positions {
            correlate: by_name(rules.correlate.iter().map(|rule| &rule.rule)),
            classify: by_name(rules.classify.iter().map(|rule| &rule.rule)),
            prioritize: by_name(rules.prioritize.iter().map(|rule| &rule.rule)),
            escalate: by_name(rules.escalate.iter().map(|rule| &rule.rule)),
            naming: classify::Naming::of(&rules.classify),
        }
    }
}

impl Engine {
    /// Puts a state under rules. They must be the rules that shall decide from now on: timers that have come due since
    /// the state was left run at the first step, and what they let go is correlated by these. [`Input::Rules`] with the same
    /// rules must follow, so that what they cover and no longer cover is looked at.
    #[must_use]
    pub fn new(state: State, rules: Arc<Ruleset>, options: EngineOptions) -> Engine {
        let now = state.time();
        let mut engine = Engine {
            state,
            rules,
            receivers: Arc::from([]),
            options,
            now,
            facts: Vec::new(),
            positions: Positions::default(),
            inhibitions: inhibit::Inhibitions::default(),
            conditions: conditions::Conditions::default(),
            ties: ties::Ties::default(),
            counts_changes: false,
            awaits_beats: false,
            silences: suppress::ActiveSilences::default(),
            window_starts: BTreeSet::new(),
            next_sweep: sweep::next_after(now),
            storms: storms::Storms::default(),
            next_storm_look: None,
            matched: matched::Matched::default(),
            habit: ahead::Habit::default(),
            buffers: Vec::new(),
        };
        engine.derive_from_rules();
        engine
    }

    /// Tells the names of the receivers that exist. One named `default` is told where no policy fits.
    pub fn know_receivers(&mut self, names: Arc<[Arc<str>]>) {
        self.receivers = names;
    }

    /// The state as it stands.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> &Arc<Ruleset> {
        &self.rules
    }

    /// The time of the last step; never goes backwards.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// Runs the timers that are due, then the input, and appends what it decided to `out` as one group.
    ///
    /// # Errors
    /// Why the input was refused; what due timers decided is in `out` all the same.
    pub fn step(&mut self, now: Time, input: Input, out: &mut Vec<Fact>) -> Result<Answer, Refusal> {
        self.now = self.now.max(now);
        self.run_timers();
        let answer = match input {
            Input::Alert(news) => self.take_news(news),
            Input::Ended { fingerprint, ends_at, .. } => Ok(self.end_unknown(fingerprint, ends_at)),
            Input::Expired { fingerprint, expired_at } => Ok(self.expire(fingerprint, expired_at)),
            Input::Act { act, by } => self.act(act, by),
            Input::Delivery { notification, outcome } => self.take_outcome(notification, outcome),
            Input::Message(message) => Ok(self.take_message(message)),
            Input::Rules(rules) => {
                self.take_rules(rules);
                Ok(Answer::Done)
            }
            Input::Created { directory } => {
                self.record(Fact::Created { directory });
                Ok(Answer::Done)
            }
            Input::ClockJumped { by } => {
                self.move_plans(by);
                Ok(Answer::Done)
            }
            Input::Tick => Ok(Answer::Done),
        };
        // What the input has made due at once (an update that its pace allows) belongs to the same group.
        self.run_timers();
        out.append(&mut self.facts);
        answer
    }

    /// When the next timer is due, if there is any.
    #[must_use]
    pub fn next_timer(&self) -> Option<Time> {
        let starts = self.window_starts.first().map(|(due, _)| *due);
        let own = self.state.next_timer();
        [starts, own, self.next_storm_look, Some(self.next_sweep)].into_iter().flatten().min()
    }

    /// What changed since the last call: the present records, for the live tables and the view.
    pub fn take_changes(&mut self) -> Changes {
        self.state.take_changes()
    }

    /// Counters and names of the whole.
    #[must_use]
    pub fn meta(&self) -> Meta {
        self.state.meta()
    }

    /// Writes a fact down and applies it. Nothing else changes the state.
    fn record(&mut self, fact: Fact) {
        self.state.apply(self.state.seq() + 1, self.now, &fact);
        self.matched.follow_fact(&fact);
        self.follow_fact_for_storms(&fact);
        self.facts.push(fact);
    }

    /// Remembers a message. One that is known already was taken by whoever came first.
    fn take_message(&mut self, message: Arc<TakenMessage>) -> Answer {
        if self.state.messages.get(&message.source, message.id).is_some_and(|known| known.until > self.now) {
            return Answer::Repeat;
        }
        self.record(Fact::MessageTaken { message, most: self.options.messages_per_source });
        Answer::Done
    }

    fn take_rules(&mut self, rules: Arc<Ruleset>) {
        // A start with the rules that were in force before is no news: a daemon that restarts in a loop must not fill the log.
        if self.state.rules_digest() != Some(rules.digest) {
            let count = u32::try_from(rules.len()).unwrap_or(u32::MAX);
            self.record(Fact::RulesLoaded { digest: rules.digest, rules: count });
        }
        self.rules = rules;
        self.derive_from_rules();
        self.review_suppressions();
        self.review_beats();
        self.review_heartbeats();
        self.follow_rules();
    }

    /// Rebuilds what hangs on both the rules and the state.
    fn derive_from_rules(&mut self) {
        self.matched.forget();
        self.positions = Positions::of(&self.rules);
        self.silences = suppress::ActiveSilences::of(&self.state, self.now);
        self.inhibitions = inhibit::Inhibitions::of(&self.state, &self.rules);
        self.conditions = conditions::Conditions::of(&self.state, &self.rules);
        self.ties = ties::Ties::of(&self.state, &self.rules);
        self.counts_changes = self.rules.counts_changes();
        self.awaits_beats = self.rules.longest_beat().is_some();
        self.storms = storms::Storms::of(&self.state.alerts, &self.rules, self.now);
        self.plan_storm_look();
        self.plan_windows();
    }

    /// Runs what is due, and what that makes due at once. A step ends whatever is decided in it: what is still due after
    /// so many rounds waits for the next one.
    fn run_timers(&mut self) {
        for _ in 0..TIMER_ROUNDS_MAX {
            let due = self.state.pop_timers(self.now);
            if due.is_empty() {
                break;
            }
            for timer in due {
                self.run_timer(timer);
            }
        }
        self.start_due_windows();
        self.miss_due_heartbeats();
        self.look_at_storms();
        if self.next_sweep <= self.now {
            self.measure_usual(sweep::last_before(self.now));
            self.next_sweep = sweep::next_after(self.now);
            self.sweep();
        }
    }

    /// What came before in the same round may have moved what this one was for, so each looks at what is due now.
    fn run_timer(&mut self, timer: Timer) {
        match timer {
            Timer::SuppressionEnds(fingerprint) => self.end_timed_suppressions(fingerprint),
            Timer::WaitEnds(fingerprint) => self.wait_in_vain(fingerprint),
            Timer::BeatDue(fingerprint) => self.miss_beat(fingerprint),
            Timer::SilenceStarts(id) => self.start_silence(id),
            Timer::SilenceEnds(id) => self.review_silence(id),
            Timer::Resolve(id) => self.resolve_if_still_clear(id),
            Timer::Fall(id) => self.fall(id),
            Timer::Close(id) => self.close_when_due(id),
            Timer::Retitle(id) => self.retitle(id),
            Timer::Policy(id) => self.run_policies(id),
            Timer::Causes(id) => self.look_for_causes(id),
            Timer::Major(id) => self.declare_when_due(id),
        }
    }

    /// The numbers in `index` that hold for the labels, in a buffer that [`Engine::give_back`] takes again.
    fn look_up(&mut self, index: impl Fn(&Ruleset) -> &MatcherIndex, labels: &Labels) -> Vec<u32> {
        let mut found = self.buffer();
        index(&self.rules).matching(labels, &mut found);
        found
    }

    fn buffer(&mut self) -> Vec<u32> {
        self.buffers.pop().unwrap_or_default()
    }

    fn give_back(&mut self, mut found: Vec<u32>) {
        found.clear();
        self.buffers.push(found);
    }
}
