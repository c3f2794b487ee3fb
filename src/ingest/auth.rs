//! Whether a request may speak for a source: a token of it, where it has any, and whatever else each message must prove.
//!
//! A token comes as a bearer, as the password of basic authentication (all that some senders can do), in a header or a field of
//! the body that the source names, or as the last part of the path. Signatures are checked in [`crate::signature`], envelopes of Amazon in [`super::sns`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

use super::format::{self, Field, Notes};
use super::sns::Sns;
use super::tls::ClientNames;
use crate::config::{ConfigError, Secret, SourceConfig};
use crate::signature::{Verifier, only};

/// What the senders of a source must prove. Where it asks for several things, all of them.
#[derive(Debug)]
pub(super) struct Auth {
    tokens: Vec<Secret>,
    token_header: Option<String>,
    token_field: Option<String>,
    /// Names of which a client's certificate must have one; none where it need not show any.
    client_certificate: Vec<String>,
    pub(super) signature: Option<Verifier>,
    pub(super) sns: Option<Sns>,
}

impl Auth {
    /// # Errors
    /// A secret that is not of its scheme's form; a certificate that is none.
    pub(super) fn new(config: &SourceConfig) -> Result<Auth, ConfigError> {
        let fault = |key: &'static str| {
            let name = config.name.clone();
            move |why: String| ConfigError {
                code: "bad_value",
                message: format!("`{key}` of the source `{name}`: {why}"),
                place: String::new(),
                hint: None,
            }
        };
        Ok(Auth {
            tokens: config.tokens.clone(),
            token_header: config.token_header.clone(),
            token_field: config.token_field.clone(),
            client_certificate: config.client_certificate.clone(),
            signature: config.signature.as_ref().map(Verifier::new).transpose().map_err(fault("signature.secret"))?,
            sns: config.sns.as_ref().map(Sns::new).transpose().map_err(fault("sns.certificate"))?,
        })
    }

    /// Whether the request proves a token. A source without one asks for none; that it does not stand open to other
    /// machines is checked before we listen. Compares in constant time, and says nothing of what was wrong.
    pub(super) fn admits(&self, headers: &HeaderMap, path_secret: Option<&str>) -> bool {
        if self.tokens.is_empty() {
            return path_secret.is_none();
        }
        if let Some(secret) = path_secret {
            return self.knows(secret.as_bytes());
        }
        if let Some(name) = self.token_header.as_ref().filter(|name| headers.contains_key(*name)) {
            return only(headers, name).is_some_and(|given| self.knows(given));
        }
        only(headers, AUTHORIZATION.as_str()).and_then(credentials).is_some_and(|given| self.knows(&given))
    }

    /// Whether the token is to be looked for in the body: it may come there, and nothing else of the request has one.
    pub(super) fn asks_the_body(&self, headers: &HeaderMap, path_secret: Option<&str>) -> bool {
        let in_headers = self.token_header.as_deref().into_iter().chain([AUTHORIZATION.as_str()]);
        self.token_field.is_some() && path_secret.is_none() && in_headers.into_iter().all(|name| !headers.contains_key(name))
    }

    /// Whether a body, of JSON or a form, proves a token in the field for it.
    pub(super) fn admits_body(&self, text: &str, depth_max: usize) -> bool {
        let (Some(name), Ok(body)) = (&self.token_field, format::parse(text, depth_max)) else { return false };
        let notes = Notes::default();
        Field::root(&body, &notes).text(name).is_some_and(|given| self.knows(given.as_bytes()))
    }

    /// Whether the certificate of the connection's other end is one that the source asks for.
    pub(super) fn admits_client(&self, client: &ClientNames) -> bool {
        self.client_certificate.is_empty() || client.0.iter().any(|name| self.client_certificate.contains(name))
    }

    /// Whether nobody has to give a token.
    pub(super) fn asks_no_token(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Whether this is a token of the source. All are compared, so that the time does not tell which it is.
    pub(super) fn knows(&self, given: &[u8]) -> bool {
        self.tokens.iter().fold(false, |known, token| token.is(given) | known)
    }
}

fn credentials(value: &[u8]) -> Option<Vec<u8>> {
    let space = value.iter().position(|byte| *byte == b' ')?;
    let (scheme, given) = (&value[..space], value[space..].trim_ascii());
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(given.to_vec());
    }
    if scheme.eq_ignore_ascii_case(b"basic") {
        let pair = STANDARD.decode(given).ok()?;
        let colon = pair.iter().position(|byte| *byte == b':')?;
        return Some(pair[colon + 1..].to_vec());
    }
    None
}
