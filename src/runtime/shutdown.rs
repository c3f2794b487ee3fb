//! The word that the daemon stops, heard by every task.

use std::sync::Arc;

use tokio::sync::watch;

/// Said once, heard by all who wait and all who ask later.
#[derive(Clone, Debug)]
pub struct Shutdown {
    said: Arc<watch::Sender<bool>>,
}

impl Default for Shutdown {
    fn default() -> Shutdown {
        Shutdown { said: Arc::new(watch::Sender::new(false)) }
    }
}

impl Shutdown {
    /// Says it.
    pub fn trigger(&self) {
        self.said.send_replace(true);
    }

    /// Whether it has been said.
    #[must_use]
    pub fn is_triggered(&self) -> bool {
        *self.said.borrow()
    }

    /// A channel that turns true when it is said.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<bool> {
        self.said.subscribe()
    }

    /// Waits until it is said; returns at once afterwards.
    pub async fn wait(&self) {
        let mut heard = self.said.subscribe();
        // The sender lives in `self`, so the channel is not closed while this waits.
        heard.wait_for(|said| *said).await.expect("a sender that lives as long as this call");
    }
}
