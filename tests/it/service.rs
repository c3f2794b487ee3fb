//! What systemd and people at a terminal see of the daemon: readiness, the watchdog's beats, signals, ports, folders, and what
//! fifty starts in a row leave behind.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::daemon::{PATIENCE, Site, wait_until};
use crate::fakes::pagerduty::PagerDuty;
use crate::http::Connection;

/// systemd's end of the line.
struct Notified {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Notified {
    fn listen(folder: &Path) -> Notified {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Notified { socket, path }
    }

    fn environment(&self) -> (&'static str, String) {
        ("NOTIFY_SOCKET", self.path.to_str().unwrap().to_owned())
    }

    /// The lines of the next message.
    fn next(&self) -> Vec<String> {
        let mut message = [0; 4_096];
        let length = self.socket.recv(&mut message).expect("a message from the daemon");
        String::from_utf8(message[..length].to_vec()).unwrap().lines().map(str::to_owned).collect()
    }

    /// The next message that says something else than that the watchdog need not bark.
    fn next_word(&self) -> Vec<String> {
        std::iter::repeat_with(|| self.next()).find(|lines| lines != &["WATCHDOG=1"]).unwrap()
    }
}

#[test]
fn systemd_is_told_of_readiness_reload_and_stop_and_the_watchdog_is_fed_in_time() {
    let site = Site::new("", &[]);
    let notified = Notified::listen(site.path());
    // Shorter than the thread would look after itself on its own: the interval must be the service manager's.
    let watchdog = Duration::from_millis(800);
    let microseconds = ("WATCHDOG_USEC", watchdog.as_micros().to_string());
    let mut daemon = site.start_in(&[notified.environment(), microseconds]);
    assert_eq!(notified.next_word(), ["READY=1"]);

    let mut beats = Vec::new();
    while beats.len() < 6 {
        if notified.next() == ["WATCHDOG=1"] {
            beats.push(Instant::now());
        }
    }
    let mut gaps: Vec<Duration> = beats.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_unstable();
    assert!(gaps[gaps.len() / 2] <= watchdog * 3 / 4, "beats only every {gaps:?} where half of {watchdog:?} is asked for");

    daemon.signal("HUP");
    let lines = notified.next_word();
    assert_eq!(lines[0], "RELOADING=1");
    assert!(lines[1].strip_prefix("MONOTONIC_USEC=").is_some_and(|usec| usec.parse::<u64>().unwrap() > 0), "{lines:?}");
    assert_eq!(notified.next_word(), ["READY=1"]);

    daemon.signal("TERM");
    assert_eq!(notified.next_word(), ["STOPPING=1"]);
    assert_eq!(daemon.wait_for_exit(Duration::from_secs(10)).code(), Some(0));
}

#[test]
fn without_a_watchdog_nobody_is_told_of_beats() {
    let site = Site::new("", &[]);
    let notified = Notified::listen(site.path());
    let mut daemon = site.start_in(&[notified.environment()]);
    assert_eq!(notified.next(), ["READY=1"]);
    daemon.signal("INT");
    assert_eq!(notified.next(), ["STOPPING=1"], "SIGINT stops as SIGTERM does");
    assert_eq!(daemon.wait_for_exit(Duration::from_secs(10)).code(), Some(0));
}

#[test]
fn a_taken_port_is_named_and_nothing_is_written() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let site = Site::new("", &[]);
    let (status, stderr) = site.start_refused_at(&address);
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(&address) && stderr.contains("in use"), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(!site.data().exists(), "a data directory was made");

    // One that is there already stays as it is, byte for byte.
    site.start().kill();
    let before = contents(&site.data());
    assert_eq!(site.start_refused_at(&address).0.code(), Some(1));
    assert!(contents(&site.data()) == before, "the data directory was changed");
}

/// Each file with its bytes, but for the lock, which only says who had it last.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else if !path.ends_with("lock") {
            all.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

#[test]
fn a_data_folder_that_cannot_be_used_is_named() {
    type Spoil = fn(&Path);
    let cases: [(&str, Spoil, &str); 3] = [
        ("a file", |data| fs::write(data, "no folder").unwrap(), "data"),
        (
            "a file where the log should be",
            |data| {
                fs::create_dir(data).unwrap();
                fs::write(data.join("log"), "no folder").unwrap();
            },
            "log",
        ),
        (
            "a foreign file in the log",
            |data| {
                fs::create_dir_all(data.join("log")).unwrap();
                fs::write(data.join("log/notes.txt"), "mine").unwrap();
            },
            "notes.txt",
        ),
    ];
    for (what, spoil, named) in cases {
        let site = Site::new("", &[]);
        spoil(&site.data());
        let (status, stderr) = site.start_refused();
        assert_eq!(status.code(), Some(1), "{what}: {stderr}");
        assert!(stderr.contains(named) && !stderr.contains("panicked"), "{what}: {stderr}");
    }
    // Root reads what it likes, so this one may as well start.
    let site = Site::new("", &[]);
    fs::create_dir(site.data()).unwrap();
    fs::set_permissions(site.data(), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read_dir(site.data()).is_err() {
        let (status, stderr) = site.start_refused();
        assert_eq!(status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(site.data().to_str().unwrap()) && stderr.contains("denied"), "{stderr}");
    }
    fs::set_permissions(site.data(), fs::Permissions::from_mode(0o700)).unwrap();
}

fn paging(pager: &PagerDuty, limits: &str) -> Site {
    let receiver = format!("pagerduty: {{ routing_key: 0123456789abcdef0123456789abcdef, url: \"{}\" }}", pager.url());
    let rules = "escalate:\n  - name: page\n    steps:\n      - notify: [pager]\n    update: 1h\n";
    Site::new(&format!("receivers:\n  - name: pager\n    {receiver}\n{limits}"), &[("page.yaml", rules)])
}

/// Row 6: a crash loop neither fills the disk nor wakes anybody again.
#[test]
fn fifty_starts_in_a_row_leave_the_log_as_it_was_and_page_nobody() {
    let pager = PagerDuty::start();
    let site = paging(&pager, "");
    let mut daemon = site.start();
    daemon.post_alerts(&json!([{ "labels": { "alertname": "Loop", "severity": "critical" } }]));
    wait_until("the page to be recorded", PATIENCE, || daemon.notifications().iter().any(|it| it["state"] == "delivered"));
    let seq = |status: serde_json::Value| status["log"]["seq"].as_u64().unwrap();
    let before = seq(daemon.get("/v1/status"));
    let bytes = || -> u64 { contents(&site.data().join("log")).iter().map(|(_, bytes)| bytes.len() as u64).sum() };
    let bytes_before = bytes();
    for _ in 0..50 {
        daemon.kill();
        daemon = site.start();
    }
    assert_eq!(seq(daemon.get("/v1/status")), before, "starts were recorded");
    assert!(bytes() <= bytes_before, "the log grew from {bytes_before} to {} bytes", bytes());
    assert_eq!(pager.requests().len(), 1, "paged again");
    assert_eq!(daemon.incidents().len(), 1);
}

/// Row 37: connections never take the descriptors that the log and the pagers need.
#[test]
fn descriptors_are_kept_for_the_log_and_the_pagers() {
    let pager = PagerDuty::start();
    let site = paging(&pager, "limits:\n  connections_per_address: 1024\n");
    let most = 200;
    let daemon = site.start_with_descriptors(most);
    let idle: Vec<Connection> = (0..2 * most).map(|_| Connection::open(daemon.addr).unwrap()).collect();
    daemon.post_alerts(&json!([{ "labels": { "alertname": "Crowded", "severity": "critical" } }]));
    wait_until("the page", PATIENCE, || pager.requests().len() == 1);
    let open = daemon.metric("quell_open_fds", &[]);
    assert!(open < f64::from(most) - 40.0, "{open} of {most} descriptors are in use");
    assert!(!daemon.stderr().contains("Too many open files"), "descriptors ran out");
    drop(idle);
}
