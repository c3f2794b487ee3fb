//! A mail server: EHLO, AUTH PLAIN, MAIL, RCPT, DATA, with answers that can be scripted and strict about what it is sent.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::listener::{Listener, Stop};

/// A mail that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// As it was before dots were stuffed.
    pub(crate) data: String,
}

impl Mail {
    /// A header's value, unfolded; empty when it is missing.
    pub(crate) fn header(&self, name: &str) -> String {
        let head = self.data.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n ", " ");
        let prefix = format!("{}:", name.to_ascii_lowercase());
        let line = head.split("\r\n").find(|line| line.to_ascii_lowercase().starts_with(&prefix));
        line.map_or(String::new(), |line| line[prefix.len()..].trim().to_owned())
    }
}

/// What goes wrong, once each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SmtpFault {
    /// The command that begins thus is answered thus: `("RCPT TO:<a@", "451 later")`, `("", …)` for the greeting,
    /// `(".", …)` for the end of the mail.
    Answer(&'static str, &'static str),
    /// The mail is taken, and the connection closed without an answer.
    TakeThenDrop,
    /// The connection is closed at once.
    Drop,
    /// No greeting until the server is dropped.
    Hold,
}

/// The server.
pub(crate) struct Smtp {
    listener: Listener,
    shared: Arc<Shared>,
}

struct Shared {
    /// Base64 of the `\0user\0password` that AUTH PLAIN must give; without one AUTH is not offered.
    login: Option<String>,
    mails: Mutex<Vec<Mail>>,
    commands: Mutex<Vec<String>>,
    script: Mutex<VecDeque<SmtpFault>>,
}

impl Smtp {
    /// Starts one that wants a log-in if `login` is given.
    pub(crate) fn start(login: Option<(&str, &str)>) -> Smtp {
        let shared = Arc::new(Shared {
            login: login.map(|(user, password)| BASE64.encode(format!("\0{user}\0{password}"))),
            mails: Mutex::default(),
            commands: Mutex::default(),
            script: Mutex::default(),
        });
        let served = shared.clone();
        // However a conversation ends, it is over.
        let serve = move |stream, stop: &Stop| {
            served.serve(stream, stop);
        };
        Smtp { listener: Listener::start(serve), shared }
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.address().port()
    }

    /// Adds faults. Each happens once, when its command comes.
    pub(crate) fn script(&self, faults: impl IntoIterator<Item = SmtpFault>) {
        self.shared.script.lock().unwrap().extend(faults);
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.shared.mails.lock().unwrap().clone()
    }

    /// Every command line so far.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.shared.commands.lock().unwrap().clone()
    }
}

impl Shared {
    /// Serves one connection; `None` when the client is gone or a fault says so.
    fn serve(&self, stream: TcpStream, stop: &Stop) -> Option<()> {
        if self.take(&SmtpFault::Drop) {
            return None;
        }
        if self.take(&SmtpFault::Hold) {
            stop.wait();
            return None;
        }
        let mut out = stream.try_clone().ok()?;
        let mut lines = BufReader::new(stream);
        let mut say = |text: &str| out.write_all(format!("{text}\r\n").as_bytes()).ok();
        say(self.answer("").as_deref().unwrap_or("220 mail.example ESMTP"))?;
        let mut mail = Mail { from: String::new(), to: vec![], data: String::new() };
        let mut logged_in = self.login.is_none();
        loop {
            let line = read_line(&mut lines)?;
            self.commands.lock().unwrap().push(line.clone());
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            let scripted = self.answer(&line);
            let refused = scripted.as_deref().is_some_and(|answer| !answer.starts_with('2'));
            let usual = match verb.as_str() {
                "EHLO" if self.login.is_some() => "250-mail.example\r\n250-8BITMIME\r\n250 AUTH PLAIN",
                "EHLO" => "250-mail.example\r\n250 8BITMIME",
                "AUTH" => {
                    logged_in = self.login.as_deref().is_some_and(|login| line == format!("AUTH PLAIN {login}"));
                    if logged_in { "235 welcome" } else { "535 authentication failed" }
                }
                "QUIT" => {
                    say("221 bye")?;
                    return Some(());
                }
                "MAIL" if !logged_in => "530 log in first",
                "MAIL" => {
                    mail = Mail { from: address_of(&line), to: vec![], data: String::new() };
                    "250 ok"
                }
                "RCPT" => {
                    if !refused {
                        mail.to.push(address_of(&line));
                    }
                    "250 ok"
                }
                "DATA" if mail.to.is_empty() => "503 no recipients",
                "DATA" if !refused => {
                    say("354 go on")?;
                    mail.data = read_data(&mut lines)?;
                    let verdict = self.answer(".");
                    if mail.data.split("\r\n").any(|line| line.len() > 998 || line.contains(['\r', '\n'])) {
                        say("554 a line is too long or badly ended")?;
                        continue;
                    }
                    if verdict.as_deref().is_none_or(|answer| answer.starts_with('2')) {
                        self.mails.lock().unwrap().push(mail.clone());
                    }
                    if self.take(&SmtpFault::TakeThenDrop) {
                        return None;
                    }
                    say(verdict.as_deref().unwrap_or("250 queued"))?;
                    continue;
                }
                "DATA" => "",
                "RSET" | "NOOP" => "250 ok",
                _ => "502 unknown",
            };
            say(scripted.as_deref().unwrap_or(usual))?;
        }
    }

    /// The scripted answer to a command, used up by it.
    fn answer(&self, line: &str) -> Option<String> {
        let mut script = self.script.lock().unwrap();
        let index = script.iter().position(|fault| match fault {
            SmtpFault::Answer("", _) => line.is_empty(),
            SmtpFault::Answer(start, _) => line.starts_with(start),
            _ => false,
        })?;
        match script.remove(index) {
            Some(SmtpFault::Answer(_, answer)) => Some(answer.to_owned()),
            _ => None,
        }
    }

    fn take(&self, fault: &SmtpFault) -> bool {
        let mut script = self.script.lock().unwrap();
        script.iter().position(|scripted| scripted == fault).and_then(|index| script.remove(index)).is_some()
    }
}

fn read_line(lines: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    lines.read_until(b'\n', &mut line).ok().filter(|n| *n > 0)?;
    let line = String::from_utf8(line).ok()?;
    line.strip_suffix("\r\n").map(str::to_owned)
}

/// Reads up to the lone dot and takes the stuffed ones away.
fn read_data(lines: &mut impl BufRead) -> Option<String> {
    let mut data = String::new();
    loop {
        let line = read_line(lines)?;
        if line == "." {
            return Some(data);
        }
        data.push_str(line.strip_prefix('.').unwrap_or(&line));
        data.push_str("\r\n");
    }
}

fn address_of(line: &str) -> String {
    line.split(['<', '>']).nth(1).unwrap_or_default().to_owned()
}
