//! What /proc says of a process. Linux only.

use std::fs;
use std::time::{Duration, Instant};

/// `sysconf(_SC_CLK_TCK)`, which is 100 on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time of all threads of a process, in seconds, user and system together; 0 for one that is not there.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, in parentheses, may hold anything; behind it utime and stime are the 12th and 13th field.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

/// Resident memory in KiB; 0 for a process that is not there.
pub fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Waits until a process has used no more than a hundredth of a second in half a second, or `at_most` is over: work that
/// it has put off belongs to the work that was asked of it.
pub fn wait_until_quiet(pid: u32, at_most: Duration) {
    let end = Instant::now() + at_most;
    loop {
        let before = cpu_seconds(pid);
        std::thread::sleep(Duration::from_millis(500));
        if cpu_seconds(pid) - before < 0.015 || Instant::now() >= end {
            return;
        }
    }
}
