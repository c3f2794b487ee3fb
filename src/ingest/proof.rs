//! What a message proves besides its token, before it is read, and what follows from that: whether it is taken, and
//! whether a topic's question is answered.

use hyper::{HeaderMap, StatusCode};

use super::answer::{Fault, Outcome, Reply};
use super::body::Text;
use super::format::Aside;
use super::route::{Endpoint, IngestState};
use super::source::{Format, Source};
use super::taken::{Met, Ticket};
use crate::signature::Proof;

/// What came of looking at it.
pub(super) enum Proved {
    /// Its source asks for nothing, so nothing is known of it either.
    Nothing,
    /// It is to be taken, and remembered.
    New(Ticket),
    /// It was taken before.
    Taken,
}

impl IngestState {
    /// Looks at what a message proves besides the token, and whether it came before.
    ///
    /// # Errors
    /// A message that does not prove what its source asks for, or may be somebody's recording.
    pub(super) async fn prove(&self, source: &Source, headers: &HeaderMap, text: &Text) -> Result<Proved, Fault> {
        let Some(proof) = self.proof(source, headers, text).await? else { return Ok(Proved::Nothing) };
        match self.underway.meet(&source.name, &proof, self.engine.live(), self.engine.now()) {
            Met::New(ticket) => Ok(Proved::New(ticket)),
            Met::Taken => Ok(Proved::Taken),
            Met::Replayed => Err(Fault::unauthorized("replayed")),
            Met::Underway => {
                let message = "the same message is being taken; try again";
                Err(Fault::new(StatusCode::TOO_MANY_REQUESTS, "underway", message))
            }
        }
    }

    async fn proof(&self, source: &Source, headers: &HeaderMap, text: &Text) -> Result<Option<Proof>, Fault> {
        let now = self.engine.now();
        let signed = match &source.auth.signature {
            None => None,
            Some(verifier) => {
                let proof = verifier.verify(headers, text.as_bytes(), now);
                Some(proof.map_err(|refused| Fault::unauthorized(refused.as_str()))?)
            }
        };
        let Some(sns) = &source.auth.sns else { return Ok(signed) };
        let of_amazon = sns.verify(text.as_str()?, self.limits.json_depth, &self.certificates, now).await?;
        Ok(of_amazon.or(signed))
    }

    /// The answer to a message that was taken, and whose sender has not heard so.
    pub(super) fn taken_before(&self, source: &Source, endpoint: Endpoint<'_>) -> Reply {
        self.metrics.source_messages_total.with_label_values(&[&source.name, "again"]).inc();
        let mut reply = Outcome { new: 0, repeats: 0, rejected: Vec::new(), failed: None, kept: None }.reply(endpoint);
        if matches!(source.format, Format::Tool(_)) {
            *reply.status_mut() = StatusCode::ACCEPTED;
        }
        reply
    }

    /// Confirms the subscription that a topic of the source's asks for.
    ///
    /// # Errors
    /// Where that fails; the topic asks again.
    pub(super) async fn confirm(&self, source: &Source, asides: &[Aside]) -> Result<(), Fault> {
        for aside in asides {
            let Aside::Handshake { topic, confirm } = aside else { continue };
            let name = &*source.name;
            match &source.auth.sns {
                Some(sns) if sns.confirm => {
                    if let Err(error) = self.certificates.confirm(confirm).await {
                        tracing::warn!(source = name, topic, error, "a subscription could not be confirmed");
                        let message = "the subscription could not be confirmed; try again";
                        return Err(Fault::new(StatusCode::SERVICE_UNAVAILABLE, "confirmation", message));
                    }
                    tracing::info!(source = name, topic, "confirmed the subscription");
                }
                Some(_) => tracing::warn!(source = name, topic, "the subscription is not confirmed, because of `confirm: false`"),
                None => {
                    let advice = "name the topic in `sns: { topics: […] }` of the source, and let it ask again";
                    tracing::warn!(source = name, topic, advice, "the subscription is not confirmed");
                }
            }
        }
        Ok(())
    }
}
