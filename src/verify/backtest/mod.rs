//! Other rules over what has happened: which incidents there would have been, and who would have been paged.
//!
//! The engine is the daemon's, time is the events' own, and no message leaves because a [`Player`] has no senders. Never
//! touches a running daemon: of a data directory it reads the log, which others may be writing.
//!
//! | file | does |
//! | --- | --- |
//! | `history` | the log's facts as what was told then, and what was decided |
//! | `outcome` | what came of each alert, by watching facts |
//! | `compare` | two outcomes of the same alerts |
//! | `assignments` | which alert went into which incident, one a line |
//! | `topology` | a site's inventory as entries of the service catalogue |

pub mod assignments;
pub mod compare;
pub mod history;
pub mod outcome;
#[cfg(test)]
mod tests;
pub mod topology;

use std::sync::Arc;

use crate::engine::{Act, Changes, EngineOptions, Fact, Input};
use crate::model::{Actor, Silence, Time};
use crate::ruleset::Ruleset;
use crate::verify::player::Player;
use outcome::{Outcome, Watcher};

pub use compare::{Comparison, compare};
pub use history::{History, history, replay};

/// What of a site's configuration decides with its rules.
#[derive(Clone, Debug, Default)]
pub struct Site {
    pub options: EngineOptions,
    /// The names of its receivers.
    pub receivers: Vec<Arc<str>>,
    /// What is planned, and set before the first event.
    pub silences: Vec<Silence>,
}

/// Rules at work on events, watched.
#[derive(Debug)]
pub struct Run {
    player: Player,
    watcher: Watcher,
    facts: Vec<Fact>,
}

impl Run {
    /// Rules before the first event, which comes at `start`. What fires from `from` on is counted.
    #[must_use]
    pub fn new(rules: &Arc<Ruleset>, site: &Site, start: Time, from: Time) -> Run {
        let player = Player::of_site(rules, start, site.options, &site.receivers);
        let mut run = Run { player, watcher: Watcher::new(from), facts: Vec::new() };
        for silence in &site.silences {
            run.input(start, Input::Act { act: Act::SetSilenceOfAll(silence.clone()), by: Actor::Engine });
        }
        run
    }

    /// Lets time pass up to `at` and tells the engine something then. What it refuses has not happened.
    pub fn input(&mut self, at: Time, input: Input) {
        self.advance(at);
        drop(self.player.input(at, input, &mut self.facts));
        self.look();
    }

    /// Lets time pass up to and including `at`.
    pub fn advance(&mut self, at: Time) {
        // One moment after the other, because what is watched must be seen before it changes again.
        while let Some(due) = self.player.next_timer().filter(|due| *due <= at) {
            self.player.advance(due, &mut self.facts);
            self.look();
        }
    }

    /// What changed since the last call.
    pub fn take_changes(&mut self) -> Changes {
        self.player.take_changes()
    }

    /// What came of it all.
    #[must_use]
    pub fn finish(self) -> Outcome {
        self.watcher.finish()
    }

    fn look(&mut self) {
        for fact in self.facts.drain(..) {
            self.watcher.note(&fact, self.player.state());
        }
        self.watcher.end_step(self.player.state());
    }
}
