//! A body as a tree of JSON whose texts lie in the body itself wherever they have no escapes. serde_json's own parser reads it,
//! and it says what `serde_json::Value` would: of two keys alike the last, and all of them in order where that is asked. With each value goes whether
//! something was made of it, because that costs least where the value is.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use super::field::is_placeholder;
use crate::ingest::wire::Text;

/// One value. Its notes may be shared, because whoever looks at a body may have to wait in between.
#[derive(Debug, Default)]
pub struct Json<'a> {
    kind: Kind<'a>,
    used: AtomicBool,
    free: AtomicBool,
}

/// What a value is.
#[derive(Debug, Default)]
pub enum Kind<'a> {
    #[default]
    Null,
    Bool(bool),
    Number(Number),
    Text(Words<'a>),
    List(Vec<Json<'a>>),
    Map(Map<'a>),
}

/// A text, which may be JSON once more.
#[derive(Debug)]
pub struct Words<'a> {
    text: Cow<'a, str>,
    says: Says,
    inner: OnceLock<Box<Json<'static>>>,
}

/// Whether a text says anything, which is asked of each several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    Nothing,
    /// The name of something that its tool did not replace.
    Placeholder,
    Something,
}

/// Values by their keys, as they come: putting dozens of them in order takes longer than looking the few up that are read.
#[derive(Debug, Default)]
pub struct Map<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> Json<'a> {
    /// JSON of a text.
    ///
    /// # Errors
    /// As serde_json has it.
    pub fn parse(text: &'a str) -> Result<Json<'a>, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// A text.
    #[must_use]
    pub fn text(text: impl Into<Cow<'a, str>>) -> Json<'a> {
        let text = text.into();
        Json::of(Kind::Text(Words { says: Says::of(text.trim()), text, inner: OnceLock::new() }))
    }

    /// A map of these pairs.
    #[must_use]
    pub fn map(pairs: Vec<(Cow<'a, str>, Json<'a>)>) -> Json<'a> {
        Json::of(Kind::Map(Map(pairs)))
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> &Kind<'a> {
        &self.kind
    }

    /// The value of a key; `None` where this is no map, too.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        match &self.kind {
            Kind::Map(map) => map.get(key),
            _ => None,
        }
    }

    /// The text that it is, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(words) => Some(&words.text),
            _ => None,
        }
    }

    /// The list that it is, if it is one.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Json<'a>]> {
        match &self.kind {
            Kind::List(items) => Some(items),
            _ => None,
        }
    }

    /// Says that something was made of it.
    pub(super) fn use_up(&self) {
        self.used.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    /// Says that its keys are the sender's own: of these any may come or go.
    pub(super) fn set_free(&self) {
        self.free.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_free(&self) -> bool {
        self.free.load(Ordering::Relaxed)
    }

    /// The same, borrowing from nobody.
    #[must_use]
    pub fn into_owned(self) -> Json<'static> {
        let own = |text: Cow<'a, str>| Cow::Owned(text.into_owned());
        let kind = match self.kind {
            Kind::Null => Kind::Null,
            Kind::Bool(flag) => Kind::Bool(flag),
            Kind::Number(number) => Kind::Number(number),
            Kind::Text(words) => Kind::Text(Words { text: own(words.text), says: words.says, inner: words.inner }),
            Kind::List(items) => Kind::List(items.into_iter().map(Json::into_owned).collect()),
            Kind::Map(Map(pairs)) => {
                Kind::Map(Map(pairs.into_iter().map(|(key, value)| (own(key), value.into_owned())).collect()))
            }
        };
        Json { kind, used: self.used, free: self.free }
    }

    fn of(kind: Kind<'a>) -> Json<'a> {
        Json { kind, used: AtomicBool::new(false), free: AtomicBool::new(false) }
    }
}

impl Says {
    fn of(text: &str) -> Says {
        if text.is_empty() {
            Says::Nothing
        } else if is_placeholder(text) {
            Says::Placeholder
        } else {
            Says::Something
        }
    }
}

impl Words<'_> {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it says anything.
    #[must_use]
    pub fn says(&self) -> Says {
        self.says
    }

    /// What the text holds, if it has been read as JSON.
    pub(super) fn inner(&self) -> Option<&Json<'static>> {
        self.inner.get().map(|inner| &**inner)
    }

    /// What the text holds, read by `read` where it has not been yet.
    pub(super) fn inner_or<E>(&self, read: impl FnOnce(&str) -> Result<Json<'_>, E>) -> Result<&Json<'static>, E> {
        if let Some(inner) = self.inner() {
            return Ok(inner);
        }
        let inner = read(&self.text)?.into_owned();
        Ok(self.inner.get_or_init(|| Box::new(inner)))
    }
}

impl<'a> Map<'a> {
    fn get(&self, key: &str) -> Option<&Json<'a>> {
        self.0.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    /// The pairs, in order of their keys.
    #[must_use]
    pub fn in_order(&self) -> Vec<(&str, &Json<'a>)> {
        let mut pairs: Vec<(&str, &Json<'a>)> = self.all().collect();
        if !pairs.is_sorted_by(|a, b| a.0 < b.0) {
            // Those that are alike stay in their order, so that the last of them is known.
            pairs.sort_by_key(|(key, _)| *key);
            pairs.dedup_by(|later, earlier| {
                let is_alike = later.0 == earlier.0;
                if is_alike {
                    *earlier = *later;
                }
                is_alike
            });
        }
        pairs
    }

    /// The pairs as they come, also those of which the key comes again.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Json<'a>)> {
        self.0.iter().map(|(key, value)| (&**key, value))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json<'a>, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::default())
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Json<'de>, E> {
        Ok(Json::of(Kind::Bool(flag)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json<'de>, E> {
        Ok(Json::of(Kind::Number(number.into())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json<'de>, E> {
        Ok(Json::of(Kind::Number(number.into())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json<'de>, E> {
        Ok(Number::from_f64(number).map_or_else(Json::default, |number| Json::of(Kind::Number(number))))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::text(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Json::of(Kind::List(items)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
        let mut pairs = Vec::new();
        while let Some((Text(key), value)) = map.next_entry()? {
            pairs.push((key, value));
        }
        Ok(Json::map(pairs))
    }
}
