//! People, who acknowledge some of what is open, sooner or later.

use quell::engine::{Act, Input};
use quell::model::{Actor, IncidentStatus};
use quell::runtime::stepped::Stepped;

use crate::disk::SimDisk;
use crate::random::Random;

/// How eager they are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct People {
    /// In each so many moments somebody acknowledges something. 0: nobody ever does.
    pub(crate) acknowledge_one_in: u64,
}

impl People {
    /// What they do now. Nobody waits for the answer.
    pub(crate) fn act(self, runtime: &Stepped<SimDisk>, random: &mut Random) {
        if self.acknowledge_one_in == 0 || !random.one_in(self.acknowledge_one_in) {
            return;
        }
        let mut open = runtime.handle().live().incidents();
        open.retain(|incident| incident.status == IncidentStatus::Open);
        open.sort_unstable_by_key(|incident| incident.id);
        if let Some(chosen) = open.get(usize::try_from(random.below(open.len() as u64)).unwrap()) {
            let act = Act::Acknowledge(chosen.id);
            drop(runtime.submit(vec![Input::Act { act, by: Actor::Person("sam".into()) }]));
        }
    }
}
