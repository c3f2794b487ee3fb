//! A port of the system's choice on loopback with a thread per connection, until it is dropped.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The port and its accepting thread.
pub(crate) struct Listener {
    address: SocketAddr,
    stop: Arc<Stop>,
    accepting: Option<JoinHandle<()>>,
}

/// That the server is being dropped.
#[derive(Default)]
pub(crate) struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Waits until the server is dropped: how an answer is held.
    pub(crate) fn wait(&self) {
        let stopped = self.stopped.lock().unwrap();
        drop(self.changed.wait_while(stopped, |stopped| !*stopped).unwrap());
    }

    /// Waits for so long; whether the server is being dropped.
    pub(crate) fn wait_for(&self, time: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap();
        *self.changed.wait_timeout_while(stopped, time, |stopped| !*stopped).unwrap().0
    }

    fn is_set(&self) -> bool {
        *self.stopped.lock().unwrap()
    }
}

impl Listener {
    /// Serves every connection by `serve`.
    pub(crate) fn start(serve: impl Fn(TcpStream, &Stop) + Send + Sync + 'static) -> Listener {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, serve) = (Arc::new(Stop::default()), Arc::new(serve));
        let stopping = stop.clone();
        let accepting = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopping.is_set() {
                    break;
                }
                let (serve, stopping) = (serve.clone(), stopping.clone());
                thread::spawn(move || serve(stream, &stopping));
            }
        });
        Listener { address, stop, accepting: Some(accepting) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        *self.stop.stopped.lock().unwrap() = true;
        self.stop.changed.notify_all();
        // Wakes the accepting thread, which then sees that it is over.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            accepting.join().unwrap();
        }
    }
}
