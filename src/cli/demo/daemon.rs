//! The demo's daemon: this program as a child process, on a folder that both leave behind empty.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::cli::failure::Failure;

/// How long the start may take.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// A running daemon. Dropped, it is killed and its folder deleted.
pub(super) struct Daemon {
    child: Child,
    folder: PathBuf,
    /// Where it listens: `http://127.0.0.1:40123`
    pub(super) url: String,
}

impl Daemon {
    /// Writes configuration and rules into a new folder, starts the daemon on it and waits until it listens.
    pub(super) async fn start(config: &str, rules: &str) -> Result<Daemon, Failure> {
        let folder = new_folder()?;
        fs::write(folder.join("quell.yaml"), config)?;
        fs::create_dir(folder.join("rules"))?;
        fs::write(folder.join("rules/demo.yaml"), rules)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").arg("--config").arg(folder.join("quell.yaml")).arg("--rules").arg(folder.join("rules"));
        command.arg("--data").arg(folder.join("data")).args(["--listen", "127.0.0.1:0"]);
        // What is set for another daemon must not reach this one.
        for name in std::env::vars_os().map(|(name, _)| name).filter(|name| is_ours(name)) {
            command.env_remove(name);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let (sender, address) = oneshot::channel();
        if let Some(stderr) = child.stderr.take() {
            let log = folder.join("quell.log");
            thread::spawn(move || keep_log(stderr, &log, sender));
        }
        let mut daemon = Daemon { child, folder, url: String::new() };
        let Ok(Ok(address)) = timeout(START_PATIENCE, address).await else {
            let log = fs::read_to_string(daemon.folder.join("quell.log")).unwrap_or_default();
            return Err(Failure::new(format!("the demo's daemon did not start\n{}", log.trim_end())));
        };
        daemon.url = format!("http://{address}");
        Ok(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Killed rather than asked: it must not outlive the demo, and what it holds is thrown away.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Variables that set something for `quell serve` or for its service manager.
fn is_ours(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("QUELL_") || name == "NOTIFY_SOCKET" || name == "WATCHDOG_USEC")
}

/// A folder that nobody else has.
fn new_folder() -> Result<PathBuf, Failure> {
    let (parent, process) = (std::env::temp_dir(), std::process::id());
    for n in 0..1_000 {
        let folder = parent.join(format!("quell-demo-{process}-{n}"));
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Failure::new(format!("{}: {error}", folder.display()))),
        }
    }
    Err(Failure::new(format!("no folder can be made in {}", parent.display())))
}

/// Copies what the daemon says into a file, so that it never waits for a reader, and picks out its address:
/// `… listening on 127.0.0.1:40123 …`.
fn keep_log(stderr: ChildStderr, log: &Path, sender: oneshot::Sender<String>) {
    let mut file = fs::File::create(log).ok();
    let mut sender = Some(sender);
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if let Some(address) = listening_address(&line)
            && let Some(sender) = sender.take()
        {
            // Nobody waits any more when the start has taken too long.
            drop(sender.send(address));
        }
        if let Some(file) = &mut file {
            drop(std::io::Write::write_fmt(file, format_args!("{line}\n")));
        }
    }
}

fn listening_address(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("listening on ")?;
    let address = rest.split(|c: char| c.is_whitespace() || c == '"' || c == ',').next()?;
    address.parse::<std::net::SocketAddr>().ok().map(|address| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_address_in_a_log_line() {
        let cases = [
            ("2026-01-05T00:00:00Z  INFO quell::app: listening on 127.0.0.1:40123", Some("127.0.0.1:40123")),
            (r#"{"message":"listening on [::1]:80","level":"INFO"}"#, Some("[::1]:80")),
            ("listening on nothing", None),
            ("starting", None),
        ];
        for (line, expected) in cases {
            assert_eq!(listening_address(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn folders_are_new() {
        let (a, b) = (new_folder().unwrap(), new_folder().unwrap());
        assert_ne!(a, b);
        fs::remove_dir(a).unwrap();
        fs::remove_dir(b).unwrap();
    }
}
