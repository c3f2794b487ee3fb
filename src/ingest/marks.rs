//! Where the quotes and backslashes of a text stand: one bit for each of its bytes, found for the whole text before it is read.
//!
//! A text of alerts is mostly strings of some twenty bytes. A search of its own for the end of each costs three times as much
//! as this, since it ends about when it has got going.

use wide::u8x16;

/// Bytes that one word of marks is about.
const WORD: usize = 64;

/// The marks of one text.
#[derive(Debug)]
pub(super) struct Marks {
    words: Vec<u64>,
    is_printable: bool,
}

impl Marks {
    /// The marks of a text; `None` where it has control characters. Strings may hold none, and senders on one line put none
    /// between strings.
    pub(super) fn of(text: &str) -> Option<Marks> {
        let (blocks, rest) = text.as_bytes().as_chunks::<WORD>();
        // Filled up with what is no mark.
        let mut last = [b' '; WORD];
        last[..rest.len()].copy_from_slice(rest);
        let mut seen = Seen { control: u8x16::ZERO, other: u8x16::ZERO };
        let mut words = Vec::with_capacity(blocks.len() + 1);
        words.extend(blocks.iter().map(|block| seen.marks(block)));
        words.push(seen.marks(&last));
        let Seen { control, other } = seen;
        (control.to_bitmask() == 0).then_some(Marks { words, is_printable: other.to_bitmask() == 0 })
    }

    /// Whether the text is of printable ASCII alone.
    pub(super) fn is_printable(&self) -> bool {
        self.is_printable
    }

    /// Where the next quote or backslash is, from `at` on.
    #[inline]
    pub(super) fn next(&self, at: usize) -> Option<usize> {
        let mut word = at / WORD;
        let mut marks = self.words.get(word)? & (u64::MAX << (at % WORD));
        while marks == 0 {
            word += 1;
            marks = *self.words.get(word)?;
        }
        Some(word * WORD + marks.trailing_zeros() as usize)
    }
}

/// What a text has been seen to have: the high bit of any byte.
struct Seen {
    /// A control character of ASCII but DEL.
    control: u8x16,
    /// DEL, or what is not of ASCII.
    other: u8x16,
}

impl Seen {
    #[inline]
    fn marks(&mut self, block: &[u8; WORD]) -> u64 {
        let mut marks = 0;
        for (step, bytes) in block.as_chunks::<16>().0.iter().enumerate() {
            let bytes = u8x16::new(*bytes);
            let is = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
            self.control |= bytes.simd_eq(bytes.min(u8x16::splat(0x1f)));
            self.other |= bytes | is(0x7f);
            marks |= u64::from((is(b'"') | is(b'\\')).to_bitmask()) << (16 * step);
        }
        marks
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn are_where_a_search_finds_them(text in "([a-z\\\\\"é\u{7f}]|[ -~]{0,40}){0,9}\u{1}?", at in 0_usize..200) {
            let marks = Marks::of(&text);
            prop_assert_eq!(marks.is_none(), text.bytes().any(|byte| byte < b' '));
            if let Some(marks) = marks {
                let found = text.bytes().enumerate().skip(at).find(|(_, byte)| matches!(byte, b'"' | b'\\'));
                prop_assert_eq!(marks.next(at), found.map(|(place, _)| place));
                prop_assert_eq!(marks.is_printable(), text.bytes().all(|byte| matches!(byte, b' '..=b'~')));
            }
        }
    }
}
