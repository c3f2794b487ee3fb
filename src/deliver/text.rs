//! Text that strangers chose, made fit to be shown: without characters that steer a terminal, a header or the order of
//! reading, and no longer than its place allows. Never changes what the words say.

/// `text` on one line of at most `max` characters: white space of any kind becomes a space, control characters and
/// those that turn or hide text go, and what is cut ends in `…`.
pub(crate) fn line(text: &str, max: usize) -> String {
    let shown = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !is_steering(*c));
    clip(shown, max).trim_end().to_owned()
}

/// The first `max` characters of `text`; the last of them is `…` where something was cut.
pub(crate) fn clip_chars(text: &str, max: usize) -> String {
    clip(text.chars(), max)
}

/// `text` with every character that [`line()`] would drop written out as `\u{…}`, for places where nothing may be lost.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_steering(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether a text is an absolute http or https address and nothing else, so that it may become a link.
pub(crate) fn is_web_link(text: &str) -> bool {
    (text.starts_with("https://") || text.starts_with("http://"))
        && !text.chars().any(|c| c.is_whitespace() || is_steering(c) || matches!(c, '"' | '\'' | '<' | '>'))
}

fn clip(chars: impl Iterator<Item = char>, max: usize) -> String {
    let mut out = String::new();
    // Where the text ends if it turns out to be too long: before its last character that fits.
    let mut cut = 0;
    for (count, c) in chars.enumerate() {
        if count == max {
            out.truncate(cut);
            out.push('…');
            return out;
        }
        cut = out.len();
        out.push(c);
    }
    out
}

/// Control characters (C0, DEL, C1), line and paragraph separators, everything that changes the direction of reading
/// and the characters that show as nothing. Joiners stay: some scripts and many emoji need them.
fn is_steering(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_what_steers_and_keep_their_words() {
        let cases = [
            ("disk full", "disk full"),
            ("two\r\nlines\tand a tab", "two  lines and a tab"),
            ("\u{1b}[31mred\u{7}", "[31mred"),
            ("abc\u{202e}fdp.exe\u{2066}", "abcfdp.exe"),
            ("zero\u{200b}width\u{feff}", "zerowidth"),
            ("family 👨\u{200d}👩\u{200d}👧", "family 👨\u{200d}👩\u{200d}👧"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(line(text, 100), expected, "{text:?}");
        }
        assert_eq!(escape("a\u{1b}b\u{202e}\n"), "a\\u{1b}b\\u{202e}\\u{a}");
    }

    #[test]
    fn cuts_between_characters_at_the_limit_exactly() {
        for (text, max, expected) in
            [("äöü", 4, "äöü"), ("äöü", 3, "äöü"), ("äöü", 2, "ä…"), ("äöü", 1, "…"), ("äöü", 0, "…"), ("", 0, "")]
        {
            assert_eq!(clip_chars(text, max), expected, "{text} at {max}");
        }
    }

    #[test]
    fn only_plain_web_addresses_become_links() {
        for (text, expected) in [
            ("https://runbooks.example/x?y=1", true),
            ("http://a", true),
            ("javascript:alert(1)", false),
            ("https://a\" onclick=\"x", false),
            ("https://a b", false),
            ("//a", false),
            ("", false),
        ] {
            assert_eq!(is_web_link(text), expected, "{text}");
        }
    }
}
