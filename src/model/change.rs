//! A change: a deployment, a new setting, whatever people or their pipelines did to a system. Trouble often follows one.

use std::sync::Arc;

use super::time::Time;

/// A change as it was reported. The same id again is the same change, perhaps with news of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The reporter's own, or made of what the report says.
    pub id: Arc<str>,
    /// A word of the reporter's: `deploy`, `config`.
    pub kind: Arc<str>,
    /// What was changed, as [`super::cause::thing`] names it: `service/cart-db`, `host/db-1`.
    pub things: Vec<Arc<str>>,
    /// The cluster that it was made in; `None` where that is everywhere or not known.
    pub cluster: Option<Arc<str>>,
    pub started_at: Time,
    pub ended_at: Option<Time>,
    /// Empty where the reporter gave nothing, like `url`.
    pub summary: Arc<str>,
    pub url: Arc<str>,
    /// The name of whoever reported it.
    pub reported_by: Arc<str>,
    /// The environment that it was made in: `production`, `staging`; `None` where that is not known.
    pub environment: Option<Arc<str>>,
    /// Who made it, where the report says so.
    pub author: Option<Arc<str>>,
}

impl Change {
    /// When it was last under way, as far as is known.
    #[must_use]
    pub fn last_at(&self) -> Time {
        self.ended_at.unwrap_or(self.started_at).max(self.started_at)
    }
}
