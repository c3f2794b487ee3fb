//! The real binary as a child process: started on a folder, asked over HTTP, killed, started again on the same folder.
//!
//! Nothing here sleeps for a fixed time: [`wait_for`] polls for what must come, with a deadline long enough for a busy
//! machine. When a test fails, what the daemon wrote to stderr is printed.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::http::{self, Response};

/// How long anything may take that has no limit of its own.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Polls until `look` finds something, and returns it. Fails with `what` once `limit` has passed.
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// As [`wait_for`], for a condition.
pub(crate) fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    wait_for(what, limit, || holds().then_some(()));
}

/// A folder with everything one installation has: `quell.yaml`, `rules/`, `data/`.
pub(crate) struct Site {
    folder: TempDir,
}

impl Site {
    /// Makes the folder. `rules` are names and texts of rule files.
    pub(crate) fn new(config: &str, rules: &[(&str, &str)]) -> Site {
        let site = Site { folder: TempDir::new().unwrap() };
        fs::write(site.config(), config).unwrap();
        fs::create_dir(site.rules()).unwrap();
        for (name, text) in rules {
            site.write_rules(name, text);
        }
        site
    }

    /// Where the folder is.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.path().join("quell.yaml")
    }

    /// The folder of rule files.
    pub(crate) fn rules(&self) -> PathBuf {
        self.path().join("rules")
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Writes one rule file, as an editor does: to another name first, so that no reader meets half of it.
    pub(crate) fn write_rules(&self, name: &str, text: &str) {
        let unfinished = self.path().join("rules.unfinished");
        fs::write(&unfinished, text).unwrap();
        fs::rename(unfinished, self.rules().join(name)).unwrap();
    }

    /// `quell` with this site's files and the given arguments, run to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command().args(args).output().unwrap()
    }

    /// Starts the daemon on a port that the kernel chooses, and waits until it is ready.
    pub(crate) fn start(&self) -> Daemon {
        self.start_at("127.0.0.1:0")
    }

    /// Starts the daemon on a given address, and waits until it is ready.
    pub(crate) fn start_at(&self, listen: &str) -> Daemon {
        self.start_by(listen, self.command())
    }

    /// Starts the daemon with variables of the environment, as systemd does.
    pub(crate) fn start_in(&self, environment: &[(&str, String)]) -> Daemon {
        let mut command = self.command();
        command.envs(environment.iter().map(|(name, value)| (*name, value)));
        self.start_by("127.0.0.1:0", command)
    }

    /// Starts the daemon with so many file descriptors at most.
    pub(crate) fn start_with_descriptors(&self, most: u32) -> Daemon {
        let mut shell = self.command_of("sh");
        shell.args(["-c", &format!("ulimit -n {most}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_quell")]);
        self.start_by("127.0.0.1:0", shell)
    }

    /// Starts the daemon with more flags, which need no quoting.
    pub(crate) fn start_with(&self, flags: &[&str]) -> Daemon {
        let mut shell = self.command_of("sh");
        shell.args(["-c", &format!("exec \"$0\" \"$@\" {}", flags.join(" ")), env!("CARGO_BIN_EXE_quell")]);
        self.start_by("127.0.0.1:0", shell)
    }

    fn start_by(&self, listen: &str, command: Command) -> Daemon {
        let daemon = self.spawn(listen, command);
        wait_until("the daemon to be ready", PATIENCE, || daemon.try_get("/-/ready").is_some_and(|r| r.status == 200));
        daemon
    }

    /// Starts a daemon that must refuse to serve; its exit status and what it wrote to stderr.
    pub(crate) fn start_refused(&self) -> (ExitStatus, String) {
        self.start_refused_at("127.0.0.1:0")
    }

    /// The same on a given address.
    pub(crate) fn start_refused_at(&self, listen: &str) -> (ExitStatus, String) {
        let output = self.run(&self.serve_args(listen).iter().map(String::as_str).collect::<Vec<_>>());
        (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// The binary in this site's folder, without what the tester's own environment would tell it.
    fn command(&self) -> Command {
        self.command_of(env!("CARGO_BIN_EXE_quell"))
    }

    fn command_of(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("QUELL_") || ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"].contains(&name.as_str()) {
                command.env_remove(name);
            }
        }
        command.current_dir(self.path()).stdin(Stdio::null());
        command
    }

    fn serve_args(&self, listen: &str) -> Vec<String> {
        let path = |path: PathBuf| path.to_str().unwrap().to_owned();
        let files = [("--config", path(self.config())), ("--rules", path(self.rules())), ("--data", path(self.data()))];
        let mut args = vec!["serve".to_owned()];
        for (flag, value) in files {
            args.extend([flag.to_owned(), value]);
        }
        args.extend(["--listen".to_owned(), listen.to_owned()]);
        args
    }

    fn spawn(&self, listen: &str, mut command: Command) -> Daemon {
        let mut child = command.args(self.serve_args(listen)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = Collected::from(child.stdout.take().unwrap());
        let stderr = Collected::from(child.stderr.take().unwrap());
        let mut daemon = Daemon { child, addr: SocketAddr::from(([127, 0, 0, 1], 0)), stdout, stderr };
        daemon.addr = wait_for("the daemon's address on stderr", PATIENCE, || {
            let exited = daemon.child.try_wait().unwrap();
            assert!(exited.is_none(), "the daemon ended before it listened: {exited:?}");
            listening_address(&daemon.stderr())
        });
        daemon
    }
}

/// Finds the address in the daemon's log: `… listening on 127.0.0.1:40123 …`. The one place that knows this line.
fn listening_address(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once("listening on ")?;
    let end = rest.find(|c: char| c.is_whitespace() || c == '"' || c == ',')?;
    rest[..end].parse().ok()
}

/// A running daemon. Dropped, it is killed.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) addr: SocketAddr,
    stdout: Collected,
    stderr: Collected,
}

impl Daemon {
    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has written to stderr so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Everything that it has written to stdout so far.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Kills it as a power cut would: SIGKILL, no chance to finish anything.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal by name: `TERM`, `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.pid())]).status().unwrap();
        assert!(sent.success(), "kill -{name}: {sent}");
    }

    /// Waits for it to end by itself. What it wrote is complete then.
    pub(crate) fn wait_for_exit(&mut self, limit: Duration) -> ExitStatus {
        let child = &mut self.child;
        let status = wait_for("the daemon to end", limit, || child.try_wait().unwrap());
        self.stdout.finish();
        self.stderr.finish();
        status
    }

    /// GET; fails unless the answer is 2xx.
    pub(crate) fn get(&self, path: &str) -> Value {
        let response = self.request("GET", path, &[], b"");
        assert!(response.is_success(), "GET {path}: {} {}", response.status, response.text());
        response.json()
    }

    /// GET; `None` when there is no answer at all.
    pub(crate) fn try_get(&self, path: &str) -> Option<Response> {
        http::request(self.addr, "GET", path, &[], b"").ok()
    }

    /// POST of JSON, whatever the answer.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Response {
        self.request("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    /// Any request; fails when there is no answer.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        http::request(self.addr, method, path, headers, body).unwrap_or_else(|e| panic!("{method} {path}: {e}"))
    }

    /// Posts alerts as Prometheus does; fails unless they are acknowledged.
    pub(crate) fn post_alerts(&self, alerts: &Value) {
        let response = self.post("/api/v2/alerts", alerts);
        assert!(response.is_success(), "POST /api/v2/alerts: {} {}", response.status, response.text());
    }

    /// All incidents, whatever their status, in order of opening.
    pub(crate) fn incidents(&self) -> Vec<Value> {
        let mut incidents = self.list("/v1/incidents?status=all", "incidents");
        incidents.sort_by_key(|incident| incident["id"].as_str().and_then(|id| id[4..].parse::<u64>().ok()));
        incidents
    }

    /// All notifications, whatever their state.
    pub(crate) fn notifications(&self) -> Vec<Value> {
        self.list("/v1/notifications", "notifications")
    }

    /// Every page of a list, from a path that has a query.
    pub(crate) fn list(&self, path: &str, field: &str) -> Vec<Value> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("{path}{separator}limit=1000{cursor}"));
            all.extend(page[field].as_array().unwrap_or_else(|| panic!("no {field} in {page}")).iter().cloned());
            match &page["next"] {
                Value::Null => return all,
                Value::String(next) => cursor = format!("&cursor={next}"),
                next => cursor = format!("&cursor={next}"),
            }
        }
    }

    /// The sum of a metric's samples whose labels contain all of `labels` (`reason="depth"`).
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        sum_of_metric(&self.request("GET", "/metrics", &[], b"").text(), name, labels)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already; either way it must not outlive the test.
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            self.stderr.finish();
            eprintln!("--- the daemon's stderr ---\n{}---", self.stderr());
        }
    }
}

/// Adds up the samples of one metric in an exposition text.
pub(crate) fn sum_of_metric(exposition: &str, name: &str, labels: &[&str]) -> f64 {
    exposition
        .lines()
        .filter_map(|line| line.strip_prefix(name))
        .filter(|rest| rest.starts_with(['{', ' ']) && labels.iter().all(|label| rest.contains(label)))
        .filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// What a child writes, read by a thread of its own so that a full pipe never stops the child.
pub(crate) struct Collected {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Collected {
    pub(crate) fn from(pipe: impl Read + Send + 'static) -> Collected {
        let text = Arc::new(Mutex::new(String::new()));
        let sink = text.clone();
        let reader = thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                sink.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        Collected { text, reader: Some(reader) }
    }

    pub(crate) fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    /// Waits for the end of the pipe; only after the child has ended.
    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            drop(reader.join());
        }
    }
}
