//! Whether a request may speak for a source: its token as a bearer, as the password of basic authentication (all that
//! some senders can do), or as the last part of the path.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

use super::source::Source;

/// Whether the request proves the source's token. A source without one is open; that it does not stand open to other
/// machines is checked before we listen. Compares in constant time, and says nothing of what was wrong.
pub(super) fn admits(source: &Source, headers: &HeaderMap, path_secret: Option<&str>) -> bool {
    let Some(token) = &source.token else { return path_secret.is_none() };
    if let Some(secret) = path_secret {
        return token.is(secret.as_bytes());
    }
    // More than one is doubtful: a proxy may have looked at the other.
    let mut given = headers.get_all(AUTHORIZATION).iter();
    match (given.next(), given.next()) {
        (Some(value), None) => credentials(value.as_bytes()).is_some_and(|given| token.is(&given)),
        _ => false,
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
