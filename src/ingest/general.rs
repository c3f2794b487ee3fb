//! The way through any JSON, with the words for what is wrong with it.

use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::wire::{BodyFault, Text};

/// A map of strings, in the order they came; the error is words.
pub(super) fn pairs(text: &str, max: usize) -> Result<Vec<(Text<'_>, Text<'_>)>, String> {
    let mut json = serde_json::Deserializer::from_str(text);
    let pairs = Deserializer::deserialize_map(&mut json, PairsVisitor { max }).map_err(|error| error.to_string())?;
    json.end().map_err(|error| error.to_string())?;
    Ok(pairs)
}

/// All items of a list.
pub(super) fn list<'de, T: Deserialize<'de>>(text: &'de str, max: usize) -> Result<Vec<T>, BodyFault> {
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
