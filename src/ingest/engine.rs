//! The way to the engine, with a stand-in for tests.

use std::sync::Arc;

use crate::engine::{Answer, Input, Refusal};
use crate::model::Time;
use crate::runtime::live::Word;
use crate::runtime::{Handle, Live, NotTaken, SubmitError};

/// What the engine said to each input, in order.
pub(super) type Answers = Result<Vec<Result<Answer, Refusal>>, SubmitError>;

/// Where news goes.
pub(super) enum Engine {
    Running(Handle),
    #[cfg(test)]
    Fake(super::tests::FakeEngine),
}

impl Engine {
    pub(super) fn live(&self) -> &Arc<Live> {
        match self {
            Engine::Running(handle) => handle.live(),
            #[cfg(test)]
            Engine::Fake(fake) => &fake.live,
        }
    }

    pub(super) fn now(&self) -> Time {
        match self {
            Engine::Running(handle) => handle.now(),
            #[cfg(test)]
            Engine::Fake(fake) => fake.now(),
        }
    }

    /// Time that goes on evenly.
    pub(super) fn even(&self) -> Time {
        match self {
            Engine::Running(handle) => handle.even(),
            #[cfg(test)]
            Engine::Fake(fake) => fake.now(),
        }
    }

    pub(super) async fn submit(&self, inputs: Vec<Input>) -> Answers {
        match self {
            Engine::Running(handle) => handle.submit(inputs).await,
            #[cfg(test)]
            Engine::Fake(fake) => fake.submit(inputs),
        }
    }

    /// Submits news, with what is to be remembered of each that is taken.
    pub(super) async fn submit_news(
        &self,
        inputs: Vec<Input>,
        words: Vec<Word>,
    ) -> Result<Vec<Result<Answer, Refusal>>, NotTaken> {
        match self {
            Engine::Running(handle) => handle.submit_news(inputs, words).await,
            #[cfg(test)]
            Engine::Fake(fake) => {
                let kept = inputs.clone();
                let answers = fake.submit(inputs).map_err(|error| NotTaken { error, inputs: kept })?;
                let taken = words.iter().zip(&answers).filter(|(_, answer)| answer.is_ok());
                fake.live.learn(taken.map(|(word, _)| word));
                Ok(answers)
            }
        }
    }
}
