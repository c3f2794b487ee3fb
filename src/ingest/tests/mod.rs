use std::sync::{Arc, Mutex};

use super::engine::Answers;
use crate::engine::Input;
use crate::model::Time;
use crate::runtime::Live;

/// What stands in for the running engine.
pub(super) struct FakeEngine {
    pub(super) live: Arc<Live>,
    pub(super) now: Time,
    pub(super) answer: Mutex<Box<dyn FnMut(Vec<Input>) -> Answers + Send>>,
}

impl FakeEngine {
    pub(super) fn submit(&self, inputs: Vec<Input>) -> Answers {
        (self.answer.lock().unwrap())(inputs)
    }
}
