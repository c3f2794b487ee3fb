//! A small HTTP/1.1 server with a handler, a record of all requests and a script of faults. One request per connection.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::listener::{Listener, Stop};

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path without query.
    pub(crate) path: String,
    pub(crate) query: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// A header's value; empty when it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The body as JSON; `null` when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    /// A JSON body.
    pub(crate) fn json(status: u16, body: &Value) -> Answer {
        Answer::text(status, &body.to_string()).with("content-type", "application/json")
    }

    /// Any body.
    pub(crate) fn text(status: u16, body: &str) -> Answer {
        Answer::bytes(status, body.as_bytes().to_vec())
    }

    /// Any body that need not be text.
    pub(crate) fn bytes(status: u16, body: Vec<u8>) -> Answer {
        Answer { status, headers: vec![], body }
    }

    /// With one header more.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Answer {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// What goes wrong with one request, in the order of the script. Without an entry a request is handled as usual.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Nothing: this request is handled as usual.
    Pass,
    /// Not handled; answered thus.
    Answer(Answer),
    /// Handled fully, then the connection is closed without an answer.
    TakeThenDrop,
    /// Handled fully, then answered thus.
    TakeThen(Answer),
    /// The connection is closed before the body is read.
    DropBefore,
    /// Handled fully; the answer is held until the server is dropped.
    Hold,
    /// Handled fully; the answer begins, and goes on when the server is dropped.
    Stall,
    /// Handled fully; the answer's body never ends.
    Endless,
    /// Handled fully; the answer's body comes a byte a second and never ends.
    Drip,
}

/// From one byte of a dripping answer to the next.
const DRIP: Duration = Duration::from_secs(1);

type Handler = dyn Fn(&Request) -> Answer + Send + Sync;

/// The server.
pub(crate) struct Server {
    listener: Listener,
    shared: Arc<Shared>,
}

struct Shared {
    handler: Box<Handler>,
    requests: Mutex<Vec<Request>>,
    arrived: Condvar,
    script: Mutex<VecDeque<Fault>>,
}

impl Server {
    /// Starts one.
    pub(crate) fn start(handler: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Server {
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            requests: Mutex::default(),
            arrived: Condvar::new(),
            script: Mutex::default(),
        });
        let served = shared.clone();
        Server { listener: Listener::start(move |stream, stop| served.serve(stream, stop)), shared }
    }

    /// `http://127.0.0.1:<port>`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Adds faults to the end of the script.
    pub(crate) fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.script.lock().unwrap().extend(faults);
    }

    /// Every request so far, those that a fault took too.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Waits until the requests so far are as wanted, and gives them.
    pub(crate) fn wait_for(&self, wanted: impl Fn(&[Request]) -> bool) -> Vec<Request> {
        let so_far = self.shared.requests.lock().unwrap();
        let (found, timeout) = self.shared.arrived.wait_timeout_while(so_far, PATIENCE, |so_far| !wanted(so_far)).unwrap();
        assert!(!timeout.timed_out(), "not within {PATIENCE:?}; so far: {found:#?}");
        found.clone()
    }
}

impl Shared {
    /// Serves one connection. Errors are the client's going away.
    fn serve(&self, stream: TcpStream, stop: &Stop) {
        let fault = self.script.lock().unwrap().pop_front().unwrap_or(Fault::Pass);
        let mut out = stream.try_clone().unwrap();
        let Some(request) = read(stream, matches!(fault, Fault::DropBefore)) else { return };
        let usual = match &fault {
            Fault::Answer(_) | Fault::DropBefore => None,
            _ => Some((self.handler)(&request)),
        };
        // Handled, recorded, answered: whoever has the answer finds both done.
        self.requests.lock().unwrap().push(request);
        self.arrived.notify_all();
        match (&fault, usual) {
            (Fault::Pass, Some(answer)) => send(&mut out, &answer),
            (Fault::Answer(answer) | Fault::TakeThen(answer), _) => send(&mut out, answer),
            (Fault::Stall | Fault::Endless | Fault::Drip, Some(answer)) => {
                let head = format!("HTTP/1.1 {} x\r\ncontent-type: application/json\r\n\r\n{{", answer.status);
                drop(out.write_all(head.as_bytes()));
            }
            _ => {}
        }
        match fault {
            Fault::Hold | Fault::Stall => stop.wait(),
            // Ends when the client has had enough.
            Fault::Endless => drop(io::copy(&mut io::repeat(b' '), &mut out)),
            Fault::Drip => while out.write_all(b" ").is_ok() && !stop.wait_for(DRIP) {},
            _ => {}
        }
        drop(out.shutdown(Shutdown::Both));
    }
}

/// Reads one request; its body only unless `head_only`.
fn read(stream: TcpStream, head_only: bool) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut headers = vec![];
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, path: path.to_owned(), query: query.to_owned(), headers, body: vec![] };
    if !head_only {
        request.body = vec![0; request.header("content-length").parse().unwrap_or(0)];
        reader.read_exact(&mut request.body).ok()?;
    }
    Some(request)
}

/// Sends an answer. The client may be gone; that is its affair.
fn send(out: &mut TcpStream, answer: &Answer) {
    let mut head = format!("HTTP/1.1 {} x\r\ncontent-length: {}\r\nconnection: close\r\n", answer.status, answer.body.len());
    for (name, value) in &answer.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    drop(out.write_all(&[head.as_bytes(), &answer.body].concat()));
}
