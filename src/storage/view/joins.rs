//! Alerts that joined incidents: a row for each run of them that one rule brought into one incident. Owns the row's form,
//! its writing and its reading.
//!
//! A storm has a join for each of its alerts. A row of its own for each, with all that a line of a timeline says, cost 10,000
//! instructions more an alert, and whole numbers and names in it three times the bytes.

use rusqlite::{Transaction, params};
use rustc_hash::FxHashMap;

use super::blocks::{BLOCK_ENTRIES_MAX, ReasonJson};
use super::numbered::Numbered;
use super::timeline::{self, Joined, RuleWords};
use super::write::{ENTRIES_KEPT_MAX, TEXTS_KEPT_MAX, key, put_json, put_list, text};
use super::{TimelineEntry, ViewError};
use crate::model::{IncidentId, RuleRef, Time};

/// The joins of one write, in the order of the log.
pub(super) struct Joins<'a, 's> {
    buffers: &'s mut Buffers,
    rules: Numbered<&'a RuleRef>,
}

/// Memory of writing, which is kept: see [`super::write::Scratch`].
#[derive(Default)]
pub(super) struct Buffers {
    joins: Vec<Join>,
    /// The names of the alerts and the things that they are about, one behind the other.
    texts: String,
}

impl Buffers {
    pub(super) fn clear(&mut self) {
        self.joins.clear();
        self.joins.shrink_to(ENTRIES_KEPT_MAX);
        self.texts.clear();
        self.texts.shrink_to(TEXTS_KEPT_MAX);
    }
}

struct Join {
    incident: IncidentId,
    seq: u64,
    at: Time,
    fired_seq: Option<u64>,
    /// Its number in [`Joins`].
    rule: usize,
    /// Where the alert's name ends among all texts, which begins where the join before ends, and where the thing behind it ends.
    ends: [usize; 2],
}

impl<'a, 's> Joins<'a, 's> {
    /// None yet; the buffers are empty.
    pub(super) fn new(buffers: &'s mut Buffers) -> Joins<'a, 's> {
        Joins { buffers, rules: Numbered::default() }
    }

    pub(super) fn add(&mut self, seq: u64, at: Time, joined: &Joined<'a>) {
        let Joined { incident, rule, fired_seq, name } = joined;
        let Buffers { joins, texts } = &mut *self.buffers;
        let thing = name.put_apart(texts);
        let ends = [texts.len(), texts.len() + thing.len()];
        texts.push_str(thing);
        joins.push(Join { incident: *incident, seq, at, fired_seq: *fired_seq, rule: self.rules.number(rule), ends });
    }

    /// Each occurrence that joined, with its incident.
    pub(super) fn members(&self) -> impl Iterator<Item = (IncidentId, u64)> + '_ {
        self.buffers.joins.iter().filter_map(|join| Some((join.incident, join.fired_seq?)))
    }

    /// Writes them.
    ///
    /// # Errors
    /// What SQLite says.
    pub(super) fn write(&self, transaction: &Transaction<'_>) -> Result<(), ViewError> {
        let joins = &self.buffers.joins;
        let mut insert = transaction.prepare_cached(
            "INSERT INTO join_block (incident, first_seq, last_seq, at, rule, reason, names, joins)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        let (mut reason, mut names, mut array) = (Vec::new(), Vec::new(), Vec::new());
        for run in by_incident(joins).chunk_by(|a, b| {
            let (a, b) = (&joins[*a], &joins[*b]);
            a.incident == b.incident && a.rule == b.rule
        }) {
            let rule = self.rules.all()[joins[run[0]].rule];
            let words = RuleWords(rule).to_string();
            reason.clear();
            put_json(&mut reason, &ReasonJson::rule(rule));
            for block in run.chunks(BLOCK_ENTRIES_MAX) {
                let (first, last) = (&joins[block[0]], &joins[block[block.len() - 1]]);
                self.put_block(block, &mut names, &mut array);
                insert.execute(params![
                    key(first.incident.0),
                    key(first.seq),
                    key(last.seq),
                    first.at.0,
                    words,
                    text(&reason),
                    text(&names),
                    text(&array)
                ])?;
            }
        }
        Ok(())
    }

    /// The two arrays of a row.
    fn put_block(&self, block: &[usize], names: &mut Vec<u8>, array: &mut Vec<u8>) {
        let Buffers { joins, texts } = &*self.buffers;
        let first = &joins[block[0]];
        // Mostly one: alerts of an incident tend to have one name.
        let mut used: Vec<&str> = Vec::new();
        put_list(array, block, |array, place| {
            let join = &joins[*place];
            let begin = place.checked_sub(1).map_or(0, |before| joins[before].ends[1]);
            let (name, thing) = (&texts[begin..join.ends[0]], &texts[join.ends[0]..join.ends[1]]);
            let name = used.iter().position(|known| *known == name).unwrap_or_else(|| {
                used.push(name);
                used.len() - 1
            });
            let back = join.fired_seq.map(|fired_seq| key(join.seq) - key(fired_seq));
            put_json(array, &(join.seq - first.seq, join.at.since(first.at).0, back, name, thing));
        });
        put_list(names, &used, put_json);
    }
}

/// The places of joins in order of incident and, within one, as they stand: by counting, since sorting them took as long as
/// writing them.
fn by_incident(joins: &[Join]) -> Vec<usize> {
    let mut next: FxHashMap<IncidentId, usize> = FxHashMap::default();
    for join in joins {
        *next.entry(join.incident).or_default() += 1;
    }
    let mut incidents: Vec<(IncidentId, &mut usize)> = next.iter_mut().map(|(id, count)| (*id, count)).collect();
    incidents.sort_unstable_by_key(|(id, _)| *id);
    let mut begin = 0;
    for (_, next) in incidents {
        begin += std::mem::replace(next, begin);
    }
    let mut places = vec![0; joins.len()];
    for (place, join) in joins.iter().enumerate() {
        let next = next.entry(join.incident).or_default();
        places[*next] = place;
        *next += 1;
    }
    places
}

/// The columns of a row that a timeline shows.
pub(super) struct Columns<'r> {
    pub(super) first_seq: u64,
    pub(super) at: Time,
    /// In words.
    pub(super) rule: &'r str,
    /// As JSON.
    pub(super) reason: &'r str,
    pub(super) names: &'r str,
    pub(super) joins: &'r str,
}

/// The lines of a timeline that a row is.
///
/// # Errors
/// Text that is no such array.
pub(super) fn read(columns: &Columns<'_>) -> Result<Vec<TimelineEntry>, serde_json::Error> {
    let Columns { first_seq, at, rule, reason, .. } = columns;
    let names: Vec<String> = serde_json::from_str(columns.names)?;
    let joins: Vec<(u64, i64, Option<i64>, usize, String)> = serde_json::from_str(columns.joins)?;
    let entry = |(seq, later, _, name, thing): (u64, i64, Option<i64>, usize, String)| {
        let name = names.get(name).map_or("", |name| name);
        TimelineEntry {
            seq: first_seq.saturating_add(seq),
            at: Time(at.0.saturating_add(later)),
            kind: "alert_joined".to_owned(),
            text: timeline::joined_words(&[name, &thing].concat(), rule),
            actor: None,
            reason: Some((*reason).to_owned()),
        }
    };
    Ok(joins.into_iter().map(entry).collect())
}
