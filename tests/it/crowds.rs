//! Many at once, and one that is loud: a source that invents series, a source that sends nearly everything, thousands of
//! connections that do nothing or are slow. Each costs its own sender, and nobody else.

use std::fs;
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::daemon::{Daemon, PATIENCE, Site, wait_until};
use crate::http::{Connection, Response};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

/// Requests of the honest sender among bad connections.
const HONEST: usize = 20;

fn post(connection: &mut Connection, path: &str, alerts: &Value) -> Response {
    connection.send("POST", path, JSON, alerts.to_string().as_bytes()).unwrap()
}

fn alert(name: &str, id: &str) -> Value {
    json!({ "labels": { "alertname": name, "id": id, "cluster": "eu1", "severity": "warning" }, "status": "firing" })
}

/// Two sources of Alertmanager's kind.
const TWO_SOURCES: &str = "
sources:
  - { name: loud, format: alertmanager }
  - { name: quiet, format: alertmanager }
";

fn webhook(alerts: &[Value]) -> Value {
    json!({ "version": "4", "status": "firing", "alerts": alerts })
}

/// Row 34: a hundred thousand distinct series of one source end at its own limit, as a storm, and the others go on.
#[test]
fn a_source_that_invents_series_is_capped_alone() {
    const SERIES: usize = 100_000;
    const EACH: usize = 1_000;
    const MAX: usize = 5_000;
    let config = format!("{TWO_SOURCES}limits: {{ active_alerts_per_source: {MAX} }}\n");
    let storm = "
correlate:
  - name: storm
    by: [cluster]
    storm: { least: 100, within: 1m }
  - name: rest
    by: [alertname]
";
    let site = Site::new(&config, &[("storm.yaml", storm)]);
    let daemon = site.start();
    let mut connections = (Connection::open(daemon.addr).unwrap(), Connection::open(daemon.addr).unwrap());
    let (mut taken, mut refused) = (0, 0);
    for part in 0..SERIES / EACH {
        let alerts: Vec<Value> = (0..EACH).map(|n| alert("Invented", &format!("{part}-{n}"))).collect();
        let answer = post(&mut connections.0, "/v1/ingest/loud", &webhook(&alerts));
        assert_eq!(answer.status, 200, "{}", answer.text());
        taken += usize::try_from(answer.json()["new"].as_u64().unwrap()).unwrap();
        refused += answer.json()["rejected"].as_array().unwrap().len();
        let other = post(&mut connections.1, "/v1/ingest/quiet", &webhook(&[alert("Real", &format!("real-{part}"))]));
        assert_eq!(other.json()["new"], 1, "{}", other.text());
    }
    assert_eq!((taken, refused), (MAX, SERIES - MAX));
    let counted = daemon.metric("quell_alerts_rejected_total", &["source=\"loud\"", "reason=\"active\""]);
    assert!((counted - 95_000.0).abs() < 0.5, "{counted}");
    wait_until("the storm's incident", PATIENCE, || {
        daemon.incidents().iter().any(|incident| incident["rule"]["name"] == "storm" || incident["rule"] == "storm")
    });
    let incidents = daemon.incidents().len();
    assert!(incidents < 30, "{incidents} incidents");
}

/// Row 35: who sends nearly all that comes is refused, and whoever sends a little is never.
#[test]
fn one_loud_source_does_not_starve_the_others() {
    const LOUD: usize = 8;
    const REFUSED_MIN: u64 = 200;
    const QUIET_MIN: u64 = 40;
    // Each alert is work, so that a few senders are more than a small machine takes.
    let rules = "
correlate:
  - name: each-alone
    by: [id]
    title: '{{ by.id | upper }}'
";
    let site = Site::new(&format!("{TWO_SOURCES}limits: {{ queue_alerts: 200 }}\n"), &[("each.yaml", rules)]);
    let daemon = site.start();
    let (over, refused, quiet) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for number in 0..LOUD {
            let (over, refused) = (&over, &refused);
            let addr = daemon.addr;
            scope.spawn(move || {
                let mut connection = Connection::open(addr).unwrap();
                for round in 0.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let alerts: Vec<Value> = (0..40).map(|n| alert("Loud", &format!("loud-{number}-{round}-{n}"))).collect();
                    let status = post(&mut connection, "/v1/ingest/loud", &webhook(&alerts)).status;
                    assert!([200, 429].contains(&status), "{status}");
                    refused.fetch_add(u64::from(status == 429), Ordering::Relaxed);
                }
            });
        }
        let (over, refused, quiet) = (&over, &refused, &quiet);
        let addr = daemon.addr;
        scope.spawn(move || {
            // Whatever happens, the others must end.
            let _end = Ending(over);
            let mut connection = Connection::open(addr).unwrap();
            let deadline = Instant::now() + PATIENCE * 3;
            for round in 0.. {
                let enough = refused.load(Ordering::Relaxed) >= REFUSED_MIN && round >= QUIET_MIN;
                if enough || Instant::now() > deadline {
                    break;
                }
                let answer = post(&mut connection, "/v1/ingest/quiet", &webhook(&[alert("Quiet", &format!("quiet-{round}"))]));
                assert_eq!(answer.status, 200, "the quiet source was refused: {}", answer.text());
                quiet.fetch_add(1, Ordering::Relaxed);
            }
        });
    });
    let (refused, quiet) = (refused.into_inner(), quiet.into_inner());
    assert!(refused >= REFUSED_MIN && quiet >= QUIET_MIN, "{refused} refused, {quiet} quiet: the test shows nothing");
    assert_eq!(daemon.list("/v1/alerts?label=alertname:Quiet", "alerts").len(), usize::try_from(quiet).unwrap());
}

/// Raises a flag when it goes.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Row 36: thousands of connections, seven times as many as are let in (or as this machine allows), that say nothing, heads and
/// bodies that come by the byte, clients that never read, and requests sent ahead of their answers. An honest sender is let
/// in all the same. `QUELL_CONNECTIONS=10000` opens more.
#[test]
fn thousands_of_bad_connections_leave_room_for_honest_ones() {
    let site = Site::new("limits: { connections: 400, connections_per_address: 100, first_header_timeout: 5s }\n", &[]);
    let daemon = site.start();
    let before = daemon.metric("quell_resident_memory_bytes", &[]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let wanted = std::env::var("QUELL_CONNECTIONS").ok().and_then(|number| number.parse().ok()).unwrap_or(3_000);
    let idle = open_files().saturating_sub(500).min(wanted);
    let over = std::sync::Arc::new(AtomicBool::new(false));
    for number in 0..idle {
        let (addr, over) = (daemon.addr, over.clone());
        runtime.spawn(async move { misbehave(number, addr, &over).await });
    }
    let mut slowest = Duration::ZERO;
    for round in 0..HONEST {
        let began = Instant::now();
        // A connection of its own each time: the worst case for who wants to be let in.
        let alerts = json!([{ "labels": { "alertname": "Honest", "id": round.to_string() } }]);
        let answer = loop {
            let sent = Connection::open(daemon.addr)
                .and_then(|mut it| it.send("POST", "/api/v2/alerts", JSON, alerts.to_string().as_bytes()));
            match sent {
                Ok(answer) => break answer,
                // Closed while it waited for its turn, or the kernel's own queue was full.
                Err(error) => assert!(began.elapsed() < PATIENCE * 4, "the honest sender was never let in: {error}"),
            }
        };
        assert_eq!(answer.status, 200, "{}", answer.text());
        slowest = slowest.max(began.elapsed());
    }
    over.store(true, Ordering::Relaxed);
    let open = daemon.metric("quell_connections", &[]);
    let grown = daemon.metric("quell_resident_memory_bytes", &[]) - before;
    eprintln!("{idle} bad connections; the slowest honest request took {slowest:?}; memory grew by {grown} bytes");
    assert!(open <= 401.0, "{open} connections are open");
    assert!(grown < 128.0 * 1_024.0 * 1_024.0, "memory grew by {grown} bytes");
    runtime.shutdown_background();
    serves(&daemon);
}

fn serves(daemon: &Daemon) {
    daemon.post_alerts(&json!([{ "labels": { "alertname": "After" } }]));
    assert_eq!(daemon.list("/v1/alerts?label=alertname:Honest", "alerts").len(), HONEST);
}

/// Keeps one bad connection open, and opens another where it is closed.
async fn misbehave(number: usize, addr: SocketAddr, over: &AtomicBool) {
    let host = Ipv4Addr::new(127, 0, u8::try_from(number / 200 % 250).unwrap_or(1), u8::try_from(number % 200 + 10).unwrap_or(1));
    while !over.load(Ordering::Relaxed) {
        if let Some(mut stream) = connect(host, addr).await {
            // However it ends.
            drop(misuse(number, &mut stream).await);
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
}

async fn connect(host: Ipv4Addr, addr: SocketAddr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().ok()?;
    socket.bind((host, 0).into()).ok()?;
    socket.connect(addr).await.ok()
}

/// Ends when the other side has had enough.
async fn misuse(number: usize, stream: &mut TcpStream) -> std::io::Result<()> {
    const HEAD: &str = "POST /api/v2/alerts HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let by_the_byte = match number % 5 {
        0 => HEAD.repeat(20),
        1 => {
            stream.write_all(format!("{HEAD}content-length: 1000\r\n\r\n").as_bytes()).await?;
            "[".to_owned() + &" ".repeat(900)
        }
        2 => {
            // Asks and never reads.
            for _ in 0..1_000 {
                stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await?;
            }
            return Ok(());
        }
        3 => {
            // Asks ahead of the answers, and reads these at leisure.
            let ahead = format!("{HEAD}content-length: 2\r\n\r\n[]").repeat(50);
            stream.write_all(ahead.as_bytes()).await?;
            String::new()
        }
        _ => String::new(),
    };
    for byte in by_the_byte.bytes() {
        stream.write_all(&[byte]).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut rest = [0; 1_024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// How many files this process may have open.
fn open_files() -> usize {
    let mut limits = String::new();
    let read = fs::File::open("/proc/self/limits").and_then(|mut file| file.read_to_string(&mut limits));
    assert!(read.is_ok() || read.is_err_and(|error| error.kind() == ErrorKind::NotFound));
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(1_024)
}
