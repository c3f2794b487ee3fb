//! The server over real sockets, byte for byte, and what stands before a body is read. Time is virtual: what waits for
//! a timeout gets it at once.

use std::io::Write;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::Setup;
use crate::ingest::serve;

const JSON: &str = "Host: x\r\nContent-Type: application/json\r\n";

struct Server {
    setup: Setup,
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start(yaml: &str) -> Server {
        let setup = Setup::new(yaml);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let endless = || async {
            let chunk = || Ok::<_, std::io::Error>(hyper::body::Bytes::from_static(&[b'x'; 1 << 13]));
            Body::from_stream(tokio_stream::iter(std::iter::repeat_with(chunk)))
        };
        let fallback = Router::new()
            .route("/api/v2/alerts", get(|| async { "the API's" }))
            .route("/endless", get(endless))
            .route("/echo", axum::routing::post(|body: axum::body::Bytes| async { body }))
            .route("/stuck", get(std::future::pending::<&str>));
        let shutdown = async {
            drop(stopped.await);
        };
        let task = tokio::spawn(serve(listener, setup.state.clone(), fallback, shutdown));
        Server { setup, address, stop, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes and gives everything that comes until the server closes.
    async fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The server may close while we still write.
        drop(stream.write_all(bytes).await);
        read_all(&mut stream).await
    }
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset behind the answer is how a refused body ends.
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The first answer on a connection that stays open.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    while !answer.windows(4).any(|four| four == b"\r\n\r\n") {
        let mut chunk = [0; 1024];
        match stream.read(&mut chunk).await.unwrap() {
            0 => break,
            length => answer.extend_from_slice(&chunk[..length]),
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn statuses(answer: &str) -> Vec<u16> {
    answer.split("HTTP/1.1 ").skip(1).map(|rest| rest[..3].parse().unwrap()).collect()
}

fn post(headers: &str, body: &str) -> String {
    format!("POST /api/v2/alerts HTTP/1.1\r\n{JSON}{headers}\r\n{body}")
}

/// Row 51 and smuggling: each ends with the connection closed, and nothing behind it is taken for a request.
#[tokio::test(start_paused = true)]
async fn doubtful_framing_closes_the_connection() {
    let next = "POST /api/v2/alerts HTTP/1.1\r\nHost: smuggled\r\n\r\n";
    let endless =
        format!("{}{}", post("Transfer-Encoding: chunked\r\n", ""), format!("10000\r\n{}\r\n", " ".repeat(65_536)).repeat(20));
    let cases: [(&str, String, &[u16]); 14] = [
        ("two lengths", post("Content-Length: 2\r\nContent-Length: 3\r\n", "[]"), &[400]),
        (
            "length and chunks",
            post(
                &format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", next.len()),
                &format!("2\r\n[]\r\n0\r\n\r\n{next}"),
            ),
            &[200],
        ),
        (
            "chunks and length",
            post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", &format!("2\r\n[]\r\n0\r\n\r\n{next}")),
            &[200],
        ),
        ("unknown transfer encoding", post("Transfer-Encoding: chunked, gzip\r\n", "2\r\n[]\r\n0\r\n\r\n"), &[400]),
        ("length that is none", post("Content-Length: 2x\r\n", "[]"), &[400]),
        ("negative length", post("Content-Length: -2\r\n", "[]"), &[400]),
        ("chunk size that is none", post("Transfer-Encoding: chunked\r\n", "zz\r\n[]\r\n0\r\n\r\n"), &[400]),
        ("chunk size beyond all bounds", post("Transfer-Encoding: chunked\r\n", "ffffffffffffffffff\r\n[]"), &[400]),
        ("too long a body, announced", post("Content-Length: 100000000\r\n", ""), &[413]),
        ("too long a body, in chunks without end", endless, &[413]),
        ("a body that never comes", post("Content-Length: 5\r\n", "[]"), &[408]),
        ("a head that never ends", "POST /api/v2/alerts HTTP/1.1\r\nHost: x\r\nX: ".to_owned(), &[]),
        ("too long a head", format!("POST / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(40_000)), &[431]),
        ("no HTTP at all", "\u{16}\u{3}\u{1}\r\n\r\n".to_owned(), &[400]),
    ];
    for (name, bytes, expected) in cases {
        let server = Server::start("limits: { body_bytes: 1000000 }").await;
        assert_eq!(statuses(&server.exchange(bytes.as_bytes()).await), expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_connection_takes_many_requests_in_order() {
    let server = Server::start("").await;
    let alert = r#"[{"labels":{"a":"b"}}]"#;
    let take = post(&format!("Content-Length: {}\r\n", alert.len()), alert);
    let refuse = post("Content-Length: 3\r\n", "[5]");
    let other = "GET /api/v2/alerts HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = "GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = server.exchange(format!("{take}{take}{refuse}{other}{last}").as_bytes()).await;
    assert_eq!(statuses(&answer), [200, 200, 400, 200, 404]);
    assert!(answer.contains("the API's"));
    assert_eq!(server.setup.counts("prometheus"), [3, 1, 1, 1]);
}

/// What goes on to the API is bounded in time and size as well.
#[tokio::test(start_paused = true)]
async fn the_apis_bodies_are_bounded() {
    let server = Server::start("limits: { body_bytes: 1000 }").await;
    let echo = |length: usize, body: &str| {
        format!("POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let cases = [(2, "[]".to_owned(), 200), (5, "[]".to_owned(), 400), (2_000, "x".repeat(2_000), 400)];
    for (length, body, status) in cases {
        let answer = server.exchange(echo(length, &body).as_bytes()).await;
        assert_eq!(statuses(&answer), [status], "{length}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn idle_connections_make_room_when_all_are_in_use() {
    let server = Server::start("limits: { connections: 1 }").await;
    let request = post("Content-Length: 2\r\n", "[]");
    let mut first = server.connect().await;
    first.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(statuses(&read_head(&mut first).await), [200]);
    let mut second = server.connect().await;
    second.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(statuses(&read_head(&mut second).await), [200]);
    assert_eq!(read_all(&mut first).await, "", "closed");
}

/// Row 36: who opens many is the only one who notices.
#[tokio::test(start_paused = true)]
async fn one_address_cannot_take_all_connections() {
    let server = Server::start("limits: { connections_per_address: 2 }").await;
    let request = post("Content-Length: 2\r\n", "[]");
    let mut kept = [server.connect().await, server.connect().await];
    for stream in &mut kept {
        stream.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(statuses(&read_head(stream).await), [200]);
    }
    assert_eq!(server.exchange(request.as_bytes()).await, "", "a third is closed");
    let refused = || server.setup.metrics.connections_refused_total.with_label_values(&["address"]).get();
    assert_eq!(refused(), 1);
    // All of 127.0.0.0/8 is this machine.
    let neighbour = TcpSocket::new_v4().unwrap();
    neighbour.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut neighbour = neighbour.connect(server.address).await.unwrap();
    neighbour.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(statuses(&read_head(&mut neighbour).await), [200]);
    drop(kept);
    while server.setup.metrics.connections.get() > 1 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let mut again = server.connect().await;
    again.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(statuses(&read_head(&mut again).await), [200]);
    assert_eq!(refused(), 1);
}

/// Row 36: a head must come soon after connecting; later on, a connection may be quiet for longer.
#[tokio::test(start_paused = true)]
async fn who_connects_must_ask_soon() {
    let server = Server::start("limits: { first_header_timeout: 10s, header_timeout: 60s }").await;
    let request = post("Content-Length: 2\r\n", "[]");
    let began = tokio::time::Instant::now();
    for begun in ["", "POST /api/v2/alerts HTTP/1.1\r\nHost: x\r\n"] {
        let began = tokio::time::Instant::now();
        assert_eq!(server.exchange(begun.as_bytes()).await, "", "{begun:?}");
        assert_eq!(began.elapsed().as_secs(), 10, "{begun:?}");
    }
    assert_eq!(server.setup.metrics.connections_refused_total.with_label_values(&["silent"]).get(), 2);
    let mut stream = server.connect().await;
    for pause in [9, 50] {
        tokio::time::sleep(Duration::from_secs(pause)).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(statuses(&read_head(&mut stream).await), [200], "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn who_never_reads_loses_the_connection() {
    let server = Server::start("").await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(server.setup.metrics.connections.get(), 1);
    tokio::time::timeout(Duration::from_mins(2), async {
        while server.setup.metrics.connections.get() > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await
    .expect("the connection ends");
}

/// Row 43: what has begun is answered, then it ends; what does not end is ended.
#[tokio::test(start_paused = true)]
async fn stopping_finishes_what_has_begun() {
    let server = Server::start("").await;
    let (mut idle, mut busy) = (server.connect().await, server.connect().await);
    idle.write_all(post("Content-Length: 2\r\n", "[]").as_bytes()).await.unwrap();
    read_head(&mut idle).await;
    busy.write_all(post("Content-Length: 2\r\n", "[").as_bytes()).await.unwrap();
    // Virtual time moves once nobody has anything left to read.
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.stop.send(()).unwrap();
    assert_eq!(read_all(&mut idle).await, "");
    busy.write_all(b"]").await.unwrap();
    assert_eq!(statuses(&read_all(&mut busy).await), [200]);
    server.task.await.unwrap().unwrap();

    let server = Server::start("").await;
    let mut stuck = server.connect().await;
    stuck.write_all(b"GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(9), server.task).await.expect("ends in time").unwrap().unwrap();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn packed_bodies_are_bounded_by_what_they_become() {
    let alert = br#"[{"labels":{"a":"b"}}]"#;
    let bomb = gzip(&vec![b' '; 12 << 20]);
    let broken = &gzip(alert)[..20];
    let cases: [(&str, &str, &[u8], u16); 10] = [
        ("plain", "identity", alert, 200),
        ("packed", "gzip", &gzip(alert), 200),
        ("packed, in capitals", "GZIP", &gzip(alert), 200),
        ("a bomb", "gzip", &bomb, 413),
        ("larger than the limit", "gzip", &gzip(&vec![b' '; 17 << 20]), 413),
        ("packed twice", "gzip, gzip", &gzip(&gzip(alert)), 415),
        ("brotli", "br", alert, 415),
        ("not packed", "gzip", alert, 400),
        ("broken off", "gzip", broken, 400),
        ("nothing", "gzip", b"", 400),
    ];
    for (name, encoding, body, status) in cases {
        let headers = [("content-type", "application/json"), ("content-encoding", encoding)];
        assert_eq!(Setup::new("").send("/api/v2/alerts", &headers, body).0, status, "{name}");
    }
}

#[test]
fn only_the_right_token_opens_a_source() {
    type Headers = &'static [(&'static str, &'static str)];
    const KIND: (&str, &str) = ("content-type", "application/json");
    let yaml =
        "sources: [{ name: a, format: prometheus, token: 's3 cret' }, { name: prometheus, format: prometheus, token: other }]";
    let cases: [(&str, Headers, u16); 16] = [
        ("/v1/ingest/a", &[], 401),
        ("/v1/ingest/a", &[("authorization", "Bearer s3 cret")], 200),
        ("/v1/ingest/a", &[("authorization", "bearer   s3 cret")], 200),
        ("/v1/ingest/a", &[("authorization", "Bearer s3 cre")], 401),
        ("/v1/ingest/a", &[("authorization", "Bearer s3 cretx")], 401),
        ("/v1/ingest/a", &[("authorization", "Bearer other")], 401),
        ("/v1/ingest/a", &[("authorization", "s3 cret")], 401),
        // base64 of "x:s3 cret"
        ("/v1/ingest/a", &[("authorization", "Basic eDpzMyBjcmV0")], 200),
        ("/v1/ingest/a", &[("authorization", "Basic !")], 401),
        ("/v1/ingest/a", &[("authorization", "Bearer s3 cret"), ("authorization", "Bearer other")], 401),
        ("/v1/ingest/a/s3%20cret", &[], 200),
        ("/v1/ingest/a/s3%20cret/", &[], 401),
        ("/v1/ingest/a/", &[], 401),
        ("/v1/ingest/b", &[], 404),
        ("/api/v2/alerts", &[KIND, ("authorization", "Bearer other")], 200),
        ("/api/v2/alerts", &[KIND, ("authorization", "Bearer s3 cret")], 401),
    ];
    for (path, headers, status) in cases {
        let (given, text) = Setup::new(yaml).send(path, headers, b"[]");
        assert_eq!(given, status, "{path} {headers:?}: {text}");
        assert!(!text.contains("cret"), "{text}");
    }
    // A source without a token has no secret path.
    assert_eq!(Setup::new("").send("/v1/ingest/prometheus/x", &[], b"[]").0, 401);
}

/// Alertmanager's rule, which also keeps pages in a browser from posting to an open source.
#[test]
fn alertmanagers_path_wants_json() {
    for (kind, status) in [("application/json", 200), ("Application/JSON; charset=utf-8", 200), ("text/plain", 415), ("", 415)] {
        let (given, text) = Setup::new("").send("/api/v2/alerts", &[("content-type", kind)], b"[]");
        assert_eq!(given, status, "{kind}: {text}");
    }
}
