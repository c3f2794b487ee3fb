//! The way to a running daemon: its HTTP API, with a token where one is needed.

use std::time::Duration;

use clap::Args;
use reqwest::{Method, StatusCode, Url, redirect};
use serde_json::Value;

use super::failure::Failure;
use crate::config::Secret;
use crate::deliver;

/// Which daemon, and how to be let in.
#[derive(Args, Debug)]
pub(super) struct ClientArgs {
    /// Where the daemon is
    #[arg(long, env = "QUELL_URL", hide_env_values = true, default_value = "http://127.0.0.1:9093")]
    url: String,
    /// The token for calls that change something; better in the environment than on the command line
    #[arg(long, env = "QUELL_TOKEN", hide_env_values = true, value_parser = |text: &str| Ok::<_, std::convert::Infallible>(Secret::new(text)))]
    token: Option<Secret>,
}

/// Bytes of an answer; a page of a thousand incidents is one or two million.
const ANSWER_BYTES_MAX: usize = 64 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(30);

/// Calls one daemon.
pub(super) struct Client {
    base: Url,
    token: Option<Secret>,
    http: reqwest::Client,
}

impl Client {
    /// A client for the daemon that the arguments name.
    pub(super) fn new(args: &ClientArgs) -> Result<Client, Failure> {
        let base = Url::parse(&args.url).map_err(|error| Failure::usage(format!("--url {:?}: {error}", args.url)))?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(Failure::usage(format!("--url {:?}: expected http://host:port", args.url)));
        }
        deliver::install_crypto();
        let http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .user_agent(concat!("quell/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Failure::new(format!("the HTTP client cannot be set up: {}", causes(&error))))?;
        Ok(Client { base, token: args.token.clone(), http })
    }

    /// A client for a daemon on this machine that asks for no token.
    pub(super) fn local(url: &str) -> Result<Client, Failure> {
        Client::new(&ClientArgs { url: url.to_owned(), token: None })
    }

    /// The daemon's address.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// Reads `path`, whose parts are given one by one because names may hold slashes.
    pub(super) async fn get(&self, path: &[&str], query: &[(&str, String)]) -> Result<Value, Failure> {
        self.call(Method::GET, path, query, None).await
    }

    /// Writes to `path`.
    pub(super) async fn post(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        self.call(Method::POST, path, &[], Some(body)).await
    }

    /// The same under a key, so that it may be sent again.
    pub(super) async fn post_once(&self, path: &[&str], body: &Value, key: Option<&str>) -> Result<Value, Failure> {
        let (status, answer) = self.send(Method::POST, path, &[], Some(body), key).await?;
        self.read(status, &answer)
    }

    /// Reads text, for what is no JSON.
    pub(super) async fn get_text(&self, path: &[&str]) -> Result<String, Failure> {
        let (status, body) = self.send(Method::GET, path, &[], None, None).await?;
        let text = String::from_utf8_lossy(&body).into_owned();
        if status.is_success() { Ok(text) } else { Err(Failure::new(format!("{status}: {text}"))) }
    }

    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let (status, answer) = self.send(method, path, query, body, None).await?;
        self.read(status, &answer)
    }

    /// What an answer says, or why it says nothing.
    fn read(&self, status: StatusCode, body: &[u8]) -> Result<Value, Failure> {
        let answer: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(answer);
        }
        let said = answer["error"]["message"].as_str().or_else(|| answer.as_str());
        let message = said.map_or_else(|| excerpt(body), str::to_owned);
        let failure = Failure::new(format!("{message} ({})", status.as_u16()));
        Err(match status {
            StatusCode::UNAUTHORIZED => failure.hint("give a token with --token or in QUELL_TOKEN"),
            // A parameter or an id that came from the command line.
            StatusCode::BAD_REQUEST if answer["error"].is_object() => Failure { code: 2, ..failure },
            StatusCode::NOT_FOUND if said.is_none() => failure.hint(format!("is {} a quell daemon?", self.base)),
            _ => failure,
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<(StatusCode, Vec<u8>), Failure> {
        let mut url = self.base.clone();
        url.path_segments_mut().expect("a base with a host, as `new` checked").pop_if_empty().extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.http.request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let unreachable = |error: &reqwest::Error| {
            let failure = Failure::new(format!("no answer from {}: {}", self.base, causes(error)));
            if error.is_connect() {
                failure.hint("is the daemon running there? --url or QUELL_URL says where it is")
            } else {
                failure
            }
        };
        let mut response = request.send().await.map_err(|error| unreachable(&error))?;
        let mut answer = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| unreachable(&error))? {
            if answer.len() + piece.len() > ANSWER_BYTES_MAX {
                return Err(Failure::new(format!("the answer from {} is longer than {ANSWER_BYTES_MAX} bytes", self.base)));
            }
            answer.extend_from_slice(&piece);
        }
        Ok((response.status(), answer))
    }
}

/// Runs a command's calls to their end, on this thread.
pub(super) fn block_on<T>(calls: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(calls)
}

/// The first line of an answer that is not ours.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line: String = text.trim().lines().next().unwrap_or("no reason given").chars().take(200).collect();
    super::screen::clean(&line)
}

/// An error without its address (which the message has already), and with what is behind it.
fn causes(error: &reqwest::Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    if error.is_timeout() { "it took too long".to_owned() } else { deepest.to_string() }
}
