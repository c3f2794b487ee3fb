//! The text form of matchers, as Prometheus and Alertmanager write it: `alertname=~"Disk.*", env!="dev"`.
//!
//! Owns the grammar and the values that regular expressions capture. What a matcher means is
//! [`model::matcher`](crate::model::matcher)'s.
//!
//! A list is matchers with commas between, in braces or without, and may end in a comma. A name is a run of characters
//! without space and without ``{ } ! = ~ , \ " ' ` ``, or any text in double quotes. A value takes the same two forms
//! and must be there (`foo=""`, never `foo=`). In quotes `\"`, `\\` and `\n` are escapes; any other backslash stands
//! for itself, so that `"\d+"` needs no second one. Only where the name is not one of Prometheus' classic names
//! (`[a-zA-Z_:][a-zA-Z0-9_:]*`) do Go's other escapes count too, as in Alertmanager.

use crate::model::matcher::is_classic_name;
use crate::model::{Labels, MatchOp, Matcher};

/// Why a text is no list of matchers, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatcherFault {
    /// Byte offset in the text where the fault begins.
    pub offset: usize,
    /// How many bytes are at fault; 0 where something is missing.
    pub length: usize,
    pub kind: MatcherFaultKind,
    /// Lower case, without a full stop.
    pub message: String,
}

/// Which part of a matcher is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatcherFaultKind {
    /// The text has not the form of a matcher.
    Syntax,
    /// A regular expression does not compile.
    Regex,
}

/// Parses a list of matchers; the empty text is the empty list.
///
/// # Errors
/// The first fault.
pub fn parse_matchers(text: &str) -> Result<Vec<Matcher>, MatcherFault> {
    let mut cursor = Cursor { text, at: 0 };
    let mut matchers = Vec::new();
    cursor.skip_space();
    let braced = cursor.take('{');
    loop {
        cursor.skip_space();
        if cursor.peek().is_none() || cursor.peek() == Some('}') {
            break;
        }
        matchers.push(cursor.matcher()?);
        cursor.skip_space();
        match cursor.peek() {
            Some(',') => cursor.at += 1,
            None | Some('}') => {}
            Some(_) => return Err(cursor.fault_here("expected a comma or the end after a matcher")),
        }
    }
    match (braced, cursor.take('}')) {
        (true, false) => return Err(cursor.fault_here("the closing brace is missing")),
        (false, true) => return Err(syntax(cursor.at - 1, 1, "a closing brace without an opening one")),
        _ => {}
    }
    cursor.skip_space();
    if cursor.peek().is_some() {
        return Err(cursor.fault_here("text after the closing brace"));
    }
    Ok(matchers)
}

/// What the named groups of the `=~` matchers capture in `labels`, in the order of the expressions. A group that took no
/// part is the empty string; of groups with one name the first counts.
#[must_use]
pub fn captures<'a>(matchers: &'a [Matcher], labels: &'a Labels) -> Vec<(&'a str, &'a str)> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    for matcher in matchers {
        let Some(regex) = positive_regex(matcher).filter(|regex| regex.captures_len() > 1) else { continue };
        let Some(groups) = regex.captures(labels.get(&matcher.name)) else { continue };
        for name in regex.capture_names().flatten() {
            if found.iter().all(|(known, _)| *known != name) {
                found.push((name, groups.name(name).map_or("", |group| group.as_str())));
            }
        }
    }
    found
}

/// The names that [`captures`] can give.
pub fn capture_names(matchers: &[Matcher]) -> impl Iterator<Item = &str> {
    matchers.iter().filter_map(positive_regex).flat_map(|regex| regex.capture_names().flatten())
}

fn positive_regex(matcher: &Matcher) -> Option<&regex::Regex> {
    matcher.regex().filter(|_| matcher.op == MatchOp::Matches)
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl Cursor<'_> {
    fn matcher(&mut self) -> Result<Matcher, MatcherFault> {
        let name_at = self.at;
        let name = match self.peek() {
            Some('"') => self.quoted(true)?,
            _ => self.bare(),
        };
        if name.is_empty() {
            return Err(syntax(name_at, self.at - name_at, "expected a label's name"));
        }
        self.skip_space();
        let op = self.operator()?;
        self.skip_space();
        let value_at = self.at;
        let value = match self.peek() {
            Some('"') => self.quoted(!is_classic_name(&name))?,
            _ => self.bare(),
        };
        if self.at == value_at {
            return Err(self.fault_here("expected a value; an empty one is written as \"\""));
        }
        Matcher::new(&name, op, &value).map_err(|message| MatcherFault {
            offset: value_at,
            length: self.at - value_at,
            kind: MatcherFaultKind::Regex,
            message: regex_fault(&message),
        })
    }

    fn operator(&mut self) -> Result<MatchOp, MatcherFault> {
        for op in [MatchOp::Matches, MatchOp::NotMatches, MatchOp::NotEqual, MatchOp::Equal] {
            if self.rest().starts_with(op.as_str()) {
                self.at += op.as_str().len();
                return Ok(op);
            }
        }
        Err(self.fault_here("expected one of `=`, `!=`, `=~`, `!~` after the label's name"))
    }

    /// A run of characters that need no quotes; empty where there is none.
    fn bare(&mut self) -> String {
        let is_bare = |c: char| !c.is_whitespace() && !"{}!=~,\\\"'`".contains(c);
        let run = self.rest().find(|c| !is_bare(c)).unwrap_or(self.rest().len());
        let start = self.at;
        self.at += run;
        self.text[start..self.at].to_owned()
    }

    /// A text in double quotes, with Go's escapes or with Prometheus' three.
    fn quoted(&mut self, go_escapes: bool) -> Result<String, MatcherFault> {
        let start = self.at;
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            match self.next() {
                None => return Err(syntax(start, self.at - start, "the closing quote is missing")),
                Some('"') => break,
                Some('\\') => match self.next() {
                    Some('n') => bytes.push(b'\n'),
                    Some(c @ ('"' | '\\')) => bytes.push(c as u8),
                    Some(c) if go_escapes => self.go_escape(c, &mut bytes)?,
                    Some(c) => push(&mut bytes, &['\\', c]),
                    None => bytes.push(b'\\'),
                },
                Some(c) => push(&mut bytes, &[c]),
            }
        }
        String::from_utf8(bytes).map_err(|_| syntax(start, self.at - start, "the escapes make no UTF-8 text"))
    }

    /// The rest of an escape after `\` and `c`.
    fn go_escape(&mut self, c: char, bytes: &mut Vec<u8>) -> Result<(), MatcherFault> {
        let start = self.at - 1 - c.len_utf8();
        let fault = |end: usize| syntax(start, end - start, "not an escape that is known here");
        let digits = match c {
            'a' | 'b' | 'f' | 'r' | 't' | 'v' => {
                let byte = match c {
                    'a' => 0x07,
                    'b' => 0x08,
                    'f' => 0x0c,
                    'r' => b'\r',
                    't' => b'\t',
                    _ => 0x0b,
                };
                bytes.push(byte);
                return Ok(());
            }
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => return Err(fault(self.at)),
        };
        let hex = self.rest().get(..digits).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        let number = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok()).ok_or_else(|| fault(self.at))?;
        self.at += digits;
        match u8::try_from(number) {
            Ok(byte) if c == 'x' => bytes.push(byte),
            _ => push(bytes, &[char::from_u32(number).ok_or_else(|| fault(self.at))?]),
        }
        Ok(())
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn take(&mut self, wanted: char) -> bool {
        let there = self.peek() == Some(wanted);
        self.at += if there { wanted.len_utf8() } else { 0 };
        there
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn fault_here(&self, message: &str) -> MatcherFault {
        syntax(self.at, self.peek().map_or(0, char::len_utf8), message)
    }
}

fn syntax(offset: usize, length: usize, message: &str) -> MatcherFault {
    MatcherFault { offset, length, kind: MatcherFaultKind::Syntax, message: message.to_owned() }
}

fn push(bytes: &mut Vec<u8>, chars: &[char]) {
    for c in chars {
        bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// The regex crate draws its own picture over several lines; the last one says what is wrong.
pub(super) fn regex_fault(message: &str) -> String {
    let last = message.lines().last().unwrap_or_default();
    last.trim().trim_start_matches("error: ").trim_end_matches('.').to_lowercase()
}

#[cfg(test)]
mod tests;
