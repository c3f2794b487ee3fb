//! The sources in force. They are replaced as a whole while requests go on: each works to its end with those that it began with.

use std::sync::{Arc, PoisonError, RwLock};

use super::route::IngestState;
use super::source::Source;
use crate::config::{Config, ConfigError};

/// All sources, in the order of the configuration.
pub(super) type Sources = Arc<[Arc<Source>]>;

/// What is in force.
#[derive(Debug)]
pub(super) struct InForce(RwLock<Sources>);

/// Sources that are ready to take the place of those in force.
pub struct Prepared {
    sources: Sources,
    config: Config,
}

impl InForce {
    pub(super) fn new(sources: Vec<Source>) -> InForce {
        InForce(RwLock::new(shared(sources)))
    }

    fn get(&self) -> Sources {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl IngestState {
    /// The sources in force at this moment.
    pub(super) fn sources(&self) -> Sources {
        self.in_force.get()
    }

    /// One of them.
    pub(super) fn source_named(&self, name: &str) -> Option<Arc<Source>> {
        self.sources().iter().find(|source| &*source.name == name).cloned()
    }

    /// Makes the sources that a configuration has. What is watched of a source that was there before goes on.
    ///
    /// # Errors
    /// As [`Source::new`]; nothing has changed then.
    pub fn prepare(&self, config: Config) -> Result<Prepared, ConfigError> {
        let before = self.sources();
        let made = config.sources.iter().map(|it| {
            let mut source = Source::new(it, config.resolve_timeout, self.engine.live(), &self.metrics)?;
            if let Some(before) = before.iter().find(|before| before.name == source.name) {
                source.watched.go_on_from(&before.watched);
            }
            Ok(source)
        });
        let sources = shared(made.collect::<Result<_, _>>()?);
        Ok(Prepared { sources, config })
    }

    /// Puts sources in force.
    pub fn replace_sources(&self, prepared: Prepared) {
        let Prepared { sources, config } = prepared;
        // First what they need: their messages may come as soon as they are there.
        self.store.mask_tokens_of(&config);
        self.engine.live().configure(&config, self.engine.now());
        *self.in_force.0.write().unwrap_or_else(PoisonError::into_inner) = sources;
    }
}

fn shared(sources: Vec<Source>) -> Sources {
    sources.into_iter().map(Arc::new).collect()
}
