//! Kept messages, tried again with the formats and mappings of now: the ordinary way, as of the moment of their arrival. What
//! is known of their alerts by now holds, so nobody is paged twice, nor for what is over.

use std::collections::HashMap;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

use super::format::Aside;
use super::intake::{Again, Intake};
use super::route::{IngestState, sort};
use super::source::Source;
use crate::engine::Input;
use crate::metrics::Metrics;
use crate::model::{AlertStatus, Fingerprint, Time};
use crate::runtime::live::FingerprintSet;
use crate::runtime::sources::{Answer, RejectsError, Replayed, SourceStatus, Sources};
use crate::storage::rejects::{Reject, Verdict};

impl IngestState {
    /// Tries kept messages again, in the order of their arrival.
    async fn try_again(&self, ids: Vec<String>) -> Result<Vec<(String, Replayed)>, RejectsError> {
        // Two at once would see what the other has not taken yet.
        let _turn = self.replaying.lock().await;
        let kept: HashMap<String, Reject> = self.store.list().into_iter().map(|it| (it.id.clone(), it)).collect();
        let mut replayed: Vec<(String, Replayed)> = Vec::new();
        let mut rejects: Vec<Reject> = Vec::new();
        for id in ids {
            match kept.get(&id) {
                _ if rejects.iter().any(|it| it.id == id) => {}
                Some(reject) => rejects.push(reject.clone()),
                None => replayed.push((id, Replayed::Unknown)),
            }
        }
        rejects.sort_by(|a, b| (a.last_at, &a.id).cmp(&(b.last_at, &b.id)));
        let over = self.over(&rejects).await?;
        for reject in rejects {
            let outcome = self.try_one(&reject, &over).await?;
            let word = if matches!(outcome, Replayed::Taken { .. }) { "taken" } else { "stays" };
            self.metrics.rejects_replayed_total.with_label_values(&[&reject.source, word]).inc();
            replayed.push((reject.id, outcome));
        }
        Ok(replayed)
    }

    async fn try_one(&self, reject: &Reject, over: &FingerprintSet) -> Result<Replayed, RejectsError> {
        let Some(source) = self.source_named(&reject.source) else {
            return Ok(Replayed::Stays { error: format!("there is no source `{}` any more", reject.source) });
        };
        let source = &*source;
        // Gone since it was listed: somebody has let go of it.
        let Some(body) = self.body_of(&reject.id).await? else { return Ok(Replayed::Unknown) };
        let again = Again {
            id: &reject.id,
            arrived: reject.last_at.min(self.engine.now()),
            failed: &reject.failed,
            alerts: reject.alerts,
            over,
        };
        let intake = Intake::new(self.engine.live(), source, &self.limits, self.engine.now()).again(&again);
        // Its placeholders and test messages were counted when it came.
        let read = sort(source, &body, &headers_of(reject), intake, &Metrics::default());
        let (mut sorted, mut asides) = match read {
            Ok(read) => read,
            Err(fault) => return self.stays(reject, Verdict { error: fault.message, failed: vec![0], alerts: 0 }).await,
        };
        for aside in &mut asides {
            if let Aside::Change(change) = aside
                && change.started_at == Time::EPOCH
            {
                change.started_at = again.arrived;
            }
        }
        let alerts = sorted.alerts;
        let acknowledged = std::mem::take(&mut sorted.acknowledged);
        let mut outcome = self.commit(sorted).await;
        self.act(source, &acknowledged, &asides, &mut outcome).await;
        if let Some(error) = outcome.failed {
            return Err(error.into());
        }
        let rejected = std::mem::take(&mut outcome.rejected);
        // What still fails was counted when it came.
        self.count(source, &outcome);
        match rejected.first() {
            None => {
                self.let_go(vec![reject.id.clone()]).await?;
                Ok(Replayed::Taken { new: outcome.new, repeats: outcome.repeats })
            }
            Some(first) => {
                let error = first.message.clone();
                self.stays(reject, Verdict { error, failed: rejected.iter().map(|it| it.index).collect(), alerts }).await
            }
        }
    }

    /// Alerts that are over by the last word on them in these messages: nobody needs to be called to them.
    async fn over(&self, rejects: &[Reject]) -> Result<FingerprintSet, RejectsError> {
        let nothing = self.engine.live().set();
        let mut last: HashMap<Fingerprint, AlertStatus> = HashMap::new();
        for reject in rejects {
            let Some(source) = self.source_named(&reject.source) else { continue };
            let source = &*source;
            let Some(body) = self.body_of(&reject.id).await? else { continue };
            let again = Again {
                id: &reject.id,
                arrived: reject.last_at.min(self.engine.now()),
                failed: &reject.failed,
                alerts: reject.alerts,
                over: &nothing,
            };
            let intake = Intake::new(self.engine.live(), source, &self.limits, self.engine.now()).again(&again).telling_all();
            let Ok((sorted, _)) = sort(source, &body, &headers_of(reject), intake, &Metrics::default()) else { continue };
            let news = sorted.news.into_iter().filter_map(|input| if let Input::Alert(news) = input { Some(news) } else { None });
            last.extend(news.map(|news| (news.alert.fingerprint, news.status)));
        }
        let mut over = nothing;
        over.extend(last.into_iter().filter(|(_, status)| *status == AlertStatus::Resolved).map(|(fingerprint, _)| fingerprint));
        Ok(over)
    }

    async fn stays(&self, reject: &Reject, verdict: Verdict) -> Result<Replayed, RejectsError> {
        let (store, id, error) = (self.store.clone(), reject.id.clone(), verdict.error.clone());
        let amended = tokio::task::spawn_blocking(move || store.with(|rejects| Some(rejects.amend(&id, verdict)))).await;
        amended.map_err(std::io::Error::other)?.unwrap_or(Ok(()))?;
        Ok(Replayed::Stays { error })
    }

    async fn body_of(&self, id: &str) -> Result<Option<String>, RejectsError> {
        let (store, id) = (self.store.clone(), id.to_owned());
        let body = tokio::task::spawn_blocking(move || store.with(|rejects| Some(rejects.body(&id)))).await;
        Ok(body.map_err(std::io::Error::other)?.transpose()?.flatten())
    }

    async fn let_go(&self, ids: Vec<String>) -> Result<Vec<Reject>, RejectsError> {
        let store = self.store.clone();
        let gone = tokio::task::spawn_blocking(move || store.discard(&ids)).await;
        Ok(gone.map_err(std::io::Error::other)??)
    }
}

impl Sources for IngestState {
    fn statuses(&self) -> Vec<SourceStatus> {
        let kept = self.store.list();
        let status = |source: &Source| {
            let (test_at, tests) = source.watched.tests();
            SourceStatus {
                name: source.name.to_string(),
                format: source.format.name(),
                heard_at: source.watched.heard_at(),
                silent_after: source.watched.silent_after,
                silent: source.watched.is_silent(),
                test_at,
                tests,
                missing: source.watched.missing(),
                firing: self.engine.live().firing_of(&source.name),
                rejects: kept.iter().filter(|it| it.source == *source.name).count(),
            }
        };
        self.sources().iter().map(|source| status(source)).collect()
    }

    fn rejects(&self) -> Vec<Reject> {
        self.store.list()
    }

    fn body(&self, id: String) -> Answer<'_, Option<String>> {
        Box::pin(async move { self.body_of(&id).await })
    }

    fn replay(&self, ids: Vec<String>) -> Answer<'_, Vec<(String, Replayed)>> {
        Box::pin(self.try_again(ids))
    }

    fn discard(&self, ids: Vec<String>) -> Answer<'_, Vec<Reject>> {
        Box::pin(self.let_go(ids))
    }
}

fn headers_of(reject: &Reject) -> HeaderMap {
    let header = |(name, value): &(String, String)| {
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?))
    };
    reject.headers.iter().filter_map(header).collect()
}
