//! Reading one mapping of a rule file key by key, with a word for everything that is wrong with it.
//!
//! A reader asks for the keys it knows; what nobody asked for is unknown. A value of the wrong kind is reported and then
//! treated as absent, so that reading goes on and finds the next fault.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use super::diagnostics::{Code, Diagnostic};
use super::expression::{Expression, Sees};
use super::matchers::{MatcherFaultKind, parse_matchers};
use super::report::Report;
use super::suggest::{listed, nearest};
use super::template::Template;
use super::yaml::{Key, Node, Value};
use crate::model::{Matcher, Millis};

/// A text value and where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Text<'a> {
    pub text: &'a str,
    pub node: &'a Node,
}

/// One mapping being read.
pub(crate) struct Fields<'a> {
    pub report: &'a Report<'a>,
    /// What it is, with its article: `a correlate rule`.
    what: &'static str,
    node: &'a Node,
    entries: &'a [(Key, Node)],
    known: Vec<&'static str>,
    ignored: Vec<&'static str>,
    /// Any key is right.
    open: bool,
}

impl<'a> Fields<'a> {
    /// Reads a mapping with `read`, then reports every key that was not asked for.
    pub(crate) fn read<R>(
        node: &'a Node,
        what: &'static str,
        report: &'a Report<'a>,
        read: impl FnOnce(&mut Fields<'a>) -> R,
    ) -> Option<R> {
        let Value::Map(entries) = &node.value else {
            report.add(
                Diagnostic::new(
                    Code::WrongKind,
                    node.span.clone(),
                    format!("{what} must be a mapping, not {}", node.value.kind()),
                )
                .label("expected a mapping"),
            );
            return None;
        };
        let mut seen: BTreeMap<&str, &Key> = BTreeMap::new();
        for (key, _) in entries {
            let first = *seen.entry(&key.text).or_insert(key);
            if !std::ptr::eq(first, key) {
                report.add(
                    Diagnostic::new(Code::Repeated, key.span.clone(), format!("the key `{}` is here twice", key.text))
                        .label("again")
                        .hint(format!("it was set in line {} already", report.map.line(first.span.start))),
                );
            }
        }
        let mut fields = Fields { report, what, node, entries, known: Vec::new(), ignored: Vec::new(), open: false };
        let result = read(&mut fields);
        fields.report_unknown();
        Some(result)
    }

    /// Where the mapping begins.
    pub(crate) fn span(&self) -> Range<usize> {
        self.entries.first().map_or(self.node.span.clone(), |(key, _)| key.span.clone())
    }

    /// Reports a fault.
    pub(crate) fn fault(&self, code: Code, span: &Range<usize>, message: impl Into<String>, hint: &str) {
        self.report.add(Diagnostic::new(code, span.clone(), message).hint(hint));
    }

    /// Whether a key is there, whatever its value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(k, _)| k.text == key)
    }

    /// Every entry, for a mapping whose keys the file chooses.
    pub(crate) fn all(&mut self) -> &'a [(Key, Node)] {
        self.open = true;
        self.entries
    }

    /// Whether a key is there without a value.
    pub(crate) fn is_null(&self, key: &str) -> bool {
        self.entries.iter().any(|(k, node)| k.text == key && node.value == Value::Null)
    }

    /// Whether a key has an empty list.
    pub(crate) fn is_empty_list(&self, key: &str) -> bool {
        self.entries.iter().any(|(k, node)| k.text == key && matches!(&node.value, Value::List(items) if items.is_empty()))
    }

    /// The key's own place, where it is there.
    pub(crate) fn key_span(&self, key: &str) -> Range<usize> {
        self.entries.iter().find(|(k, _)| k.text == key).map_or(self.span(), |(k, _)| k.span.clone())
    }

    /// The value of a key; `None` if it is not there.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<&'a Node> {
        let asked_before = self.known.contains(&key);
        if !asked_before {
            self.known.push(key);
        }
        let (key, value) = self.entries.iter().find(|(k, _)| k.text == key)?;
        if value.value == Value::Null {
            if asked_before {
                return None;
            }
            let message = format!("`{}` has no value", key.text);
            self.fault(Code::WrongKind, &key.span, message, "give it a value or take it out");
            return None;
        }
        Some(value)
    }

    /// As [`Fields::get`], for what must be there.
    pub(crate) fn need(&mut self, key: &'static str) -> Option<&'a Node> {
        let value = self.get(key);
        if value.is_none() && !self.has(key) {
            let message = format!("{} needs `{key}`", self.what);
            self.report.add(Diagnostic::new(Code::Missing, self.span(), message).label(format!("without `{key}`")));
        }
        value
    }

    /// Passes over a key without a word.
    pub(crate) fn ignore(&mut self, key: &'static str) {
        self.ignored.push(key);
    }

    /// A text.
    pub(crate) fn text(&mut self, key: &'static str) -> Option<Text<'a>> {
        let node = self.get(key)?;
        self.as_text(key, node)
    }

    /// A text that must be there and may not be empty.
    pub(crate) fn need_text(&mut self, key: &'static str) -> Option<Text<'a>> {
        let node = self.need(key)?;
        self.as_text(key, node).filter(|text| self.not_empty(key, *text))
    }

    /// A text that may not be empty, as a label's value or name.
    pub(crate) fn word(&mut self, key: &'static str) -> Option<Arc<str>> {
        self.text(key).filter(|text| self.not_empty(key, *text)).map(|text| text.text.into())
    }

    /// A list of texts, none empty, none twice.
    pub(crate) fn words(&mut self, key: &'static str) -> Vec<Text<'a>> {
        let node = self.get(key);
        let mut words: Vec<Text<'a>> = Vec::new();
        let mut seen = BTreeSet::new();
        for item in node.map_or(&[][..], |node| self.as_list(key, node)) {
            let Some(word) = self.as_text(key, item).filter(|text| self.not_empty(key, *text)) else { continue };
            if !seen.insert(word.text) {
                self.fault(Code::Repeated, &item.span, format!("`{}` is in `{key}` twice", word.text), "");
            }
            words.push(word);
        }
        words
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let node = self.get(key)?;
        if let Value::Bool(value) = node.value {
            return Some(value);
        }
        self.wrong_kind(key, node, "`true` or `false`", "");
        None
    }

    /// A whole number in a range.
    pub(crate) fn number(&mut self, key: &'static str, allowed: RangeInclusive<u32>) -> Option<u32> {
        let node = self.get(key)?;
        let Value::Number(written) = &node.value else {
            self.wrong_kind(key, node, "a whole number", "");
            return None;
        };
        let number = written.parse::<u32>().ok().filter(|number| allowed.contains(number));
        if number.is_none() {
            let message =
                format!("`{key}` is {written}, but must be a whole number from {} to {}", allowed.start(), allowed.end());
            self.fault(Code::Range, &node.span, message, "");
        }
        number
    }

    /// A length of time.
    pub(crate) fn duration(&mut self, key: &'static str) -> Option<Millis> {
        let node = self.get(key)?;
        self.as_duration(key, node)
    }

    /// Reads a value as a length of time.
    pub(crate) fn as_duration(&self, key: &str, node: &Node) -> Option<Millis> {
        let (Value::Text(written) | Value::Number(written)) = &node.value else {
            self.wrong_kind(key, node, "a length of time such as `10m`", "");
            return None;
        };
        let length = Millis::parse(written);
        if length.is_none() {
            let hint = match node.value {
                Value::Number(_) => format!("a number needs its unit: `{written}s` or `{written}m`"),
                _ => "write `30s`, `10m`, `1h30m` or `2d`; units are y w d h m s ms, the largest first".to_owned(),
            };
            self.fault(Code::Duration, &node.span, format!("`{written}` is no length of time"), &hint);
        }
        length
    }

    /// The matchers under a key, all entries together.
    pub(crate) fn matchers(&mut self, key: &'static str) -> Vec<Matcher> {
        let mut matchers = Vec::new();
        let node = self.get(key);
        for item in node.map_or(&[][..], |node| self.as_list(key, node)) {
            let Some(text) = self.as_text(key, item) else { continue };
            match parse_matchers(text.text) {
                Ok(list) if list.is_empty() => {
                    self.fault(Code::Matcher, &item.span, "there is no matcher in this entry", "take it out");
                }
                Ok(list) => matchers.extend(list),
                Err(fault) => {
                    let code = match fault.kind {
                        MatcherFaultKind::Syntax => Code::Matcher,
                        MatcherFaultKind::Regex => Code::Regex,
                    };
                    let span = self.report.part(item, text.text, fault.offset, fault.length);
                    let message = match fault.kind {
                        MatcherFaultKind::Syntax => format!("`{}` is no matcher", text.text),
                        MatcherFaultKind::Regex => "a regular expression that cannot be used".to_owned(),
                    };
                    self.report.add(Diagnostic::new(code, span, message).label(fault.message));
                }
            }
        }
        matchers
    }

    /// The expression under `when`.
    pub(super) fn when(&mut self, sees: Sees) -> Option<Expression> {
        let text = self.text("when")?;
        let found = Expression::compile(text.text, sees);
        for fault in found.as_ref().err().into_iter().flatten() {
            let span = self.report.part(text.node, text.text, fault.span.start, fault.span.len());
            self.fault(fault.code, &span, fault.message.as_str(), &fault.hint);
        }
        found.ok()
    }

    /// The expression under `when` of a rule about alerts: what of it matchers can say goes to the rule's others.
    pub(super) fn when_of_alert(&mut self, matchers: &mut Vec<Matcher>) -> Option<Expression> {
        let (more, rest) = self.when(Sees::Alert)?.into_matchers();
        matchers.extend(more);
        rest
    }

    /// Compiles a template; `allowed` says for a root and a field what is wrong with naming them, if anything.
    pub(crate) fn template(
        &self,
        text: Text<'_>,
        allowed: impl Fn(&str, Option<&str>) -> Result<(), String>,
    ) -> Option<Template> {
        let broken = |(message, offset): (String, Option<usize>)| {
            let span = offset.map_or(text.node.span.clone(), |at| self.report.part(text.node, text.text, at, 0));
            self.report.add(Diagnostic::new(Code::Template, span, "a template that cannot be used").label(message));
        };
        let template = Template::compile(text.text).map_err(broken).ok()?;
        for name in template.names() {
            if let Err(hint) = allowed(&name.root, name.field.as_deref()) {
                let path = name.field.as_ref().map_or(name.root.to_string(), |field| format!("{}.{field}", name.root));
                let span =
                    name.offset.map_or(text.node.span.clone(), |at| self.report.part(text.node, text.text, at, path.len()));
                self.fault(Code::TemplateName, &span, format!("`{path}` is not known in this template"), &hint);
            }
        }
        template.try_out().map_err(broken).ok()?;
        Some(template)
    }

    /// The items of a list.
    pub(crate) fn as_list(&self, key: &str, node: &'a Node) -> &'a [Node] {
        if let Value::List(items) = &node.value {
            return items;
        }
        let written = self.report.map.text().get(node.span.clone()).filter(|_| !matches!(node.value, Value::Map(_)));
        let hint = written.map_or(String::new(), |written| format!("write `{key}: [{written}]`"));
        self.wrong_kind(key, node, "a list", &hint);
        &[]
    }

    /// A value as text.
    pub(crate) fn as_text(&self, key: &str, node: &'a Node) -> Option<Text<'a>> {
        if let Value::Text(text) = &node.value {
            return Some(Text { text, node });
        }
        let written = self.report.map.text().get(node.span.clone()).unwrap_or_default();
        let hint = match node.value {
            Value::Bool(_) | Value::Number(_) => format!("put it in quotes: `\"{written}\"`"),
            _ => String::new(),
        };
        self.wrong_kind(key, node, "a text", &hint);
        None
    }

    fn not_empty(&self, key: &str, text: Text<'_>) -> bool {
        if text.text.is_empty() {
            self.fault(Code::Range, &text.node.span, format!("an empty text in `{key}`"), "");
        }
        !text.text.is_empty()
    }

    fn wrong_kind(&self, key: &str, node: &Node, expected: &str, hint: &str) {
        let message = format!("`{key}` must be {expected}, not {}", node.value.kind());
        self.report
            .add(Diagnostic::new(Code::WrongKind, node.span.clone(), message).label(format!("expected {expected}")).hint(hint));
    }

    fn report_unknown(&self) {
        let asked = |key: &str| self.open || self.known.contains(&key) || self.ignored.contains(&key);
        for (key, _) in self.entries.iter().filter(|(key, _)| !asked(&key.text)) {
            let hint = match nearest(&key.text, &self.known) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("{} knows {}", self.what, listed(&self.known)),
            };
            self.fault(Code::UnknownKey, &key.span, format!("unknown key `{}` in {}", key.text, self.what), &hint);
        }
    }
}
