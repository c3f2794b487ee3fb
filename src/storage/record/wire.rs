//! How values of each kind become CBOR: the trait, the plain types, and the macros that turn a table of numbered fields
//! into code. Knows nothing of facts or alerts.

use std::sync::Arc;

use super::DecodeError;
use crate::model::{Few, Seldom};

/// Bytes being read.
pub(super) type Reader<'b> = minicbor::Decoder<'b>;

/// Elements that a list reserves room for before it has read any: a length is only believed as it is met.
const RESERVED_ELEMENTS_MAX: u64 = 256;

/// Something with a wire form.
pub(super) trait Wire: Sized {
    fn put(&self, out: &mut Out<'_>);
    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;
    /// What a record means that is older than this field; `None` for a field that was there from the beginning.
    fn absent() -> Option<Self> {
        None
    }
}

/// Bytes being written. Borrows what it writes: nothing is cloned on the way to the log. The heads are written here: through
/// an encoder for every kind of writer, a record took twice as long.
pub(super) struct Out<'a>(&'a mut Vec<u8>);

/// CBOR's major types, as the high bits of a head, and its simple values.
const UNSIGNED: u8 = 0x00;
const NEGATIVE: u8 = 0x20;
const BYTES: u8 = 0x40;
const TEXT: u8 = 0x60;
const ARRAY: u8 = 0x80;
const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;

impl<'a> Out<'a> {
    pub(super) fn new(bytes: &'a mut Vec<u8>) -> Out<'a> {
        Out(bytes)
    }

    /// The shortest head, as RFC 8949 (section 4.2.1) asks for: equal values have equal bytes.
    #[inline]
    fn head(&mut self, major: u8, number: u64) {
        let [_, _, _, _, _, _, _, low] = number.to_be_bytes();
        // Most heads are such: an alert's record has thirty.
        if number < 24 {
            self.0.push(major | low);
        } else {
            self.long_head(major, number);
        }
    }

    fn long_head(&mut self, major: u8, number: u64) {
        let bytes = number.to_be_bytes();
        let (first, from) = match number {
            0..0x100 => (major | 0x18, 7),
            0x100..0x1_0000 => (major | 0x19, 6),
            0x1_0000..0x1_0000_0000 => (major | 0x1a, 4),
            _ => (major | 0x1b, 0),
        };
        self.0.push(first);
        self.0.extend_from_slice(&bytes[from..]);
    }

    pub(super) fn array(&mut self, length: usize) {
        self.head(ARRAY, length as u64);
    }

    pub(super) fn list<T: Wire>(&mut self, items: &[T]) {
        self.array(items.len());
        for item in items {
            item.put(self);
        }
    }

    pub(super) fn number(&mut self, number: u64) {
        self.head(UNSIGNED, number);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.head(TEXT, text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.head(BYTES, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn signed(&mut self, number: i64) {
        match u64::try_from(number) {
            Ok(number) => self.head(UNSIGNED, number),
            Err(_) => self.head(NEGATIVE, !number.cast_unsigned()),
        }
    }
}

pub(super) fn decode_error(of: &str) -> impl Fn(minicbor::decode::Error) -> DecodeError + '_ {
    move |e| DecodeError(format!("{of}: {e}"))
}

/// Reads the length of an array. Only those of known length are written, so only those are read.
pub(super) fn array(reader: &mut Reader<'_>, of: &str) -> Result<u64, DecodeError> {
    reader.array().map_err(decode_error(of))?.ok_or_else(|| DecodeError(format!("{of}: an array without a length")))
}

/// The fields of one struct or variant while it is read.
pub(super) struct Fields<'r, 'b> {
    reader: &'r mut Reader<'b>,
    of: &'static str,
    length: u64,
    at: u64,
}

impl<'r, 'b> Fields<'r, 'b> {
    pub(super) fn begin(reader: &'r mut Reader<'b>, of: &'static str) -> Result<Self, DecodeError> {
        let length = array(reader, of)?;
        Ok(Fields { reader, of, length, at: 0 })
    }

    /// The field with this number. Fields are read in the order of their numbers.
    pub(super) fn next<T: Wire>(&mut self, number: u64) -> Result<T, DecodeError> {
        debug_assert_eq!(number, self.at, "{}: fields are numbered in order, without holes", self.of);
        self.at += 1;
        if number < self.length {
            T::take(self.reader)
        } else {
            T::absent().ok_or_else(|| DecodeError(format!("{}: field {number} is missing", self.of)))
        }
    }

    /// Passes over fields that a later version added.
    pub(super) fn end(self) -> Result<(), DecodeError> {
        for _ in self.at..self.length {
            self.reader.skip().map_err(decode_error(self.of))?;
        }
        Ok(())
    }
}

/// A struct's form: `fields!(RuleRef { 0 name, 1 file, 2 line })`.
macro_rules! fields {
    ($type:ident { $($number:literal $field:ident),+ $(,)? }) => {
        fields!($type { $($number $field),+ } of own { $($field),+ });
    };
    ($type:ident { $($number:literal $field:ident),+ $(,)? } of own { $($own:ident),+ $(,)? }
     $(with $shared:ident: $part:ident { $($theirs:ident),+ $(,)? })?) => {
        impl $crate::storage::record::wire::Wire for $type {
            fn put(&self, out: &mut $crate::storage::record::wire::Out<'_>) {
                out.array([$($number),+].len());
                $(self.$field.put(out);)+
            }

            fn take(
                reader: &mut $crate::storage::record::wire::Reader<'_>,
            ) -> Result<Self, $crate::storage::record::DecodeError> {
                let mut fields = $crate::storage::record::wire::Fields::begin(reader, stringify!($type))?;
                $(let $field = fields.next($number)?;)+
                fields.end()?;
                Ok($type { $($own,)+ $($shared: std::sync::Arc::new($part { $($theirs),+ }))? })
            }
        }

        #[cfg(test)]
        impl $crate::storage::record::tests::Sample for $type {
            fn sample(from: &mut $crate::storage::record::tests::Source<'_>) -> Self {
                $(let $field = $crate::storage::record::tests::Sample::sample(from);)+
                $type { $($own,)+ $($shared: std::sync::Arc::new($part { $($theirs),+ }))? }
            }
        }
    };
}

/// An enum's form, field 0 being the variant's number: `variants!(Actor { 0 Engine, 1 Person(1 name) })`. Variants with
/// names for their fields stand in braces, as in Rust.
macro_rules! variants {
    ($type:ident { $(
        $variant_number:literal $variant:ident
        $( ( $($place:literal $part:ident),+ ) )?
        $( { $($number:literal $field:ident),+ } )?
    ),+ $(,)? }) => {
        impl $crate::storage::record::wire::Wire for $type {
            fn put(&self, out: &mut $crate::storage::record::wire::Out<'_>) {
                match self {
                    $($type::$variant $( ( $($part),+ ) )? $( { $($field),+ } )? => {
                        out.array([0 $($(, $place)+)? $($(, $number)+)?].len());
                        out.number($variant_number);
                        $($($part.put(out);)+)?
                        $($($field.put(out);)+)?
                    })+
                }
            }

            fn take(
                reader: &mut $crate::storage::record::wire::Reader<'_>,
            ) -> Result<Self, $crate::storage::record::DecodeError> {
                let mut fields = $crate::storage::record::wire::Fields::begin(reader, stringify!($type))?;
                let variant: u64 = fields.next(0)?;
                let value = match variant {
                    $($variant_number => {
                        $($(let $part = fields.next($place)?;)+)?
                        $($(let $field = fields.next($number)?;)+)?
                        $type::$variant $( ( $($part),+ ) )? $( { $($field),+ } )?
                    })+
                    other => {
                        let text = format!("{}: variant {other} is not known", stringify!($type));
                        return Err($crate::storage::record::DecodeError(text));
                    }
                };
                fields.end()?;
                Ok(value)
            }
        }

        #[cfg(test)]
        impl $crate::storage::record::tests::Sample for $type {
            fn sample(from: &mut $crate::storage::record::tests::Source<'_>) -> Self {
                let numbers: &[u64] = &[$($variant_number),+];
                match numbers[from.below(numbers.len())] {
                    $($variant_number => {
                        $($(let $part = $crate::storage::record::tests::Sample::sample(from);)+)?
                        $($(let $field = $crate::storage::record::tests::Sample::sample(from);)+)?
                        $type::$variant $( ( $($part),+ ) )? $( { $($field),+ } )?
                    })+
                    _ => unreachable!("only known numbers are drawn"),
                }
            }
        }
    };
}

/// The form of an enum without fields, a bare number: `words!(AlertStatus { 0 Firing, 1 Resolved })`.
macro_rules! words {
    ($type:ident { $($number:literal $variant:ident),+ $(,)? }) => {
        impl $crate::storage::record::wire::Wire for $type {
            fn put(&self, out: &mut $crate::storage::record::wire::Out<'_>) {
                out.number(match self { $($type::$variant => $number),+ });
            }

            fn take(
                reader: &mut $crate::storage::record::wire::Reader<'_>,
            ) -> Result<Self, $crate::storage::record::DecodeError> {
                match <u64 as $crate::storage::record::wire::Wire>::take(reader)? {
                    $($number => Ok($type::$variant),)+
                    other => {
                        let text = format!("{}: {other} is not known", stringify!($type));
                        Err($crate::storage::record::DecodeError(text))
                    }
                }
            }
        }

        #[cfg(test)]
        impl $crate::storage::record::tests::Sample for $type {
            fn sample(from: &mut $crate::storage::record::tests::Source<'_>) -> Self {
                let all = [$($type::$variant),+];
                all[from.below(all.len())]
            }
        }
    };
}

pub(super) use {fields, variants, words};

/// Plain types, by a method of the output and the decoder's of the type's name.
macro_rules! plain {
    ($($type:ident $put:ident),+) => {$(
        impl Wire for $type {
            fn put(&self, out: &mut Out<'_>) {
                out.$put((*self).into());
            }

            fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                reader.$type().map_err(decode_error(stringify!($type)))
            }
        }
    )+};
}

plain!(u8 number, u32 number, u64 number, i64 signed);

impl Wire for bool {
    fn put(&self, out: &mut Out<'_>) {
        out.0.push(if *self { TRUE } else { FALSE });
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.bool().map_err(decode_error("bool"))
    }
}

impl Wire for Arc<str> {
    fn put(&self, out: &mut Out<'_>) {
        out.text(self);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.str().map(Arc::from).map_err(decode_error("text"))
    }
}

impl Wire for Box<str> {
    fn put(&self, out: &mut Out<'_>) {
        out.text(self);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.str().map(Box::from).map_err(decode_error("text"))
    }
}

impl<T: Wire> Wire for Arc<T> {
    fn put(&self, out: &mut Out<'_>) {
        (**self).put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        T::take(reader).map(Arc::new)
    }
}

impl<T: Wire> Wire for Box<T> {
    fn put(&self, out: &mut Out<'_>) {
        (**self).put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        T::take(reader).map(Box::new)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Out<'_>) {
        match self {
            Some(value) => value.put(out),
            None => out.0.push(NULL),
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.datatype().map_err(decode_error("optional"))? == minicbor::data::Type::Null {
            reader.null().map_err(decode_error("optional"))?;
            return Ok(None);
        }
        T::take(reader).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, out: &mut Out<'_>) {
        out.list(self);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let length = array(reader, "list")?;
        let mut items = Vec::with_capacity(usize::try_from(length.min(RESERVED_ELEMENTS_MAX)).unwrap_or(0));
        for _ in 0..length {
            items.push(T::take(reader)?);
        }
        Ok(items)
    }
}

impl<T: Wire> Wire for Few<T> {
    fn put(&self, out: &mut Out<'_>) {
        out.list(self);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Vec::take(reader).map(|items| items.into_iter().collect())
    }
}

impl<T: Wire> Wire for Seldom<T> {
    fn put(&self, out: &mut Out<'_>) {
        out.list(self);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Vec::take(reader).map(Seldom::from)
    }
}

impl<T: Wire> Wire for [Option<T>; 3] {
    fn put(&self, out: &mut Out<'_>) {
        out.list(self);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut fields = Fields::begin(reader, "list of three")?;
        let items = [fields.next(0)?, fields.next(1)?, fields.next(2)?];
        fields.end()?;
        Ok(items)
    }
}
