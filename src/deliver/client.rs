//! The HTTP client of all receivers: one place for time limits, TLS, redirects (never followed), proxies (never taken
//! from the environment), the size of answers, the check of addresses, and for what an error may say.
//!
//! An error names the scheme and host at most: paths and headers hold credentials. Text from an answer is shown short, on
//! one line and with every configured secret struck out, since some servers repeat what they were sent.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{RequestBuilder, Url, redirect};

use super::address::{AddressRefused, Guard, Lookup, SystemLookup};
use super::{Delivery, Fault, retry, text};
use crate::config::{Outbound, Secret};
use crate::model::{Millis, Time};

/// Bytes of an answer that are read; the rest is left.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Characters of an answer that an error repeats.
const EXCERPT_CHARS_MAX: usize = 200;
const USER_AGENT: &str = concat!("quell/", env!("CARGO_PKG_VERSION"));

/// How long calls may take, from their first byte out to their last byte in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Millis,
    pub pager: Millis,
    pub other: Millis,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts { connect: Millis::seconds(5), pager: Millis::seconds(10), other: Millis::seconds(30) }
    }
}

/// What all receivers share.
#[derive(Clone)]
pub struct Context {
    pub outbound: Outbound,
    pub timeouts: Timeouts,
    pub lookup: Arc<dyn Lookup>,
}

impl Context {
    /// The system's resolver and the usual time limits.
    #[must_use]
    pub fn new(outbound: Outbound) -> Context {
        Context { outbound, timeouts: Timeouts::default(), lookup: Arc::new(SystemLookup) }
    }

    pub(crate) fn guard(&self) -> Guard {
        Guard::new(self.outbound, self.lookup.clone())
    }
}

/// Makes ring the process' only cryptography. To be called before the first receiver is built; calling it again does nothing.
pub fn install_crypto() {
    // An error means that a provider is installed already, which is all that is wanted.
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// Makes calls for one receiver.
pub(crate) struct Client {
    http: reqwest::Client,
    guard: Guard,
    secrets: Secrets,
}

impl Client {
    /// A client whose calls end after `timeout`.
    ///
    /// # Errors
    /// When TLS cannot be set up, in words.
    pub(crate) fn new(context: &Context, timeout: Millis, secrets: Secrets) -> Result<Client, String> {
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(USER_AGENT)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(duration(context.timeouts.connect))
            .timeout(duration(timeout))
            .dns_resolver(context.guard())
            // Notifications are rare. A new connection each has its address checked anew and is never found half-closed.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| describe(&error.without_url()))?;
        Ok(Client { http, guard: context.guard(), secrets })
    }

    pub(crate) fn get(&self, url: Url) -> RequestBuilder {
        self.http.get(url)
    }

    pub(crate) fn post(&self, url: Url) -> RequestBuilder {
        self.http.post(url)
    }

    pub(crate) fn patch(&self, url: Url) -> RequestBuilder {
        self.http.patch(url)
    }

    /// Makes one call and reads its answer, whatever its status.
    ///
    /// # Errors
    /// What becomes of the attempt when there is no answer.
    pub(crate) async fn call(&self, request: RequestBuilder, now: Time) -> Result<Answer, Delivery> {
        let request = request.build().map_err(|error| self.refused(Fault::Config, &describe(&error.without_url())))?;
        let target = place(request.url());
        // The connector takes a literal address as it is, without asking the resolver that checks names.
        if let Err(refused) = self.guard.check_literal(request.url().host_str().unwrap_or_default()) {
            return Err(self.refused(Fault::Address, &format!("{target}: {refused}")));
        }
        let failed = |error: reqwest::Error| self.failed(&target, error);
        let mut response = self.http.execute(request).await.map_err(failed)?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            let room = ANSWER_BYTES_MAX - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() >= room {
                break;
            }
        }
        Ok(Answer { target, status, headers, body, now })
    }

    /// What an answer's status means where the vendor gives it no other meaning: 2xx is taken, and the body is the caller's
    /// to judge.
    ///
    /// # Errors
    /// What becomes of the attempt otherwise.
    pub(crate) fn judge(&self, answer: &Answer) -> Result<(), Delivery> {
        match answer.status {
            200..=299 => Ok(()),
            300..=399 => {
                let to = answer.redirect_host().unwrap_or_else(|| "nowhere".to_owned());
                let error = format!("{}: HTTP {} redirects to {to}; redirects are not followed", answer.target, answer.status);
                Err(self.refused(Fault::Rejected, &error))
            }
            401 | 403 | 407 => Err(self.try_again(Fault::Auth, answer)),
            429 => Err(self.try_again(Fault::Throttled, answer)),
            408 | 425 | 500.. => Err(self.try_again(Fault::Server, answer)),
            _ => Err(self.refused(Fault::Rejected, &self.describe(answer))),
        }
    }

    /// Another attempt is worth it, not before the time that the answer may name.
    pub(crate) fn try_again(&self, fault: Fault, answer: &Answer) -> Delivery {
        Delivery::TryAgain { fault, error: self.describe(answer), retry_after: answer.retry_after() }
    }

    /// An answer of a good status whose body is none that the vendor's contract knows.
    pub(crate) fn not_understood(&self, answer: &Answer) -> Delivery {
        let error = self.secrets.strike(&format!("{}: not the answer that was expected: {}", answer.target, answer.short()));
        Delivery::TryAgain { fault: Fault::Server, error, retry_after: answer.retry_after() }
    }

    /// The same message will never be taken.
    pub(crate) fn refused(&self, fault: Fault, error: &str) -> Delivery {
        Delivery::Refused { fault, error: self.secrets.strike(error) }
    }

    /// An answer in one line.
    pub(crate) fn describe(&self, answer: &Answer) -> String {
        self.secrets.strike(&format!("{}: {}", answer.target, answer.short()))
    }

    fn failed(&self, target: &str, error: reqwest::Error) -> Delivery {
        let error = error.without_url();
        if let Some(refused) = cause::<AddressRefused>(&error) {
            return self.refused(Fault::Address, &format!("{target}: {refused}"));
        }
        let error = self.secrets.strike(&format!("{target}: {}", describe(&error)));
        Delivery::TryAgain { fault: Fault::Network, error, retry_after: None }
    }
}

/// An answer: its status, its headers, and no more of its body than anybody needs.
pub(crate) struct Answer {
    /// Scheme and host of the call.
    target: String,
    pub(crate) status: u16,
    headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// When the attempt was made; dates in headers count from it.
    now: Time,
}

impl Answer {
    /// The body as a JSON object.
    ///
    /// # Errors
    /// `None` for anything else, an answer that was cut too.
    pub(crate) fn json(&self) -> Option<serde_json::Map<String, serde_json::Value>> {
        serde_json::from_slice(&self.body).ok()
    }

    /// How long the receiver asks us to wait.
    pub(crate) fn retry_after(&self) -> Option<Millis> {
        retry::parse_retry_after(self.headers.get("retry-after")?.to_str().ok()?, self.now)
    }

    /// Where a redirect leads, without the path, which may hold a secret.
    fn redirect_host(&self) -> Option<String> {
        let location = self.headers.get("location").and_then(|value: &HeaderValue| value.to_str().ok())?;
        let base = Url::parse(&self.target).ok()?;
        Some(place(&base.join(location).ok()?))
    }

    fn short(&self) -> String {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(4 * EXCERPT_CHARS_MAX)]);
        let excerpt = text::line(body.trim(), EXCERPT_CHARS_MAX);
        let gap = if excerpt.is_empty() { "" } else { " " };
        format!("HTTP {}{gap}{excerpt}", self.status)
    }
}

/// The configured secrets of a receiver, in every form in which a server may repeat them.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<Secret>);

impl Secrets {
    /// Remembers `secrets`. Ones of fewer than four characters cannot be told from ordinary text and are left out.
    pub(crate) fn new(secrets: impl IntoIterator<Item = Secret>) -> Secrets {
        let mut kept: Vec<Secret> = secrets.into_iter().filter(|secret| secret.expose().len() >= 4).collect();
        // The longest first: one may be part of another.
        kept.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        Secrets(kept)
    }

    /// As [`Secrets::new`], with the parts of a URL that often are credentials themselves.
    pub(crate) fn of_url(url: &Url, secrets: impl IntoIterator<Item = Secret>) -> Secrets {
        let parts = [Some(url.path()), url.query(), url.password()];
        Secrets::new(parts.into_iter().flatten().map(Secret::new).chain(secrets))
    }

    /// `text` with every secret replaced.
    pub(crate) fn strike(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.expose(), "<secret>"))
    }
}

/// Parses a receiver's URL.
///
/// # Errors
/// What is wrong with it, in words and without the URL itself.
pub(crate) fn parse_url(url: &str) -> Result<Url, String> {
    let url = Url::parse(url).map_err(|error| format!("not a URL: {error}"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        scheme => Err(format!("the scheme {scheme} is not supported, only http and https are")),
    }
}

pub(crate) fn duration(length: Millis) -> Duration {
    Duration::from_millis(u64::try_from(length.0).unwrap_or(0))
}

/// Scheme, host and port of a URL: what may be shown of it.
fn place(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

/// An error with its causes, in one line.
pub(crate) fn describe(error: &dyn StdError) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let part = error.to_string();
        // Many wrappers repeat what they wrap.
        if !line.contains(&part) {
            line.push_str(": ");
            line.push_str(&part);
        }
        source = error.source();
    }
    text::line(&line, 2 * EXCERPT_CHARS_MAX)
}

/// The first cause of a type, looking inside of IO errors too.
pub(crate) fn cause<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_struck_out_the_longest_first() {
        let secrets = Secrets::new(["abcd", "abcdef", "xyz"].map(Secret::new));
        assert_eq!(secrets.strike("abcdef abcd xyz"), "<secret> <secret> xyz");
    }

    #[test]
    fn urls_and_what_may_be_shown_of_them() {
        let url = parse_url("https://user:pass@hooks.example:8443/services/T0/B0/secret?token=x").unwrap();
        assert_eq!(place(&url), "https://hooks.example:8443");
        for bad in ["file:///etc/passwd", "gopher://x/", "ftp://x/", "hooks.example/x", "", "http://"] {
            let error = parse_url(bad).unwrap_err();
            assert!(bad.is_empty() || !error.contains("passwd"), "{error}");
        }
    }
}
