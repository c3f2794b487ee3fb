//! The short way through JSON as senders of alerts write it: objects of texts and of maps of texts, on one line.
//!
//! Knowing the form spares half of what a general reader costs an alert. Whatever is not of this form, or no JSON at all,
//! is left to the general reader, which also has the words for what is wrong: nothing is read here that it would read
//! otherwise.

use std::borrow::Cow;

use super::marks::Marks;
use super::wire::{Raw, Text, WireAlert};

/// Where a string stands in the text that was read, without its quotes.
#[derive(Clone, Copy, Debug)]
struct Str {
    start: u32,
    end: u32,
    escapes: bool,
}

/// The strings of a text's labels and annotations, so that none need be read twice.
#[derive(Debug, Default)]
pub(super) struct Strings {
    all: Vec<Str>,
    /// Whether the text is of printable ASCII alone.
    printable: bool,
}

/// A map of texts by its strings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Map<'a> {
    text: &'a str,
    strings: &'a [Str],
    printable: bool,
}

/// Pairs as they stand in a text.
pub(super) struct Borrowed<'a> {
    pub pairs: Vec<(&'a str, &'a str)>,
    /// Whether all of them are known to be of printable ASCII alone.
    pub printable: bool,
}

/// About what a string of labels and annotations takes up, with its quotes and a colon or comma.
const STRING_BYTES: usize = 28;

/// Reads a list of at most `max` alerts; `None` where that is for the general reader to say.
pub(super) fn alerts(text: &str, max: usize) -> Option<(Vec<WireAlert<'_>>, Strings)> {
    // So that every place fits.
    u32::try_from(text.len()).ok()?;
    let marks = Marks::of(text)?;
    let mut strings = Strings { all: Vec::with_capacity(text.len() / STRING_BYTES), printable: marks.is_printable() };
    let mut json = Plain { text, at: 0, marks, strings: &mut strings.all };
    let mut alerts = Vec::with_capacity(64);
    json.eat(b'[')?;
    if !json.try_eat(b']') {
        loop {
            if alerts.len() == max {
                return None;
            }
            alerts.push(json.alert()?);
            if json.is_last(b']')? {
                break;
            }
        }
    }
    json.end()?;
    Some((alerts, strings))
}

impl Strings {
    /// The map of those from one to another, of the text that was read.
    pub(super) fn map<'a>(&'a self, text: &'a str, from: usize, to: usize) -> Option<Map<'a>> {
        self.all.get(from..to).map(|strings| Map { text, strings, printable: self.printable })
    }
}

impl<'a> Map<'a> {
    /// At most `max` pairs; `None` where that is for the general reader to say.
    pub(super) fn pairs(&self, max: usize) -> Option<Vec<(Text<'a>, Text<'a>)>> {
        let (found, rest) = self.strings.as_chunks::<2>();
        let readable = rest.is_empty() && found.len() <= max;
        readable.then(|| found.iter().map(|[name, value]| Some((name.of(self.text)?, value.of(self.text)?))).collect())?
    }

    /// The same where no string has escapes, as is usual: nothing but where they stand is copied.
    pub(super) fn borrowed(&self, max: usize) -> Option<Borrowed<'a>> {
        let (found, rest) = self.strings.as_chunks::<2>();
        if !rest.is_empty() || found.len() > max {
            return None;
        }
        // With room for the labels that a source adds.
        let mut pairs = Vec::with_capacity(found.len() + 2);
        for [name, value] in found {
            pairs.push((name.as_it_stands(self.text)?, value.as_it_stands(self.text)?));
        }
        Some(Borrowed { pairs, printable: self.printable })
    }
}

impl Str {
    /// The very text, where that is what it means.
    #[inline]
    fn as_it_stands(self, text: &str) -> Option<&str> {
        if self.escapes { None } else { text.get(self.start as usize..self.end as usize) }
    }

    /// As what it means. Which escapes mean what, and which mean nothing, the general reader knows.
    fn of(self, text: &str) -> Option<Text<'_>> {
        let (start, end) = (self.start as usize, self.end as usize);
        if self.escapes {
            serde_json::from_str(text.get(start - 1..=end)?).ok().map(|text: String| Text(Cow::Owned(text)))
        } else {
            text.get(start..end).map(|text| Text(Cow::Borrowed(text)))
        }
    }
}

/// A place in a text.
struct Plain<'a, 's> {
    text: &'a str,
    at: usize,
    marks: Marks,
    strings: &'s mut Vec<Str>,
}

impl<'a> Plain<'a, '_> {
    /// The next byte that is no space.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while *bytes.get(self.at)? == b' ' {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        self.try_eat(byte).then_some(())
    }

    #[inline]
    fn try_eat(&mut self, byte: u8) -> bool {
        let there = self.text.as_bytes().get(self.at) == Some(&byte) || self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// Whether a list or map ends behind this item; `None` where neither its end nor another item follows.
    #[inline]
    fn is_last(&mut self, end: u8) -> Option<bool> {
        if self.try_eat(b',') { Some(false) } else { self.try_eat(end).then_some(true) }
    }

    fn end(&mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }

    fn alert(&mut self) -> Option<WireAlert<'a>> {
        let mut alert = WireAlert::default();
        self.eat(b'{')?;
        if self.try_eat(b'}') {
            return Some(alert);
        }
        loop {
            let key = self.string()?;
            let key = if key.escapes { return None } else { self.text.get(key.start as usize..key.end as usize)? };
            self.eat(b':')?;
            match key {
                "labels" => set(&mut alert.labels, self.map()?)?,
                "annotations" => set(&mut alert.annotations, self.map()?)?,
                "startsAt" => set(&mut alert.starts_at, self.text()?)?,
                "endsAt" => set(&mut alert.ends_at, self.text()?)?,
                "generatorURL" => set(&mut alert.generator_url, self.text()?)?,
                "status" => set(&mut alert.status, self.text()?)?,
                _ => self.pass_over()?,
            }
            if self.is_last(b'}')? {
                return Some(alert);
            }
        }
    }

    /// A map of texts, as text.
    fn map(&mut self) -> Option<Raw<'a>> {
        self.eat(b'{')?;
        let (start, first) = (self.at - 1, self.strings.len());
        if !self.try_eat(b'}') {
            loop {
                let name = self.string()?;
                self.eat(b':')?;
                let value = self.string()?;
                self.strings.extend([name, value]);
                if self.is_last(b'}')? {
                    break;
                }
            }
        }
        let text = self.text.get(start..self.at)?;
        Some(Raw { text, strings: Some((first, self.strings.len())) })
    }

    fn pass_over(&mut self) -> Option<()> {
        if self.peek()? == b'{' { self.map().map(|_| ()) } else { self.string().map(|_| ()) }
    }

    fn string(&mut self) -> Option<Str> {
        self.eat(b'"')?;
        let (begin, bytes) = (self.at, self.text.as_bytes());
        let mut escapes = false;
        loop {
            let end = self.marks.next(self.at)?;
            self.at = end + 1;
            if bytes[end] == b'"' {
                return Some(Str { start: place(begin), end: place(end), escapes });
            }
            escapes = true;
            match *bytes.get(self.at)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
                b'u' if bytes.get(self.at + 1..self.at + 5)?.iter().all(u8::is_ascii_hexdigit) => self.at += 5,
                _ => return None,
            }
        }
    }

    fn text(&mut self) -> Option<Text<'a>> {
        let text = self.text;
        self.string()?.of(text)
    }
}

/// A place in a text that is known to be shorter than 4 GiB.
#[inline]
fn place(at: usize) -> u32 {
    at.try_into().unwrap_or(u32::MAX)
}

/// A key that comes twice is for the general reader to refuse.
fn set<T>(field: &mut Option<T>, value: T) -> Option<()> {
    field.replace(value).is_none().then_some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ingest::general;

    const MAX: usize = 5;

    /// What comes of a text here is what the general reader makes of it; whether anything does.
    fn agrees(text: &str) -> bool {
        let Some((alerts, strings)) = alerts(text, MAX) else { return false };
        let theirs = general::list::<WireAlert<'_>>(text, MAX).expect("the general reader takes it as well");
        assert_eq!(alerts, theirs, "{text}");
        for raw in alerts.iter().flat_map(|alert| [alert.labels, alert.annotations]).flatten() {
            let (from, to) = raw.strings.expect("every map has its strings");
            let map = strings.map(text, from, to).unwrap();
            if let Some(pairs) = map.pairs(MAX) {
                if let Some(borrowed) = map.borrowed(MAX) {
                    let same = pairs.iter().map(|(name, value)| (&*name.0, &*value.0)).eq(borrowed.pairs);
                    assert!(same, "{text}");
                }
                assert_eq!(Ok(pairs), general::pairs(raw.text, MAX), "{text}");
            }
        }
        true
    }

    /// Whether the pairs of a map are read here.
    fn agrees_on_map(map: &str) -> bool {
        let text = format!(r#"[{{"labels":{map}}}]"#);
        let is_read = |(alerts, strings): (Vec<WireAlert<'_>>, Strings)| {
            let (from, to) = alerts[0].labels.and_then(|labels| labels.strings).unwrap();
            strings.map(&text, from, to).unwrap().pairs(MAX).is_some()
        };
        agrees(&text) && alerts(&text, MAX).is_some_and(is_read)
    }

    #[test]
    fn reads_what_senders_write_as_the_general_reader_does() {
        let go = r#"[{"labels":{"alertname":"Disk\u003e80","host":"a"},"annotations":{"summary":"\"a\" is \u003e 80% \\ full"},"startsAt":"2026-01-05T00:00:00Z","endsAt":"","generatorURL":"http://p/graph?g0.expr=a\u0026g0.tab=1"}]"#;
        let python = r#"[{"labels": {"alertname": "Disk"}, "extra": "x", "more": {"a": "b"}}, {}]"#;
        for text in [go, python, "[]", " [ ] "] {
            assert!(agrees(text), "left to the general reader: {text}");
        }
        for map in ["{}", " { } ", r#"{"a":"b","c":"\ud83d\ude00"}"#] {
            assert!(agrees_on_map(map), "left to the general reader: {map}");
        }
    }

    #[test]
    fn leaves_the_rest_to_the_general_reader() {
        let texts = [
            "",
            "[",
            "[]]",
            "[{}",
            "[{},]",
            "[{}{}]",
            "[{},{},{},{},{},{}]",
            "[{\"a\":\"\t\"}]",
            "[\n]",
            r#"[{"labels":{},"labels":{}}]"#,
            r#"[{"labels":null}]"#,
            r#"[{"labels":{"a":1}}]"#,
            r#"[{"n":1}]"#,
            r#"[{"a":"\x"}]"#,
            r#"[{"a":"\u12"}]"#,
            r#"[{"a" "b"}]"#,
            r#"{"a":"\ud83d"}"#,
            r#"{"a":"b",}"#,
            r#"{"a":"b"}x"#,
            r#"{"a":"1","b":"2","c":"3","d":"4","e":"5","f":"6"}"#,
        ];
        for text in texts {
            assert!(!agrees(text), "read: {text}");
        }
    }

    fn string() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            6 => "[a-zA-Z0-9 :,{}\\[\\]é€😀]{0,6}",
            1 => Just(r#"\""#.to_owned()),
            1 => Just(r"\\".to_owned()),
            1 => Just(r"\u0026".to_owned()),
            1 => Just(r"\ud83d\ude00".to_owned()),
            1 => Just(r"\ud83d".to_owned()),
            1 => Just(r"\q".to_owned()),
            1 => Just("\u{1}".to_owned()),
        ];
        proptest::collection::vec(piece, 0..3).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
    }

    fn map() -> impl Strategy<Value = String> {
        proptest::collection::vec((string(), string()), 0..4).prop_map(|pairs| {
            let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}:{value}")).collect();
            format!("{{{}}}", pairs.join(","))
        })
    }

    fn alert() -> impl Strategy<Value = String> {
        let key = prop_oneof![
            Just("labels"),
            Just("annotations"),
            Just("startsAt"),
            Just("endsAt"),
            Just("generatorURL"),
            Just("status"),
            Just("other"),
        ];
        let value = prop_oneof![map(), string(), Just("null".to_owned()), Just("[1,{\"a\":2}]".to_owned())];
        proptest::collection::vec((key, value), 0..5).prop_map(|fields| {
            let fields: Vec<String> = fields.into_iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
            format!("{{{}}}", fields.join(" , "))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

        #[test]
        fn agrees_with_the_general_reader_on_lists(alerts in proptest::collection::vec(alert(), 0..4)) {
            agrees(&format!("[{}]", alerts.join(",")));
        }

        #[test]
        fn agrees_with_the_general_reader_on_maps(map in map()) {
            agrees_on_map(&map);
        }

        /// Damaged anywhere.
        #[test]
        fn agrees_with_the_general_reader_on_what_is_broken(
            alerts in proptest::collection::vec(alert(), 1..3),
            at in any::<proptest::sample::Index>(),
            instead in prop_oneof![Just(""), Just("\""), Just("\\"), Just("{"), Just("}"), Just("]"), Just(":"), Just(","), Just(" ")],
        ) {
            let text = format!("[{}]", alerts.join(","));
            let at = text.floor_char_boundary(at.index(text.len()));
            let behind = text[at..].chars().next().map_or(0, char::len_utf8);
            agrees(&format!("{}{instead}{}", &text[..at], &text[at + behind..]));
        }
    }
}
