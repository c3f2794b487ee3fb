//! From the post of a new alert until the server's webhook holds it: a sink and a sender in one process, one alert at a time.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::alert::{self, ID_DIGITS, MARK};
use crate::http::{self, Connection};
use crate::load::percentile;
use crate::options::Options;

/// Alerts under way, and how long those took that arrived.
#[derive(Default)]
struct Race {
    sent: HashMap<u64, Instant>,
    arrived_us: Vec<u64>,
}

/// Runs the `latency` command.
pub fn run(options: &Options) -> Result<(), String> {
    let (addr, sink) = (options.text("addr", "127.0.0.1:9093"), options.text("sink", "127.0.0.1:9900"));
    let (count, gap, start): (u64, u64, u64) =
        (options.number("n", 200)?, options.number("gap", 20)?, options.number("start", 0)?);
    let race = Arc::new(Mutex::new(Race::default()));
    let listener = TcpListener::bind(&sink).map_err(|error| format!("{sink}: {error}"))?;
    let at_the_sink = race.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let race = at_the_sink.clone();
            thread::spawn(move || http::serve(stream, |body| arrive(&race, body)));
        }
    });
    let mut connection = Connection::open(&addr).map_err(|error| format!("{addr}: {error}"))?;
    let mut answered_us = Vec::new();
    for id in start..start + count {
        // Young enough that no server counts it as having waited for its group already.
        let look = alert::Look::since(alert::now());
        let request = http::post("/api/v2/alerts", &alert::body(&[id], &look));
        let sent = Instant::now();
        lock(&race).sent.insert(id, sent);
        connection.send(&request).map_err(|error| format!("{addr}: {error}"))?;
        answered_us.push(micros(sent.elapsed()));
        thread::sleep(Duration::from_millis(gap));
    }
    thread::sleep(Duration::from_millis(1_500));
    let mut arrived_us = std::mem::take(&mut lock(&race).arrived_us);
    arrived_us.sort_unstable();
    answered_us.sort_unstable();
    println!(
        "alerts={count} arrived={} answer p50={}us p99={}us webhook p50={}us p99={}us max={}us",
        arrived_us.len(),
        percentile(&answered_us, 50),
        percentile(&answered_us, 99),
        percentile(&arrived_us, 50),
        percentile(&arrived_us, 99),
        percentile(&arrived_us, 100),
    );
    Ok(())
}

/// Takes the time of every alert that a webhook's body names for the first time.
fn arrive(race: &Mutex<Race>, body: &[u8]) {
    let now = Instant::now();
    let text = String::from_utf8_lossy(body);
    let mut race = lock(race);
    for behind in text.split(MARK).skip(1) {
        let id = behind.get(..ID_DIGITS).and_then(|digits| digits.parse().ok());
        if let Some(sent) = id.and_then(|id: u64| race.sent.remove(&id)) {
            race.arrived_us.push(micros(now - sent));
        }
    }
}

fn lock(race: &Mutex<Race>) -> std::sync::MutexGuard<'_, Race> {
    race.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}
