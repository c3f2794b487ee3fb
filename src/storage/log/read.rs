//! Reading a log from front to back: by its owner ([`Log::read`](super::Log::read)), or beside a running one ([`LogFiles`]).

use std::io;

use super::commit::Active;
use super::folder::{Closed, Survey, segment_name, survey};
use super::format::{KIND_CHECKPOINT_END, KIND_ENTITY, RecordHeader, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::open::{check_facts, check_version, find_facts, lost_before};
use super::scan::{Behind, Scanner, Step, look_behind};
use super::{Log, LogError, LogItem, Record, SkipDamage, Skipped, io_error};
use crate::storage::disk::{Disk, DiskFile};
use crate::storage::record::{decode_entity, decode_facts};

/// One segment to read, and how much of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) header: SegmentHeader,
    /// Where its records end; unknown for the newest segment of a log that somebody else may be writing.
    pub(super) end: Option<u64>,
    /// The sequence that the next segment begins with.
    pub(super) next_seq: Option<u64>,
}

impl From<&Closed> for Piece {
    fn from(closed: &Closed) -> Piece {
        let known = |n: u64| closed.followed.then_some(n);
        Piece { header: closed.header, end: known(closed.bytes), next_seq: known(closed.last_seq + 1) }
    }
}

impl<D: Disk> Log<D> {
    pub(super) fn pieces(&self) -> Vec<Piece> {
        let Active { header, end, .. } = self.active;
        let newest = Piece { header, end: Some(end), next_seq: Some(self.last_seq + 1) };
        self.closed.iter().map(Piece::from).chain([newest]).collect()
    }
}

/// The files of a log, to look at: changes nothing, needs no lock, may stand beside a daemon that writes.
pub struct LogFiles<D: Disk> {
    disk: D,
    pieces: Vec<Piece>,
    skip: SkipDamage,
}

/// Times that the folder is looked at anew because a running daemon changed it meanwhile.
const LOOKS_MAX: usize = 5;

impl<D: Disk> LogFiles<D> {
    /// Looks at the folder.
    ///
    /// # Errors
    /// As [`Log::open`] for damaged headers, gaps and foreign files; what the disk says.
    pub fn open(disk: D) -> Result<LogFiles<D>, LogError> {
        LogFiles::open_skipping(disk, SkipDamage::default())
    }

    /// As [`LogFiles::open`]; damage in the segments that `skip` names is passed over.
    ///
    /// # Errors
    /// As [`LogFiles::open`] for all other damage.
    pub fn open_skipping(disk: D, skip: SkipDamage) -> Result<LogFiles<D>, LogError> {
        let found = patient_survey(&disk)?;
        let pieces = pieces(&found);
        let newest = found.segments.last().map(|header| header.first_seq);
        match found.faults.into_iter().find(|fault| !skip.covers(fault, newest)) {
            Some(fault) => Err(fault),
            None => Ok(LogFiles { disk, pieces, skip }),
        }
    }

    /// The first sequence that it has, or will have, a record for.
    #[must_use]
    pub fn first_seq(&self) -> u64 {
        self.pieces.first().map_or(1, |piece| piece.header.first_seq)
    }

    /// Everything from the record that holds `from_seq` on, as far as it is written when it is read. A checkpoint is given
    /// only when `from_seq` lies before the oldest record.
    ///
    /// # Errors
    /// What the disk says.
    pub fn read(&self, from_seq: u64) -> Result<LogReader<'_, D>, LogError> {
        LogReader::new(&self.disk, self.pieces.clone(), from_seq, &self.skip)
    }
}

/// Looks at a folder that a running daemon may change meanwhile: a segment that was let go is gone when it is opened.
pub(super) fn patient_survey<D: Disk>(disk: &D) -> Result<Survey, LogError> {
    let mut looks = 1;
    loop {
        match survey(disk) {
            Err(LogError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound && looks < LOOKS_MAX => looks += 1,
            other => return other,
        }
    }
}

/// All segments of a folder, the newest with its end unknown.
pub(super) fn pieces(found: &Survey) -> Vec<Piece> {
    let closed: Vec<_> = found.closed().collect();
    let newest = found.segments.last().map(|header| Piece { header: *header, end: None, next_seq: None });
    closed.iter().map(Piece::from).chain(newest).collect()
}

/// Reads a log from front to back. Ends after its first error.
pub struct LogReader<'a, D: Disk> {
    disk: &'a D,
    pieces: std::vec::IntoIter<Piece>,
    /// The segment that is read now.
    now: Option<Place<D::File>>,
    from_seq: u64,
    /// Whether the first segment's checkpoint is wanted.
    checkpoint: bool,
    skip: &'a SkipDamage,
    failed: bool,
}

/// A place in one segment.
struct Place<F> {
    piece: Piece,
    name: String,
    scanner: Scanner<F>,
    next_seq: u64,
    /// Entities of the checkpoint read so far.
    entities: u32,
}

impl<'a, D: Disk> LogReader<'a, D> {
    pub(super) fn new(
        disk: &'a D,
        mut pieces: Vec<Piece>,
        from_seq: u64,
        skip: &'a SkipDamage,
    ) -> Result<LogReader<'a, D>, LogError> {
        let oldest = pieces.first().map_or(1, |piece| piece.header.first_seq);
        let skipped = pieces.iter().skip(1).take_while(|piece| piece.header.first_seq <= from_seq).count();
        pieces.drain(..skipped);
        let checkpoint = from_seq < oldest;
        let mut reader = LogReader { disk, pieces: pieces.into_iter(), now: None, from_seq, checkpoint, skip, failed: false };
        reader.enter_next()?;
        Ok(reader)
    }

    /// Opens the next segment; `false` when there is none.
    fn enter_next(&mut self) -> Result<bool, LogError> {
        let Some(piece) = self.pieces.next() else {
            self.now = None;
            return Ok(false);
        };
        let name = segment_name(piece.header.first_seq);
        let file = self.disk.open(&name, false).map_err(io_error("opening", &name))?;
        let pos = if self.checkpoint { SEGMENT_HEADER_BYTES as u64 } else { piece.header.records_at };
        self.checkpoint = false;
        let scanner = Scanner::new(file, piece.header.generation, pos, piece.end);
        self.now = Some(Place { piece, name, scanner, next_seq: piece.header.first_seq, entities: 0 });
        Ok(true)
    }

    fn advance(&mut self) -> Result<Option<LogItem>, LogError> {
        loop {
            let Some(place) = &mut self.now else { return Ok(None) };
            match place.next(self.from_seq) {
                Ok(Next::Item(item)) => return Ok(Some(item)),
                Ok(Next::Skipped) => {}
                Ok(Next::End) => {
                    let next_seq = place.next_seq;
                    if !self.enter_next()? {
                        return Ok(None);
                    }
                    if let Some(missing) = self.missing_before(next_seq) {
                        return Ok(Some(LogItem::Skipped(missing)));
                    }
                }
                // A checkpoint is never passed over: it is the state, and nothing behind it makes sense without.
                Err(LogError::Damaged { offset, .. })
                    if offset >= place.piece.header.records_at && self.skip.allows(&place.name) =>
                {
                    return Ok(Some(LogItem::Skipped(place.skip(offset)?)));
                }
                Err(fault) => return Err(fault),
            }
        }
    }
}

impl<D: Disk> LogReader<'_, D> {
    /// What is missing before the segment that was just entered. Whoever looked at the folder has allowed it.
    fn missing_before(&self, next_seq: u64) -> Option<Skipped> {
        let first_seq = self.now.as_ref()?.piece.header.first_seq;
        let is_gap = first_seq > next_seq;
        is_gap.then(|| Skipped { file: segment_name(next_seq), bytes: 0..0, first_seq: next_seq, last_seq: first_seq - 1 })
    }
}

impl<D: Disk> Iterator for LogReader<'_, D> {
    type Item = Result<LogItem, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let item = self.advance();
        self.failed = item.is_err();
        item.transpose()
    }
}

/// What one step through a segment gave.
enum Next {
    Item(LogItem),
    /// Nothing that was asked for.
    Skipped,
    End,
}

impl<F: DiskFile> Place<F> {
    fn next(&mut self, from_seq: u64) -> Result<Next, LogError> {
        let at = self.scanner.pos();
        match self.step()? {
            Step::End => self.finish(),
            Step::Bad(what) => Err(self.damaged(at, what)),
            Step::Record(record) if at < self.piece.header.records_at => self.checkpoint_part(at, &record),
            Step::Record(record) => {
                let next_seq = check_facts(&record, &self.name, at, self.next_seq)?;
                let wanted = next_seq > from_seq;
                let item = if wanted { Next::Item(self.facts(at, &record)?) } else { Next::Skipped };
                self.next_seq = next_seq;
                Ok(item)
            }
        }
    }

    /// One step; in the newest segment of somebody else's log, a place that is being written counts as the end.
    fn step(&mut self) -> Result<Step, LogError> {
        let at = self.scanner.pos();
        let stop = self.scanner.step().map_err(io_error("reading", &self.name))?;
        if matches!(stop, Step::Record(_)) || self.piece.end.is_some() || at < self.piece.header.records_at {
            return Ok(stop);
        }
        let behind = look_behind(self.scanner.file(), self.piece.header.generation, at);
        let Behind::LaterCommit { seq } = behind.map_err(io_error("reading", &self.name))? else { return Ok(Step::End) };
        // The later commit may have come just now; then this place has its record by now, too.
        self.scanner.refresh();
        match self.scanner.step().map_err(io_error("reading", &self.name))? {
            record @ Step::Record(_) => Ok(record),
            stop => Err(self.damaged(at, &lost_before(stop, seq))),
        }
    }

    /// Goes on behind the damage at `bad_at`: at the next whole record, or at the segment's end.
    fn skip(&mut self, bad_at: u64) -> Result<Skipped, LogError> {
        let first_seq = self.next_seq;
        let found = find_facts(self.scanner.file(), &self.piece.header, bad_at, first_seq);
        let found = found.map_err(io_error("reading", &self.name))?.filter(|(at, _)| self.piece.end.is_none_or(|end| *at < end));
        let (to, next_seq) = match (found, self.piece.end) {
            (Some(found), _) => found,
            (None, Some(end)) => (end, self.piece.next_seq.unwrap_or(first_seq)),
            (None, None) => (self.scanner.file().len().map_err(io_error("measuring", &self.name))?, first_seq),
        };
        self.scanner.go_to(to);
        self.next_seq = next_seq;
        Ok(Skipped { file: self.name.clone(), bytes: bad_at..to, first_seq, last_seq: next_seq - 1 })
    }

    fn finish(&self) -> Result<Next, LogError> {
        let at = self.scanner.pos();
        if at < self.piece.header.records_at {
            return Err(self.damaged(at, "the segment ends within its checkpoint"));
        }
        match self.piece.next_seq {
            Some(next) if next != self.next_seq => {
                Err(self.damaged(at, &format!("sequence {} to {} are missing at the segment's end", self.next_seq, next - 1)))
            }
            _ => Ok(Next::End),
        }
    }

    fn checkpoint_part(&mut self, at: u64, record: &RecordHeader) -> Result<Next, LogError> {
        check_version(record, &self.name)?;
        match record.kind {
            KIND_ENTITY => {
                self.entities += 1;
                let entity = decode_entity(record.version, self.scanner.payload()).map_err(|e| self.damaged(at, &e.0))?;
                Ok(Next::Item(LogItem::Entity(entity)))
            }
            KIND_CHECKPOINT_END => {
                let all = self.piece.header.entities;
                if self.entities != all || record.count != all || self.scanner.pos() != self.piece.header.records_at {
                    return Err(self.damaged(at, &format!("the checkpoint has {} of {all} parts", self.entities)));
                }
                Ok(Next::Skipped)
            }
            other => Err(self.damaged(at, &format!("a record of kind {other} in a checkpoint"))),
        }
    }

    fn facts(&self, at: u64, record: &RecordHeader) -> Result<LogItem, LogError> {
        let facts = decode_facts(record.version, self.scanner.payload()).map_err(|e| self.damaged(at, &e.0))?;
        if facts.len() != record.count as usize {
            return Err(self.damaged(at, &format!("{} facts where the record says {}", facts.len(), record.count)));
        }
        Ok(LogItem::Record(Record { first_seq: record.seq, time: record.time, facts }))
    }

    fn damaged(&self, offset: u64, what: &str) -> LogError {
        LogError::Damaged { file: self.name.clone(), offset, after_seq: self.next_seq - 1, what: what.to_owned() }
    }
}
