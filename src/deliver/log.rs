//! Prints each message as one line, for trying Quell out.

use std::future::Future;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use super::{Delivery, Fault, Message, Receiver, message, text};

/// A place to print to.
pub(crate) struct Log {
    name: String,
    out: Mutex<Box<dyn Write + Send>>,
}

impl Log {
    /// Prints to `out` under a receiver's name.
    pub(crate) fn new(name: &str, out: Box<dyn Write + Send>) -> Log {
        Log { name: text::escape(name), out: Mutex::new(out) }
    }

    fn print(&self, message: &Message) -> io::Result<()> {
        let words = message::words(message);
        let (time, kind, id) = (message.now, message.kind.as_str(), message.incident.id);
        let line = format!("{time} {} {kind} {id} {} ({})\n", self.name, words.summary, text::escape(&message.reason));
        // A panic while printing leaves half a line at worst.
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(line.as_bytes())?;
        out.flush()
    }
}

impl Receiver for Log {
    fn kind(&self) -> &'static str {
        "log"
    }

    fn is_pager(&self) -> bool {
        false
    }

    fn deliver<'a>(&'a self, message: &'a Message) -> Pin<Box<dyn Future<Output = Delivery> + Send + 'a>> {
        let printed = self.print(message);
        Box::pin(async move {
            match printed {
                Ok(()) => Delivery::Taken { remote: None },
                Err(error) => Delivery::TryAgain { fault: Fault::Network, error: error.to_string(), retry_after: None },
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::deliver::sample;
    use crate::model::NotificationKind;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn one_line_whatever_it_holds() {
        let sink = Sink::default();
        let log = Log::new("console", Box::new(sink.clone()));
        let mut message = sample::message(NotificationKind::Trigger, 1);
        message.reason = "a\nb\u{1b}[31m".into();
        assert_eq!(log.deliver(&message).await, Delivery::Taken { remote: None });
        let printed = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert_eq!(
            printed,
            "2026-01-05T00:12:00.000Z console trigger INC-1042 \
             P1 checkout: 14 alerts, critical — Database trouble in eu1 (a\\u{a}b\\u{1b}[31m)\n"
        );
    }
}
