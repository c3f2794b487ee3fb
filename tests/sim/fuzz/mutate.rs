//! Damage, by a seed: of bytes, of words, and of shapes. What comes out is mostly still nearly right, which is where readers
//! have their faults.

use serde_json::Value;

use crate::random::Random;

/// What an input is made of.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Shape {
    Bytes,
    /// Words in a line.
    Words,
    /// Lines that say more by how far they are indented.
    Lines,
    Json,
}

impl Shape {
    /// Bytes of an input at most: what is long is repeated, and repetition of repetitions is not wanted. What is read of one
    /// line of the small languages is less.
    pub(super) fn bytes_max(self) -> usize {
        if self == Shape::Words { 10 << 10 } else { 64 << 10 }
    }
}

/// Levels that are put around a value at most. A reader's own limit is far below.
const NESTED_MAX: usize = 200;

/// Texts that mean something to somebody: ends of ranges, halves of pairs, letters that change their length.
const TEXTS: [&str; 52] = [
    "",
    " ",
    "0",
    "-0",
    "1",
    "-1",
    "5e-324",
    "1e308",
    "1e999",
    "NaN",
    "inf",
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "340282366920938463463374607431768211456",
    "null",
    "true",
    "~",
    "[]",
    "{}",
    "[",
    "{",
    "\"",
    "'",
    "\\",
    "\\u0000",
    "\\ud83d",
    "\u{0}",
    "\n",
    "\r\n",
    "\t",
    "\u{feff}",
    "\u{202e}",
    "é",
    "ß",
    "İ",
    "ŉ",
    "😀",
    "e\u{301}",
    "%",
    "%zz",
    "&",
    "{{",
    "}}",
    "{{ labels.a }}",
    "{% if x %}",
    "$ID",
    "=~",
    "(a*)*b",
    "0001-01-01T00:00:00Z",
];

/// Times and lengths, near where they end.
const TIMES: [&str; 12] = [
    "9999-12-31T23:59:59.999999999Z",
    "10000-01-01T00:00:00Z",
    "2026-02-30T25:61:61Z",
    "2026-01-05T10:00:00+23:59",
    "2026-01-05T10:00:00-9999",
    "2026-01-05",
    "-1",
    "253402300800",
    "9e18",
    "1ms",
    "99999999999999999d",
    "1h1h",
];

/// An input that is a piece of the corpus, damaged a few times.
pub(super) fn damaged(shape: Shape, corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let input = pick(corpus, random).clone();
    damage(input, shape, corpus, random)
}

/// Damages an input a few times, with pieces of the corpus as material.
pub(super) fn damage(mut input: Vec<u8>, shape: Shape, corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    for _ in 0..=random.below(4) {
        let by_shape = random.below(3) > 0;
        input = match shape {
            Shape::Json if by_shape => json(&input, random).unwrap_or_else(|| bytes(input, corpus, random)),
            Shape::Lines if by_shape => lines(&input, random),
            Shape::Words if by_shape => words(&input, corpus, random),
            _ => bytes(input, corpus, random),
        };
        input.truncate(shape.bytes_max());
    }
    input
}

fn pick<'a, T>(items: &'a [T], random: &mut Random) -> &'a T {
    &items[below(items.len(), random)]
}

fn below(length: usize, random: &mut Random) -> usize {
    usize::try_from(random.below(length as u64)).unwrap()
}

/// A text that means something, sometimes a very long one.
fn text(random: &mut Random) -> String {
    match random.below(8) {
        0 => (*pick(&TIMES, random)).to_owned(),
        1 => pick(&TEXTS, random).repeat(1 + below(2_000, random)),
        _ => (*pick(&TEXTS, random)).to_owned(),
    }
}

/// A range of an input, short most of the time.
fn range(length: usize, random: &mut Random) -> std::ops::Range<usize> {
    let start = below(length + 1, random);
    let most = if random.one_in(4) { length } else { 16 };
    start..(start + below(most + 1, random)).min(length)
}

fn bytes(mut input: Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let place = range(input.len(), random);
    match random.below(9) {
        0 if !input.is_empty() => {
            let at = below(input.len(), random);
            input[at] ^= 1 << random.below(8);
        }
        1 => input.truncate(place.start),
        2 => drop(input.splice(place, text(random).into_bytes())),
        3 => drop(input.splice(place.start..place.start, text(random).into_bytes())),
        4 => {
            let again = input[place.clone()].repeat(1 + below(64, random));
            drop(input.splice(place.end..place.end, again));
        }
        5 => {
            let other = pick(corpus, random);
            let piece = other[range(other.len(), random)].to_vec();
            drop(input.splice(place, piece));
        }
        6 => {
            let number = u8::try_from(random.below(256)).unwrap();
            drop(input.splice(place, [number]));
        }
        _ => drop(input.splice(place, [])),
    }
    input
}

/// Words and signs changed, doubled, taken from others.
fn words(input: &Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let split = |text: &Vec<u8>| -> Vec<String> {
        let text = String::from_utf8_lossy(text).into_owned();
        let mut words: Vec<String> = Vec::new();
        for c in text.chars() {
            let goes_on = |last: &String| last.ends_with(char::is_alphanumeric) && c.is_alphanumeric();
            match words.last_mut() {
                Some(last) if goes_on(last) => last.push(c),
                _ => words.push(c.to_string()),
            }
        }
        words
    };
    let mut own = split(input);
    let other = split(pick(corpus, random));
    let place = range(own.len(), random);
    let piece = other[range(other.len(), random)].to_vec();
    match random.below(5) {
        0 => drop(own.splice(place, piece)),
        1 => drop(own.splice(place.start..place.start, piece)),
        2 => drop(own.splice(place, [text(random)])),
        3 => {
            let again = own[place.clone()].concat().repeat(1 + below(64, random));
            own.insert(place.end, again);
        }
        _ => {
            let levels = 1 + below(NESTED_MAX, random);
            let (open, close) = *pick(&[("(", ")"), ("[", "]"), ("!", ""), ("{{", "}}"), ("-", "")], random);
            own.insert(place.start, open.repeat(levels));
            own.insert(place.end + 1, close.repeat(levels));
        }
    }
    own.concat().into_bytes()
}

/// Lines left out, moved, indented otherwise, or with another value.
fn lines(input: &[u8], random: &mut Random) -> Vec<u8> {
    let text_of_all = String::from_utf8_lossy(input).into_owned();
    let mut lines: Vec<String> = text_of_all.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        return text(random).into_bytes();
    }
    let (at, other) = (below(lines.len(), random), below(lines.len(), random));
    match random.below(8) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, lines[other].clone()),
        2 => lines.swap(at, other),
        3 => lines[at].insert_str(0, &" ".repeat(1 + below(4, random))),
        4 => {
            if let Some(line) = lines[at].strip_prefix("  ").map(str::to_owned) {
                lines[at] = line;
            }
        }
        5 => {
            let moved: Vec<String> = lines.drain(at..(at + 1 + below(6, random)).min(lines.len())).collect();
            let to = other.min(lines.len());
            drop(lines.splice(to..to, moved));
        }
        6 => {
            // The value of a key, by another's or by one that means something.
            let value = match lines[other].split_once(": ") {
                Some((_, value)) if random.one_in(2) => value.to_owned(),
                _ => text(random),
            };
            if let Some((key, _)) = lines[at].split_once(": ") {
                lines[at] = format!("{key}: {value}");
            }
        }
        _ => {
            let line = &lines[at];
            let places: Vec<usize> = line.char_indices().map(|(place, _)| place).chain([line.len()]).collect();
            let place = *pick(&places, random);
            lines[at].insert_str(place, &text(random));
        }
    }
    (lines.join("\n") + "\n").into_bytes()
}

/// A value somewhere below replaced, left out, repeated, put deeper, or under another key.
fn json(input: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let mut body: Value = serde_json::from_slice(input).ok()?;
    let nodes = count(&body);
    let other = nth(&body, below(nodes, random)).clone();
    let mut at = below(nodes, random);
    let choice = random.below(8);
    let new = match choice {
        0 => Value::Null,
        1 => Value::String(text(random)),
        2 => serde_json::from_str(pick::<&str>(
            &["0", "-1", "1e308", "9223372036854775807", "18446744073709551615", "1.5", "true"],
            random,
        ))
        .ok()?,
        3 => Value::Array(Vec::new()),
        4 => Value::Object(serde_json::Map::new()),
        5 => other,
        6 => {
            let levels = 1 + below(NESTED_MAX, random);
            (0..levels).fold(
                other,
                |value, level| if level % 2 == 0 { Value::Array(vec![value]) } else { serde_json::json!({ "a": value }) },
            )
        }
        _ => Value::Array(vec![other; 1 + below(200, random)]),
    };
    let place = nth_mut(&mut body, &mut at)?;
    match place {
        Value::Object(pairs) if random.one_in(2) && !pairs.is_empty() => {
            let key = pairs.keys().nth(below(pairs.len(), random))?.clone();
            let value = pairs.remove(&key)?;
            if random.one_in(2) {
                drop(pairs.insert(text(random), value));
            }
        }
        place => *place = new,
    }
    Some(body.to_string().into_bytes())
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(pairs) => pairs.values().map(count).sum(),
        _ => 0,
    }
}

/// The value of this number, in the order of the text.
fn nth(value: &Value, number: usize) -> &Value {
    find(value, &mut { number }).unwrap_or(value)
}

fn find<'v>(value: &'v Value, at: &mut usize) -> Option<&'v Value> {
    if *at == 0 {
        return Some(value);
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter().find_map(|item| find(item, at)),
        Value::Object(pairs) => pairs.values().find_map(|item| find(item, at)),
        _ => None,
    }
}

fn nth_mut<'v>(value: &'v mut Value, at: &mut usize) -> Option<&'v mut Value> {
    if *at == 0 {
        return Some(value);
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth_mut(item, at)),
        Value::Object(pairs) => pairs.values_mut().find_map(|item| nth_mut(item, at)),
        _ => None,
    }
}
