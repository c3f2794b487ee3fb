//! Text in, words with their places out: CEL's literals, names and signs.
//!
//! What CEL has and expressions of rules do not (bytes, unsigned numbers) is a fault that says so.

use std::ops::Range;

use super::Fault;
use crate::ruleset::diagnostics::Code;

/// One word of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    /// Without its sign.
    Int(u64),
    Double(f64),
    Text(String),
    /// An operator or a bracket.
    Sign(&'static str),
    End,
}

/// Longest first: `<=` is not `<` and `=`.
const SIGNS: [&str; 24] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", "[", "]", ",", ".", "?", ":", "-", "+", "*", "/", "%", "{", "}",
];

/// Signs that people write for others.
const MISTAKEN: [(&str, &str); 8] = [
    ("=~", "write `labels.name.matches(\"…\")`"),
    ("!~", "write `!labels.name.matches(\"…\")`"),
    ("=", "write `==`"),
    ("&", "write `&&`"),
    ("|", "write `||`"),
    ("“", "write plain quotes: \""),
    ("”", "write plain quotes: \""),
    ("`", "texts stand in \" or '"),
];

/// The words of a text, each with the bytes that it takes.
pub(super) fn lex(text: &str) -> Result<Vec<(Token, Range<usize>)>, Fault> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_space();
        let start = lexer.at;
        let token = lexer.token()?;
        let end = token == Token::End;
        tokens.push((token, start..lexer.at));
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn token(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        let rest = &self.text[start..];
        let Some(first) = rest.chars().next() else { return Ok(Token::End) };
        let digit_next = rest[first.len_utf8()..].starts_with(|c: char| c.is_ascii_digit());
        if first.is_ascii_digit() || (first == '.' && digit_next) {
            return self.number();
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let word = run(rest, |c| c.is_ascii_alphanumeric() || c == '_');
            if rest[word.len()..].starts_with(['"', '\'']) {
                return self.prefixed(word);
            }
            self.at += word.len();
            return Ok(Token::Name(word.to_owned()));
        }
        if first == '"' || first == '\'' {
            return self.quoted(false);
        }
        if !rest.starts_with("!~")
            && let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign))
        {
            self.at += sign.len();
            return Ok(Token::Sign(sign));
        }
        let hint = MISTAKEN.iter().find(|(sign, _)| rest.starts_with(sign));
        let (sign, hint) = hint.map_or((&rest[..first.len_utf8()], ""), |(sign, hint)| (sign, hint));
        Err(syntax(start..start + sign.len(), format!("`{sign}` means nothing in an expression"), hint))
    }

    fn number(&mut self) -> Result<Token, Fault> {
        let (start, rest) = (self.at, &self.text[self.at..]);
        // Everything that is stuck to the number: `5m` is told of as a whole.
        let mut length = 0;
        while let Some(c) = rest[length..].chars().next() {
            let signed_exponent = (c == '-' || c == '+') && rest[..length].ends_with(['e', 'E']) && !rest.starts_with("0x");
            let fraction = c == '.' && rest[length + 1..].starts_with(|c: char| c.is_ascii_digit());
            if !(c.is_ascii_alphanumeric() || c == '_' || fraction || signed_exponent) {
                break;
            }
            length += c.len_utf8();
        }
        let word = &rest[..length];
        self.at += length;
        let number = if let Some(hex) = word.strip_prefix("0x").or(word.strip_prefix("0X")) {
            u64::from_str_radix(hex, 16).ok().map(Token::Int)
        } else if word.bytes().all(|b| b.is_ascii_digit()) {
            word.parse().ok().map(Token::Int)
        } else if word.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b)) {
            word.parse().ok().filter(|number: &f64| number.is_finite()).map(Token::Double)
        } else {
            None
        };
        number.ok_or_else(|| {
            let unit = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
            let hint = match unit {
                "" if !word.contains('.') => "it is larger than any number here can be".to_owned(),
                "u" | "U" => "whole numbers are written without `u`".to_owned(),
                "ms" | "s" | "m" | "h" | "d" | "w" | "y" => format!("a length of time is written `duration(\"{word}\")`"),
                _ => String::new(),
            };
            syntax(start..self.at, format!("`{word}` is no number"), hint)
        })
    }

    /// A text with letters before its quote.
    fn prefixed(&mut self, prefix: &str) -> Result<Token, Fault> {
        let start = self.at;
        self.at += prefix.len();
        match prefix {
            "r" | "R" => self.quoted(true),
            _ if prefix.eq_ignore_ascii_case("b") || prefix.eq_ignore_ascii_case("br") || prefix.eq_ignore_ascii_case("rb") => {
                Err(syntax(start..self.at, "there are no bytes in expressions", "leave the `b` out: all values are texts"))
            }
            _ => Err(syntax(start..self.at, format!("`{prefix}` stands before a quote"), "only `r` may, for a raw text")),
        }
    }

    /// A text in quotes, one or three. In a raw one a backslash is a backslash.
    fn quoted(&mut self, raw: bool) -> Result<Token, Fault> {
        let start = self.at;
        let one = &self.text[start..=start];
        let three = self.text[start..].get(..3).filter(|three| three.chars().all(|c| one.starts_with(c)));
        let quote = three.unwrap_or(one);
        self.at += quote.len();
        let mut value = String::new();
        loop {
            let rest = &self.text[self.at..];
            if rest.starts_with(quote) {
                self.at += quote.len();
                return Ok(Token::Text(value));
            }
            match rest.chars().next() {
                Some('\\') if !raw => value.push(self.escape()?),
                // A raw text may hold no unescaped quote either: there is no way to tell it from the end.
                Some(c) if c != '\n' || quote.len() == 3 => {
                    value.push(c);
                    self.at += c.len_utf8();
                }
                _ => {
                    let hint = if rest.is_empty() { "" } else { "a text over several lines stands in \"\"\"" };
                    return Err(syntax(start..self.at, "the closing quote is missing", hint));
                }
            }
        }
    }

    /// A backslash and what it stands for.
    fn escape(&mut self) -> Result<char, Fault> {
        let start = self.at;
        let code = self.text[start + 1..].chars().next();
        self.at += 1 + code.map_or(0, char::len_utf8);
        let digits = match code {
            Some('a') => return Ok('\u{7}'),
            Some('b') => return Ok('\u{8}'),
            Some('f') => return Ok('\u{c}'),
            Some('n') => return Ok('\n'),
            Some('r') => return Ok('\r'),
            Some('t') => return Ok('\t'),
            Some('v') => return Ok('\u{b}'),
            Some(c @ ('\\' | '?' | '"' | '\'' | '`')) => return Ok(c),
            Some('x' | 'X') => 2,
            Some('u') => 4,
            Some('U') => 8,
            // Octal: the first digit belongs to the number.
            Some('0'..='3') => {
                self.at -= 1;
                3
            }
            _ => 0,
        };
        let radix = if digits == 3 { 8 } else { 16 };
        let number = self.text[self.at..].get(..digits).filter(|text| digits > 0 && text.chars().all(|c| c.is_digit(radix)));
        let escaped = number.and_then(|text| char::from_u32(u32::from_str_radix(text, radix).ok()?));
        if let Some(c) = escaped {
            self.at += digits;
            return Ok(c);
        }
        let escape = &self.text[start..self.at];
        let hint = "a backslash itself is written `\\\\`; in a raw text it is nothing special: r\"\\d+\"";
        Err(syntax(start..self.at, format!("`{escape}` is no escape that is known"), hint))
    }

    /// White space, and comments to the end of their line.
    fn skip_space(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let space = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']).len();
            self.at += space;
            if !self.text[self.at..].starts_with("//") {
                return;
            }
            let line = self.text[self.at..].find('\n').unwrap_or(self.text.len() - self.at);
            self.at += line;
        }
    }
}

fn run(text: &str, accept: impl Fn(char) -> bool) -> &str {
    &text[..text.find(|c| !accept(c)).unwrap_or(text.len())]
}

fn syntax(span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) -> Fault {
    Fault::new(Code::Expression, span, message, hint)
}
