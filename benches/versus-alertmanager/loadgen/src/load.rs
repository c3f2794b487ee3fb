//! Posts alerts over a few connections at once and prints what that cost the server.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::http::{self, Connection};
use crate::options::Options;
use crate::{alert, process};

/// Requests as they go out, one after the other, whichever connection is free.
struct Work {
    requests: Vec<Vec<u8>>,
    /// The alerts of one pass over the requests.
    alerts: u64,
    bytes: usize,
    passes: usize,
    /// Instead of passes: so long, from the beginning again at the end.
    at_most: Option<Duration>,
    next: AtomicUsize,
}

/// What the connections saw.
#[derive(Default)]
struct Seen {
    latencies_us: Vec<u64>,
    statuses: BTreeMap<u16, u64>,
    broken: u64,
}

/// Runs the `load` command.
pub fn run(options: &Options) -> Result<(), String> {
    let addr = options.text("addr", "127.0.0.1:9093");
    let (pid, connections): (u32, usize) = (options.number("pid", 0)?, options.number("conns", 4)?);
    let settle = Duration::from_millis(options.number("settle", 10_000)?);
    let work = render(options)?;
    // Work that the server put off before is not ours.
    process::wait_until_quiet(pid, settle);
    let cpu_before = process::cpu_seconds(pid);
    let own_before = process::cpu_seconds(std::process::id());
    let begun = Instant::now();
    let seen = send_all(&work, &addr, connections, begun)?;
    let wall = begun.elapsed().as_secs_f64();
    let own_cpu = process::cpu_seconds(std::process::id()) - own_before;
    process::wait_until_quiet(pid, settle);
    let cpu = process::cpu_seconds(pid) - cpu_before;
    print(options, &work, seen, wall, cpu, own_cpu, process::resident_kib(pid));
    Ok(())
}

/// Renders all requests of one pass.
fn render(options: &Options) -> Result<Work, String> {
    if options.has("body") { message(options) } else { alerts(options) }
}

/// One message of any tool, as often as `--total` says.
fn message(options: &Options) -> Result<Work, String> {
    let file = options.text("body", "");
    let body = std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    let request = http::post_with(&options.text("path", "/"), &options.text("headers", ""), &body);
    let passes = options.number("total", 10_000)?;
    Ok(Work { bytes: request.len(), requests: vec![request], alerts: 1, passes, at_most: None, next: AtomicUsize::new(0) })
}

/// Alerts as Prometheus posts them.
fn alerts(options: &Options) -> Result<Work, String> {
    let (batch, total): (usize, u64) = (options.number("batch", 64)?, options.number("total", 10_000)?);
    let (distinct, start): (u64, u64) = (options.number("distinct", 10_000)?, options.number("start", 0)?);
    let (repeats, vary): (f64, u64) = (options.number("repeat", 0.0)?, options.number("vary", 0)?);
    let seconds: f64 = options.number("secs", 0.0)?;
    if batch == 0 || total == 0 || distinct == 0 {
        return Err("--batch, --total and --distinct are at least 1".to_owned());
    }
    let path = options.text("path", "/api/v2/alerts");
    let mut look = alert::Look::since(options.number("starts-at", alert::now() - 300)?);
    look.extra = options.text("extra", "");
    let mut chance = Chance(88_172_645_463_325_252);
    let (mut fresh, mut alerts, mut bytes, mut requests) = (0, 0, 0, Vec::new());
    while alerts < total {
        // A request holds alerts of one variation.
        look.variation = if options.has("vary") { alerts / distinct + vary } else { 0 };
        let count = usize::try_from(total - alerts).unwrap_or(batch).min(batch);
        let ids: Vec<u64> = (0..count)
            .map(|_| {
                if fresh > 0 && chance.is_below(repeats) {
                    return start + chance.next() % fresh.min(distinct);
                }
                fresh += 1;
                start + (fresh - 1) % distinct
            })
            .collect();
        let request = http::post(&path, &alert::body(&ids, &look));
        bytes += request.len();
        alerts += count as u64;
        requests.push(request);
    }
    let at_most = (seconds > 0.0).then(|| Duration::from_secs_f64(seconds));
    Ok(Work { requests, alerts, bytes, passes: options.number("passes", 1)?, at_most, next: AtomicUsize::new(0) })
}

fn send_all(work: &Work, addr: &str, connections: usize, begun: Instant) -> Result<Seen, String> {
    let open = || Connection::open(addr).map_err(|error| format!("{addr}: {error}"));
    let connections: Vec<Connection> = (0..connections).map(|_| open()).collect::<Result<_, _>>()?;
    let mut all = Seen::default();
    thread::scope(|scope| {
        let threads: Vec<_> = connections.into_iter().map(|c| scope.spawn(move || send(work, c, begun))).collect();
        for thread in threads {
            let seen = thread.join().map_err(|_| "a connection's thread panicked".to_owned())?;
            all.latencies_us.extend(seen.latencies_us);
            all.broken += seen.broken;
            for (status, count) in seen.statuses {
                *all.statuses.entry(status).or_default() += count;
            }
        }
        Ok(all)
    })
}

/// What one connection does.
fn send(work: &Work, mut connection: Connection, begun: Instant) -> Seen {
    let mut seen = Seen::default();
    loop {
        let turn = work.next.fetch_add(1, Ordering::Relaxed);
        let is_over = match work.at_most {
            Some(length) => begun.elapsed() >= length,
            None => turn >= work.requests.len() * work.passes,
        };
        // A server that is gone would be asked for ever.
        if is_over || seen.broken > 100 {
            return seen;
        }
        let sent = Instant::now();
        match connection.send(&work.requests[turn % work.requests.len()]) {
            Ok(status) => *seen.statuses.entry(status).or_default() += 1,
            Err(_) => seen.broken += 1,
        }
        seen.latencies_us.push(u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
}

fn print(options: &Options, work: &Work, mut seen: Seen, wall: f64, cpu: f64, own_cpu: f64, rss_kib: u64) {
    let requests: u64 = seen.statuses.values().sum();
    let failed = seen.broken + seen.statuses.iter().filter(|(status, _)| **status >= 300).map(|(_, count)| count).sum::<u64>();
    let alerts = requests as f64 * work.alerts as f64 / work.requests.len() as f64;
    let per_million = |seconds: f64| if alerts > 0.0 { seconds / alerts * 1e6 } else { 0.0 };
    seen.latencies_us.sort_unstable();
    let (p50, p99, max) =
        (percentile(&seen.latencies_us, 50), percentile(&seen.latencies_us, 99), percentile(&seen.latencies_us, 100));
    let (server, own) = (per_million(cpu), per_million(own_cpu));
    if options.has("json") {
        println!(
            "{{\"alerts\":{alerts:.0},\"requests\":{requests},\"failed\":{failed},\"wall_s\":{wall:.3},\"server_cpu_s\":{cpu:.2},\
             \"server_cpu_s_per_million\":{server:.3},\"own_cpu_s_per_million\":{own:.3},\"rss_kib\":{rss_kib},\
             \"p50_us\":{p50},\"p99_us\":{p99},\"max_us\":{max}}}"
        );
    } else {
        println!(
            "alerts={alerts:.0} requests={requests} failed={failed} B/alert={:.0} wall={wall:.3}s alerts/s={:.0} srvCPU={cpu:.2}s \
             srvCPU/M={server:.3} genCPU/M={own:.3} rss={:.1}MiB p50={p50}us p99={p99}us max={max}us statuses={:?}",
            work.bytes as f64 / work.alerts as f64,
            alerts / wall,
            rss_kib as f64 / 1024.0,
            seen.statuses,
        );
    }
}

/// The value at `percent` of sorted values.
pub fn percentile(sorted: &[u64], percent: usize) -> u64 {
    sorted.get(sorted.len().saturating_sub(1) * percent / 100).copied().unwrap_or(0)
}

/// Chance that is the same in every run: xorshift.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn is_below(&mut self, share: f64) -> bool {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64 <= share && share > 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Options {
        Options::parse(text.split_whitespace().map(str::to_owned)).unwrap()
    }

    #[test]
    fn numbers_run_round_and_batches_are_whole() {
        let work = render(&options("--batch 4 --total 10 --distinct 6")).unwrap();
        assert_eq!((work.requests.len(), work.alerts), (3, 10));
        let last = String::from_utf8(work.requests[2].clone()).unwrap();
        assert!(last.contains(&format!("{}0000003", alert::MARK)), "{last}");
        assert_eq!(last.matches("startsAt").count(), 2);
    }

    #[test]
    fn percentiles() {
        assert_eq!(percentile(&[], 50), 0);
        let values: Vec<u64> = (0..=100).collect();
        assert_eq!([50, 99, 100].map(|percent| percentile(&values, percent)), [50, 99, 100]);
    }
}
