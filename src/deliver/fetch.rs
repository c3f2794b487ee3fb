//! One document from an address that is known to be good, for those who check signatures: under the same limits, roots and
//! checks of addresses as every delivery.

use super::Delivery;
use super::client::{Client, Context, Secrets, parse_url};
use crate::model::{Millis, Time};

/// From the first byte out to the last byte in: whoever waits for it has a sender that waits as well.
const TIMEOUT: Millis = Millis::seconds(8);

/// Gets documents.
pub struct Fetcher {
    client: Client,
}

impl Fetcher {
    /// # Errors
    /// When TLS cannot be set up, in words.
    pub fn new(context: &Context) -> Result<Fetcher, String> {
        Ok(Fetcher { client: Client::new(context, TIMEOUT, Secrets::default())? })
    }

    /// The body of a good answer.
    ///
    /// # Errors
    /// Why there is none, in words that hold nothing of the address but scheme and host.
    pub async fn get(&self, url: &str, bytes_max: usize) -> Result<Vec<u8>, String> {
        let url = parse_url(url)?;
        // The time is for dates in headers, which nobody looks at here.
        let answer = self.client.call(self.client.get(url), Time::EPOCH).await.map_err(|failed| match failed {
            Delivery::TryAgain { error, .. } | Delivery::Refused { error, .. } => error,
            Delivery::Taken { .. } => "there is no answer".to_owned(),
        })?;
        match answer.status {
            200..=299 if answer.body.len() <= bytes_max => Ok(answer.body),
            200..=299 => Err(format!("the answer has more than {bytes_max} bytes")),
            status => Err(format!("the answer is HTTP {status}")),
        }
    }
}
