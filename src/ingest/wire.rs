//! JSON as senders write it, read without copying what need not be copied.
//!
//! Labels and annotations stay text here: of a repeat, only their hash is ever needed.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A string that lies in the body itself wherever it has no escapes. (`Cow` alone would always copy inside a list.)
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text<'a>, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

/// One alert as Prometheus posts it and as Alertmanager's webhook carries it. Unknown keys are ignored.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WireAlert<'a> {
    #[serde(borrow)]
    pub labels: Option<&'a RawValue>,
    #[serde(borrow)]
    pub annotations: Option<&'a RawValue>,
    #[serde(borrow)]
    pub starts_at: Option<Text<'a>>,
    #[serde(borrow)]
    pub ends_at: Option<Text<'a>>,
    #[serde(borrow, rename = "generatorURL")]
    pub generator_url: Option<Text<'a>>,
    /// In the webhook only.
    #[serde(borrow)]
    pub status: Option<Text<'a>>,
}

/// Why a body as a whole came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// No JSON, or not of the format's shape.
    Unreadable(String),
    /// More alerts than one request may have.
    TooMany,
}

/// A message without the better part of what it quotes: faults in JSON quote what they found, whatever its length.
#[must_use]
pub fn shorten(mut message: String) -> String {
    const MESSAGE_BYTES: usize = 300;
    if message.len() > MESSAGE_BYTES {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES));
        message.push('…');
    }
    message
}

/// Reads a list of alerts. An item that is not of an alert's shape costs that item only.
///
/// # Errors
/// Text that is no JSON list, and lists longer than `max`.
pub fn read_list(text: &str, max: usize) -> Result<Vec<Result<WireAlert<'_>, String>>, BodyFault> {
    // Nearly every list is whole, and then each alert is scanned once. What is wrong with which is asked only when
    // something is.
    match list::<WireAlert<'_>>(text, max) {
        Ok(alerts) => Ok(alerts.into_iter().map(Ok).collect()),
        Err(BodyFault::TooMany) => Err(BodyFault::TooMany),
        Err(BodyFault::Unreadable(_)) => {
            let items = list::<&RawValue>(text, max)?;
            Ok(items.into_iter().map(|item| serde_json::from_str(item.get()).map_err(|error| error.to_string())).collect())
        }
    }
}

/// Reads a map of strings, in the order they came.
///
/// # Errors
/// In words: text that is no such map, and maps of more than `max` entries.
pub fn read_pairs(text: &str, max: usize) -> Result<Vec<(Text<'_>, Text<'_>)>, String> {
    let mut json = serde_json::Deserializer::from_str(text);
    let pairs = Deserializer::deserialize_map(&mut json, PairsVisitor { max }).map_err(|error| error.to_string())?;
    json.end().map_err(|error| error.to_string())?;
    Ok(pairs)
}

fn list<'de, T: Deserialize<'de>>(text: &'de str, max: usize) -> Result<Vec<T>, BodyFault> {
    let over = Cell::new(false);
    let mut json = serde_json::Deserializer::from_str(text);
    let read = Limited { max, over: &over, of: std::marker::PhantomData }.deserialize(&mut json);
    match read.and_then(|items| json.end().map(|()| items)) {
        Ok(items) => Ok(items),
        Err(_) if over.get() => Err(BodyFault::TooMany),
        Err(error) => Err(BodyFault::Unreadable(error.to_string())),
    }
}

/// A list that ends with an error behind its limit, before it is in memory.
struct Limited<'c, T> {
    max: usize,
    over: &'c Cell<bool>,
    of: std::marker::PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Limited<'_, T> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Limited<'_, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of alerts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::with_capacity(64);
        while let Some(item) = items.next_element()? {
            if list.len() == self.max {
                self.over.set(true);
                return Err(A::Error::custom("too many alerts"));
            }
            list.push(item);
        }
        Ok(list)
    }
}

struct PairsVisitor {
    max: usize,
}

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Vec<(Text<'de>, Text<'de>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::with_capacity(16);
        while let Some(pair) = map.next_entry()? {
            if pairs.len() == self.max {
                return Err(A::Error::custom(format_args!("more than {} entries", self.max)));
            }
            pairs.push(pair);
        }
        Ok(pairs)
    }
}
