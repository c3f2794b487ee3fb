//! Messages that could not be taken, kept until they can be: a file each, with one line of JSON about the message and behind
//! it the body as it came.
//!
//! They are files of their own and no facts in the log. They decide nothing; a flood of them must not push history out of
//! the log; no state, view or replica has to carry their bodies; and what somebody drops is gone from the disk at once.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::disk::{Disk, UNFINISHED, read_whole, replace};
use crate::model::Time;

/// The version of the form that is written.
const VERSION: u32 = 1;

/// How the names of the files end.
const ENDING: &str = ".reject";

/// One message, without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Grows with the moment of arrival, and is never used again.
    pub id: String,
    pub source: String,
    pub first_at: Time,
    /// When the same body came the last time.
    pub last_at: Time,
    /// How often it came.
    pub times: u64,
    /// Why it was not taken, in words.
    pub error: String,
    /// The places in the message of the alerts that were not taken.
    pub failed: Vec<usize>,
    /// How many alerts were read out of it, taken ones included.
    pub alerts: usize,
    /// The headers that say something of the body.
    pub headers: Vec<(String, String)>,
    /// Bytes of the body.
    pub bytes: u64,
    /// Of source and body: one that comes again is not kept twice.
    sum: u64,
}

/// What is wrong with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub error: String,
    pub failed: Vec<usize>,
    pub alerts: usize,
}

/// What became of a message that was to be kept.
#[derive(Debug, PartialEq, Eq)]
pub struct Kept {
    pub id: String,
    /// It was there already.
    pub again: bool,
    /// What had to go to make room.
    pub fallen_out: Vec<Reject>,
}

/// Why a message was not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    #[error("it is longer than all of the room for messages that cannot be taken, {0} bytes")]
    TooLarge(u64),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// All of them, in a folder of their own.
#[derive(Debug)]
pub struct Rejects<D> {
    disk: D,
    count_max: usize,
    bytes_max: u64,
    /// By id, so the oldest is first.
    kept: BTreeMap<String, Reject>,
    bytes: u64,
    last: (i64, u32),
}

/// The line before the body. Fields are only ever added.
#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
    source: String,
    first_at: i64,
    last_at: i64,
    times: u64,
    error: String,
    failed: Vec<usize>,
    alerts: usize,
    headers: Vec<(String, String)>,
    bytes: u64,
    /// In hexadecimal: JSON's numbers are not exact everywhere.
    sum: String,
}

impl<D: Disk> Rejects<D> {
    /// What the folder has, and the files in it that cannot be read, each with what is wrong. Those stay where they are.
    ///
    /// # Errors
    /// When the folder cannot be looked through.
    pub fn open(disk: D, count_max: usize, bytes_max: u64) -> io::Result<(Rejects<D>, Vec<String>)> {
        let mut rejects = Rejects { disk, count_max, bytes_max, kept: BTreeMap::new(), bytes: 0, last: (0, 0) };
        let mut damaged = Vec::new();
        for name in rejects.disk.list()? {
            if name == UNFINISHED {
                // Nobody was told that this one was kept.
                rejects.disk.remove(&name)?;
                continue;
            }
            let Some(id) = name.strip_suffix(ENDING) else {
                damaged.push(format!("{name}: does not belong here"));
                continue;
            };
            match read_whole(&rejects.disk, &name).map_err(|error| error.to_string()).and_then(|bytes| parse(id, &bytes)) {
                Ok((reject, _)) => {
                    rejects.last = rejects.last.max(place(id));
                    rejects.bytes += reject.bytes;
                    rejects.kept.insert(reject.id.clone(), reject);
                }
                Err(why) => damaged.push(format!("{name}: {why}")),
            }
        }
        Ok((rejects, damaged))
    }

    /// All of them, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Reject> {
        self.kept.values()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Reject> {
        self.kept.get(id)
    }

    /// Keeps a message; it is on disk on return. Where there is no room, the oldest of the source that has most goes: one
    /// that sends much must not push out the others'.
    ///
    /// # Errors
    /// When the disk does not take it, or it is longer than all of them together may be.
    pub fn keep(
        &mut self,
        source: &str,
        body: &str,
        headers: Vec<(String, String)>,
        verdict: Verdict,
        now: Time,
    ) -> Result<Kept, KeepError> {
        let bytes = body.len() as u64;
        if bytes > self.bytes_max {
            return Err(KeepError::TooLarge(self.bytes_max));
        }
        let sum = xxh3_64(format!("{source}\n{body}").as_bytes());
        let known = self.kept.values().find(|it| it.sum == sum && it.source == source && it.bytes == bytes);
        let Verdict { error, failed, alerts } = verdict;
        let reject = match known.cloned() {
            Some(known) => {
                Reject { last_at: known.last_at.max(now), times: known.times + 1, error, failed, alerts, headers, ..known }
            }
            None => Reject {
                id: self.next_id(now),
                source: source.to_owned(),
                first_at: now,
                last_at: now,
                times: 1,
                error,
                failed,
                alerts,
                headers,
                bytes,
                sum,
            },
        };
        self.write(&reject, body)?;
        let (id, again) = (reject.id.clone(), reject.times > 1);
        if self.kept.insert(id.clone(), reject).is_none() {
            self.bytes += bytes;
        }
        Ok(Kept { fallen_out: self.make_room(&id)?, id, again })
    }

    /// The body as it came; `None` where there is no such message.
    ///
    /// # Errors
    /// When it cannot be read any more.
    pub fn body(&self, id: &str) -> io::Result<Option<String>> {
        if !self.kept.contains_key(id) {
            return Ok(None);
        }
        let bytes = read_whole(&self.disk, &file(id))?;
        let (_, body) = parse(id, &bytes).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))?;
        Ok(Some(body))
    }

    /// Notes what is wrong with it now. One that is gone stays gone.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn amend(&mut self, id: &str, verdict: Verdict) -> io::Result<()> {
        let (Some(body), Some(reject)) = (self.body(id)?, self.kept.get(id)) else { return Ok(()) };
        let Verdict { error, failed, alerts } = verdict;
        let reject = Reject { error, failed, alerts, ..reject.clone() };
        self.write(&reject, &body)?;
        self.kept.insert(id.to_owned(), reject);
        Ok(())
    }

    /// Lets go of them; gives those that were there. They are gone from the disk on return.
    ///
    /// # Errors
    /// When the disk fails; those behind the one at fault are still there then.
    pub fn remove(&mut self, ids: &[String]) -> io::Result<Vec<Reject>> {
        let mut removed = Vec::new();
        for id in ids {
            if !self.kept.contains_key(id) {
                continue;
            }
            match self.disk.remove(&file(id)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            if let Some(reject) = self.kept.remove(id) {
                self.bytes -= reject.bytes;
                removed.push(reject);
            }
        }
        if !removed.is_empty() {
            self.disk.sync_folder()?;
        }
        Ok(removed)
    }

    fn make_room(&mut self, newest: &str) -> io::Result<Vec<Reject>> {
        let mut fallen_out = Vec::new();
        while self.kept.len() > self.count_max || self.bytes > self.bytes_max {
            let by_bytes = self.bytes > self.bytes_max;
            let mut held: BTreeMap<&str, u64> = BTreeMap::new();
            for reject in self.kept.values() {
                *held.entry(&reject.source).or_default() += if by_bytes { reject.bytes } else { 1 };
            }
            let fullest = held.iter().max_by_key(|(_, held)| **held).map(|(source, _)| *source);
            let oldest = |it: &&Reject| it.id != newest;
            let of_fullest = self.kept.values().filter(oldest).find(|it| Some(&*it.source) == fullest);
            let Some(goes) = of_fullest.or_else(|| self.kept.values().find(oldest)).map(|it| it.id.clone()) else { break };
            fallen_out.extend(self.remove(&[goes])?);
        }
        Ok(fallen_out)
    }

    /// Of the moment, so that ids sort by age; never one that was given before, even where the clock was set back.
    fn next_id(&mut self, now: Time) -> String {
        self.last = if now.0 > self.last.0 { (now.0, 0) } else { (self.last.0, self.last.1 + 1) };
        format!("{:013}-{:04}", self.last.0, self.last.1)
    }

    fn write(&self, reject: &Reject, body: &str) -> io::Result<()> {
        let head = Head {
            version: VERSION,
            source: reject.source.clone(),
            first_at: reject.first_at.0,
            last_at: reject.last_at.0,
            times: reject.times,
            error: reject.error.clone(),
            failed: reject.failed.clone(),
            alerts: reject.alerts,
            headers: reject.headers.clone(),
            bytes: reject.bytes,
            sum: format!("{:016x}", reject.sum),
        };
        let mut bytes = serde_json::to_vec(&head)?;
        bytes.push(b'\n');
        bytes.extend_from_slice(body.as_bytes());
        replace(&self.disk, &file(&reject.id), &bytes)
    }
}

fn file(id: &str) -> String {
    format!("{id}{ENDING}")
}

/// The numbers that an id is made of; zeros for one that is none of ours.
fn place(id: &str) -> (i64, u32) {
    let parts = id.split_once('-').and_then(|(at, count)| Some((at.parse().ok()?, count.parse().ok()?)));
    parts.unwrap_or_default()
}

/// A file's bytes as a message and its body.
fn parse(id: &str, bytes: &[u8]) -> Result<(Reject, String), String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let (head, body) = text.split_once('\n').ok_or("has no first line")?;
    let head: Head = serde_json::from_str(head).map_err(|error| format!("its first line cannot be read: {error}"))?;
    if head.version > VERSION {
        return Err(format!("is of version {}, and this program knows {VERSION}", head.version));
    }
    let sum = u64::from_str_radix(&head.sum, 16).map_err(|error| error.to_string())?;
    if body.len() as u64 != head.bytes || xxh3_64(format!("{}\n{body}", head.source).as_bytes()) != sum {
        return Err("its body is not what was kept".to_owned());
    }
    let reject = Reject {
        id: id.to_owned(),
        source: head.source,
        first_at: Time(head.first_at),
        last_at: Time(head.last_at),
        times: head.times,
        error: head.error,
        failed: head.failed,
        alerts: head.alerts,
        headers: head.headers,
        bytes: head.bytes,
        sum,
    };
    Ok((reject, body.to_owned()))
}
