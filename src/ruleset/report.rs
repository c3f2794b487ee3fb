//! What is found in one file while it is read, and where in it.
//!
//! Never decides what is a fault.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use super::diagnostics::{Code, Diagnostic, SourceMap};
use super::yaml::Node;

/// Faults of one file that are kept: nobody reads more at once.
const FAULTS_MAX: usize = 200;

/// One file under examination and what was found in it.
pub(crate) struct Report<'a> {
    pub map: SourceMap<'a>,
    found: RefCell<Vec<Diagnostic>>,
    /// Faults that were not kept.
    more: Cell<usize>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(name: &str, text: &'a str) -> Report<'a> {
        Report { map: SourceMap::new(name, text), found: RefCell::default(), more: Cell::default() }
    }

    /// Keeps a fault, up to [`FAULTS_MAX`] of one file.
    pub(crate) fn add(&self, diagnostic: Diagnostic) {
        let mut found = self.found.borrow_mut();
        if found.len() < FAULTS_MAX {
            found.push(self.map.place(diagnostic));
        } else {
            self.more.set(self.more.get() + 1);
        }
    }

    /// What was found, in the order of the file, each fault once.
    pub(crate) fn finish(self) -> Vec<Diagnostic> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|diagnostic| diagnostic.span.start);
        // What an alias stands for is read at each of its places.
        found.dedup();
        if self.more.get() > 0 {
            let end = self.map.text().len();
            let message = format!("there are {} more faults in this file", self.more.get());
            found.push(self.map.place(Diagnostic::new(Code::Limit, end..end, message)));
        }
        found
    }

    /// The bytes of the file that stand for a part of a text in it.
    pub(crate) fn part(&self, node: &Node, text: &str, offset: usize, length: usize) -> Range<usize> {
        let raw = self.map.text().get(node.span.clone()).unwrap_or_default();
        match (raw_offset(raw, text, offset), raw_offset(raw, text, offset + length)) {
            (Some(start), Some(end)) => node.span.start + start..node.span.start + end,
            _ => node.span.clone(),
        }
    }
}

/// Where the byte `offset` of a decoded text stands in the text as written, quotes and escapes included; `None` where
/// the writing is too clever to follow.
fn raw_offset(raw: &str, decoded: &str, offset: usize) -> Option<usize> {
    let quote = raw.chars().next().filter(|c| matches!(c, '"' | '\''));
    let mut at = quote.map_or(0, char::len_utf8);
    for (position, c) in decoded.char_indices() {
        if position >= offset {
            return Some(at);
        }
        let rest = raw.get(at..)?;
        let step = match quote {
            Some('"') if rest.starts_with('\\') && (c == '"' || c == '\\') && rest[1..].starts_with(c) => 2,
            Some('\'') if c == '\'' && rest.starts_with("''") => 2,
            _ if rest.starts_with(c) && !(quote == Some('"') && c == '\\') => c.len_utf8(),
            // A folded line end.
            _ if c == ' ' && rest.starts_with('\n') => 1,
            _ => return None,
        };
        at += step;
        if rest.starts_with('\n') {
            // The next line is indented.
            at += raw[at..].len() - raw[at..].trim_start_matches(' ').len();
        }
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_inside_quoted_texts_are_found() {
        let cases = [
            ("a=b", "a=b", 2, Some(2)),
            ("'a''b=c'", "a'b=c", 4, Some(6)),
            (r#""a=\"b\"""#, r#"a="b""#, 3, Some(5)),
            (r#""a\tb""#, "a\tb", 2, None),
            ("one\n    two", "one\ntwo", 4, Some(8)),
            ("one\n    two", "one two", 5, Some(9)),
            ("one\n    two", "one two", 5, Some(9)),
            ("'é=x'", "é=x", 3, Some(4)),
            ("'a'", "a", 1, Some(2)),
        ];
        for (raw, decoded, offset, expected) in cases {
            assert_eq!(raw_offset(raw, decoded, offset), expected, "{raw}");
        }
    }
}
