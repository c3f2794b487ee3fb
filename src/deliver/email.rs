//! Mail by SMTP: one mail for each message, all mails on one incident in one thread.
//!
//! Every recipient is judged by itself. One that the server cannot take now is tried again without writing to the others
//! a second time: the receiver remembers, for a while and in memory only, whom it has served. A recipient that is refused
//! for good makes the notification a visible failure, even though the others have the mail. After a lost answer the mail
//! is sent again under the same Message-ID, by which mail programs show it once.

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use tokio::net::TcpStream;

use super::address::{AddressRefused, Guard};
use super::client::{self, Context, Secrets, duration};
use super::{Delivery, Fault, Message, Receiver, message, text};
use crate::config::{EmailConfig, Secret, SmtpTls};
use crate::model::Millis;

/// Notifications whose served recipients are remembered.
const SERVED_MAX: usize = 1_000;
/// The last answer, to the whole mail, may take four times as long as the others.
const FINAL_ANSWER_FACTOR: u32 = 4;
/// However many recipients answer slowly, a whole attempt takes no longer than ten answers may.
const ATTEMPT_FACTOR: u32 = 10;

/// A mail server and the people behind it.
pub(crate) struct Email {
    config: EmailConfig,
    from: Mailbox,
    to: Vec<Mailbox>,
    guard: Guard,
    connect: Duration,
    step: Duration,
    secrets: Secrets,
    served: Mutex<Served>,
}

/// Who has which notification already; the oldest are forgotten first.
#[derive(Default)]
struct Served(VecDeque<(String, HashSet<usize>)>);

impl Email {
    /// # Errors
    /// What is wrong with the settings, in words.
    pub(crate) fn new(context: &Context, config: EmailConfig) -> Result<Email, String> {
        let mailbox = |text: &str| text.parse::<Mailbox>().map_err(|error| format!("{text:?} is not a mail address: {error}"));
        let to = config.to.iter().map(|text| mailbox(text)).collect::<Result<Vec<Mailbox>, String>>()?;
        if to.is_empty() {
            return Err("no recipient is named".to_owned());
        }
        let secrets = Secrets::new(config.password.iter().flat_map(encoded));
        Ok(Email {
            from: mailbox(&config.from)?,
            to,
            guard: context.guard(),
            connect: duration(context.timeouts.connect),
            step: duration(context.timeouts.other),
            secrets,
            served: Mutex::default(),
            config,
        })
    }

    async fn send(&self, message: &Message) -> Result<Delivery, Failure> {
        let missing = self.served().missing(&message.id, self.to.len());
        let mail = self.mail(message)?;
        let mut connection = self.connect().await?;
        let result = self.hand_over(&mut connection, &missing, &mail, message).await;
        // The mail is taken or not by now; how the parting goes changes nothing.
        drop(tokio::time::timeout(self.connect, connection.quit()).await);
        result
    }

    /// Connects to a checked address, protects the connection and logs in.
    async fn connect(&self) -> Result<AsyncSmtpConnection, Failure> {
        let host = self.config.host.as_str();
        let addresses = within(self.connect, self.guard.resolve(host)).await?.map_err(|error| Failure::lookup(&error))?;
        let addresses: Vec<SocketAddr> = addresses.into_iter().map(|ip| SocketAddr::new(ip, self.config.port)).collect();
        let domain = self.from.email.domain();
        let hello = ClientId::Domain(domain.to_owned());
        let tls = || TlsParameters::new_rustls(host.to_owned()).map_err(|error| Failure::smtp(&error));
        let mut connection = if self.config.tls == SmtpTls::Implicit {
            let connecting = AsyncSmtpConnection::connect_tokio1(&*addresses, Some(self.connect), &hello, Some(tls()?), None);
            within(self.step, connecting).await?.map_err(|error| Failure::smtp(&error))?
        } else {
            let stream =
                within(self.connect, TcpStream::connect(&*addresses)).await?.map_err(|error| Failure::network(&error))?;
            let greeting = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello);
            within(self.step, greeting).await?.map_err(|error| Failure::smtp(&error))?
        };
        if self.config.tls == SmtpTls::Starttls {
            if !connection.can_starttls() {
                return Err(Failure::again(
                    Fault::Auth,
                    "the server offers no STARTTLS; mail is not sent in the clear".to_owned(),
                ));
            }
            within(self.step, connection.starttls(tls()?, &hello)).await?.map_err(|error| Failure::smtp(&error))?;
        }
        if let (Some(user), Some(password)) = (&self.config.user, &self.config.password) {
            let credentials = Credentials::new(user.clone(), password.expose().to_owned());
            let login = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials);
            within(self.step, login).await?.map_err(|error| Failure::login(&error))?;
        }
        Ok(connection)
    }

    async fn hand_over(
        &self,
        connection: &mut AsyncSmtpConnection,
        missing: &[usize],
        mail: &[u8],
        message: &Message,
    ) -> Result<Delivery, Failure> {
        let smtp = |error: SmtpError| Failure::smtp(&error);
        let beyond_ascii = !self.from.email.to_string().is_ascii() || self.to.iter().any(|to| !to.email.to_string().is_ascii());
        if beyond_ascii && !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err(Failure::refused("an address is not ASCII and the server does not offer SMTPUTF8".to_owned()));
        }
        let parameters = if beyond_ascii { vec![MailParameter::SmtpUtfEight] } else { vec![] };
        within(self.step, connection.command(Mail::new(Some(self.from.email.clone()), parameters))).await?.map_err(smtp)?;
        let (mut accepted, mut failures) = (vec![], vec![]);
        for index in missing {
            let address = &self.to[*index].email;
            match within(self.step, connection.command(Rcpt::new(address.clone(), vec![]))).await? {
                Ok(_) => accepted.push(*index),
                Err(error) if error.status().is_some() => failures.push((address, error)),
                // No answer at all is no verdict on the recipient.
                Err(error) => return Err(smtp(error)),
            }
        }
        if !accepted.is_empty() {
            within(self.step, connection.command(Data)).await?.map_err(smtp)?;
            within(self.step * FINAL_ANSWER_FACTOR, connection.message(mail)).await?.map_err(smtp)?;
            self.served().add(&message.id, &accepted);
        }
        if failures.is_empty() {
            return Ok(Delivery::Taken { remote: None });
        }
        let told = self.to.len() - failures.len();
        let list: Vec<String> = failures.iter().map(|(to, error)| format!("{to}: {}", client::describe(error))).collect();
        let error = text::line(&format!("{told} of {} recipients have it; {}", self.to.len(), list.join("; ")), 1_000);
        if failures.iter().any(|(_, error)| error.is_transient()) {
            Err(Failure::again(Fault::Server, error))
        } else {
            Err(Failure::refused(error))
        }
    }

    /// The whole mail, as it goes over the wire but for the stuffing of dots.
    fn mail(&self, message: &Message) -> Result<Vec<u8>, Failure> {
        let words = message::words(message);
        let domain = self.from.email.domain();
        let root = format!("<{}@{domain}>", header_text(&message.key));
        let mut mail = lettre::Message::builder()
            .date(UNIX_EPOCH + Duration::from_millis(u64::try_from(message.created_at.0).unwrap_or(0)))
            .from(self.from.clone())
            .subject(words.summary.as_str())
            .message_id(Some(format!("<{}@{domain}>", header_text(&message.id))))
            .in_reply_to(root.clone())
            .references(root);
        for to in &self.to {
            mail = mail.to(to.clone());
        }
        let mut headers = vec![
            ("Auto-Submitted", "auto-generated".to_owned()),
            ("X-Auto-Response-Suppress", "All".to_owned()),
            ("Precedence", "bulk".to_owned()),
            ("X-Alert-Key", header_text(&message.key)),
            ("X-Quell-Incident", message.incident.id.to_string()),
        ];
        if message.incident.priority == 1 {
            headers.push(("X-Priority", "1".to_owned()));
        }
        for (name, value) in headers {
            let name = HeaderName::new_from_ascii(name.to_owned()).map_err(|error| Failure::config(&error))?;
            mail = mail.raw_header(HeaderValue::new(name, value));
        }
        let part = |kind: ContentType, body: String| {
            SinglePart::builder().header(kind).header(ContentTransferEncoding::QuotedPrintable).body(body)
        };
        let body = MultiPart::alternative()
            .singlepart(part(ContentType::TEXT_PLAIN, words.body))
            .singlepart(part(ContentType::TEXT_HTML, message::html(message)));
        Ok(mail.multipart(body).map_err(|error| Failure::config(&error))?.formatted())
    }

    fn served(&self) -> std::sync::MutexGuard<'_, Served> {
        // A panic cannot leave the list half-changed in a way that matters: at worst somebody gets a mail twice.
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Receiver for Email {
    fn kind(&self) -> &'static str {
        "email"
    }

    fn is_pager(&self) -> bool {
        false
    }

    fn deliver<'a>(&'a self, message: &'a Message) -> Pin<Box<dyn Future<Output = Delivery> + Send + 'a>> {
        Box::pin(async {
            let attempt = within(self.step * ATTEMPT_FACTOR, Box::pin(self.send(message))).await;
            attempt.and_then(|result| result).unwrap_or_else(|failure| {
                let error = format!("{}:{}: {}", self.config.host, self.config.port, failure.error);
                let error = self.secrets.strike(&error);
                if failure.again {
                    Delivery::TryAgain { fault: failure.fault, error, retry_after: None }
                } else {
                    Delivery::Refused { fault: failure.fault, error }
                }
            })
        })
    }
}

impl Served {
    /// The recipients, by index, that do not have a notification yet.
    fn missing(&self, id: &str, recipients: usize) -> Vec<usize> {
        let known = self.0.iter().find(|(known, _)| known == id);
        (0..recipients).filter(|index| known.is_none_or(|(_, served)| !served.contains(index))).collect()
    }

    fn add(&mut self, id: &str, recipients: &[usize]) {
        if let Some((_, served)) = self.0.iter_mut().find(|(known, _)| known == id) {
            served.extend(recipients);
            return;
        }
        if self.0.len() == SERVED_MAX {
            self.0.pop_front();
        }
        self.0.push_back((id.to_owned(), recipients.iter().copied().collect()));
    }
}

/// Why a mail was not taken.
struct Failure {
    again: bool,
    fault: Fault,
    error: String,
}

impl Failure {
    fn again(fault: Fault, error: String) -> Failure {
        Failure { again: true, fault, error }
    }

    fn refused(error: String) -> Failure {
        Failure { again: false, fault: Fault::Rejected, error }
    }

    fn config(error: &dyn std::error::Error) -> Failure {
        Failure { again: false, fault: Fault::Config, error: client::describe(error) }
    }

    fn network(error: &io::Error) -> Failure {
        Failure::again(Fault::Network, client::describe(error))
    }

    fn lookup(error: &io::Error) -> Failure {
        match client::cause::<AddressRefused>(error) {
            Some(refused) => Failure { again: false, fault: Fault::Address, error: refused.to_string() },
            None => Failure::network(error),
        }
    }

    /// 4xx is for now, 5xx for good; without a code there was no answer that could be understood.
    fn smtp(error: &SmtpError) -> Failure {
        let text = client::describe(error);
        match error.status().map(|code| code.to_string()) {
            // Log in first; the mechanism is too weak; log in over TLS.
            Some(code) if matches!(code.as_str(), "530" | "534" | "535" | "538") => Failure::again(Fault::Auth, text),
            _ if error.is_permanent() => Failure::refused(text),
            _ if error.is_transient() || error.is_response() => Failure::again(Fault::Server, text),
            _ => Failure::again(Fault::Network, text),
        }
    }

    /// While logging in, a refusal is one of our credentials, and so is a server that knows none of our mechanisms.
    fn login(error: &SmtpError) -> Failure {
        let failure = Failure::smtp(error);
        let fault = if error.is_permanent() || error.is_client() { Fault::Auth } else { failure.fault };
        Failure::again(fault, failure.error)
    }
}

/// A step within its time.
async fn within<T>(limit: Duration, step: impl Future<Output = T>) -> Result<T, Failure> {
    let limit_ms = Millis(i64::try_from(limit.as_millis()).unwrap_or(i64::MAX));
    tokio::time::timeout(limit, step).await.map_err(|_| Failure::again(Fault::Network, format!("no answer within {limit_ms}")))
}

/// A text that may stand in a structured header: whatever is not plain ASCII becomes `_`.
fn header_text(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || "-_./+=".contains(c) { c } else { '_' }).collect()
}

/// A password in the two forms that SMTP carries it in.
fn encoded(password: &Secret) -> [Secret; 2] {
    use base64::Engine as _;
    [password.clone(), Secret::new(&base64::engine::general_purpose::STANDARD.encode(password.expose()))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn served_recipients_are_left_out_and_the_oldest_forgotten() {
        let mut served = Served::default();
        served.add("a", &[1]);
        served.add("a", &[2]);
        assert_eq!(served.missing("a", 3), [0]);
        assert_eq!(served.missing("b", 3), [0, 1, 2]);
        for i in 0..SERVED_MAX {
            served.add(&i.to_string(), &[0]);
        }
        assert_eq!(served.missing("a", 3), [0, 1, 2]);
        assert_eq!(served.0.len(), SERVED_MAX);
    }
}
