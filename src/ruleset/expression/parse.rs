//! Words in, a tree with places out, by CEL's grammar: `? :` binds loosest, then `||`, `&&`, comparisons and `in` (from
//! the left), `!`, and last `.`, calls and `[…]`.
//!
//! Never gives a name a meaning. Stops at the first fault: what follows one is guesswork.

use std::ops::Range;

use super::lex::{Token, lex};
use super::{EXPRESSION_DEPTH_MAX, EXPRESSION_NODES_MAX, Fault};
use crate::ruleset::diagnostics::Code;

/// One part of an expression and where it stands.
#[derive(Debug)]
pub(super) struct Tree {
    pub span: Range<usize>,
    pub kind: Kind,
    /// Levels from here down to the deepest leaf.
    depth: usize,
}

#[derive(Debug)]
pub(super) enum Kind {
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    List(Vec<Tree>),
    Name(String),
    /// `value.word`
    Select(Box<Tree>, Word),
    /// `value[key]`
    Index(Box<[Tree; 2]>),
    /// `word(…)`, or `value.word(…)`
    Call(Option<Box<Tree>>, Word, Vec<Tree>),
    Not(Box<Tree>),
    /// Two or more.
    And(Vec<Tree>),
    /// Two or more.
    Or(Vec<Tree>),
    Compare(Comparison, Box<[Tree; 2]>),
    In(Box<[Tree; 2]>),
    /// `condition ? one : other`
    Choice(Box<[Tree; 3]>),
}

/// A field's or a function's name.
#[derive(Debug)]
pub(super) struct Word {
    pub text: String,
    pub span: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    const ALL: [(&'static str, Comparison); 6] = [
        ("==", Comparison::Equal),
        ("!=", Comparison::NotEqual),
        ("<", Comparison::Less),
        ("<=", Comparison::LessOrEqual),
        (">", Comparison::Greater),
        (">=", Comparison::GreaterOrEqual),
    ];

    /// Whether it is `==` or `!=`.
    pub(super) fn is_equality(self) -> bool {
        matches!(self, Comparison::Equal | Comparison::NotEqual)
    }
}

enum Relation {
    Compare(Comparison),
    In,
}

/// The tree of a text.
pub(super) fn parse(text: &str) -> Result<Tree, Fault> {
    let mut parser = Parser { tokens: lex(text)?, at: 0, nodes: 0, open: 0 };
    let tree = parser.choice()?;
    match parser.peek() {
        Token::End => Ok(tree),
        _ => Err(parser.unexpected("an operator or the end")),
    }
}

struct Parser {
    /// Ends with [`Token::End`].
    tokens: Vec<(Token, Range<usize>)>,
    at: usize,
    nodes: usize,
    /// Brackets that are open.
    open: usize,
}

impl Parser {
    fn choice(&mut self) -> Result<Tree, Fault> {
        let condition = self.or()?;
        if !self.take("?") {
            return Ok(condition);
        }
        let one = self.or()?;
        self.want(":", "`:` and the other value")?;
        let other = self.inside(Parser::choice)?;
        let span = condition.span.start..other.span.end;
        let depth = condition.depth.max(one.depth).max(other.depth);
        self.node(span, depth, Kind::Choice(Box::new([condition, one, other])))
    }

    fn or(&mut self) -> Result<Tree, Fault> {
        self.chain("||", Parser::and, Kind::Or)
    }

    fn and(&mut self) -> Result<Tree, Fault> {
        self.chain("&&", Parser::relation, Kind::And)
    }

    /// Parts with one sign between, as one node: a long chain is not a deep one.
    fn chain(
        &mut self,
        sign: &'static str,
        part: fn(&mut Parser) -> Result<Tree, Fault>,
        kind: fn(Vec<Tree>) -> Kind,
    ) -> Result<Tree, Fault> {
        let first = part(self)?;
        if *self.peek() != Token::Sign(sign) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.take(sign) {
            parts.push(part(self)?);
        }
        let span = parts[0].span.start..parts[parts.len() - 1].span.end;
        let depth = deepest(&parts);
        self.node(span, depth, kind(parts))
    }

    fn relation(&mut self) -> Result<Tree, Fault> {
        let mut left = self.unary()?;
        while let Some(relation) = self.relation_sign() {
            self.at += 1;
            let right = self.unary()?;
            let (span, depth) = (left.span.start..right.span.end, left.depth.max(right.depth));
            let sides = Box::new([left, right]);
            let kind = match relation {
                Relation::Compare(comparison) => Kind::Compare(comparison, sides),
                Relation::In => Kind::In(sides),
            };
            left = self.node(span, depth, kind)?;
        }
        Ok(left)
    }

    /// The relation whose sign stands here.
    fn relation_sign(&self) -> Option<Relation> {
        match self.peek() {
            Token::Sign(sign) => Comparison::ALL.iter().find(|(known, _)| known == sign).map(|(_, it)| Relation::Compare(*it)),
            Token::Name(name) if name == "in" => Some(Relation::In),
            _ => None,
        }
    }

    fn unary(&mut self) -> Result<Tree, Fault> {
        let start = self.span().start;
        let mut signs = 0;
        while self.take("!") {
            signs += 1;
        }
        let mut value = self.member()?;
        // Of a row of them only whether it is odd counts, and that what follows must be a truth value: two at most stay.
        for _ in 0..if signs > 2 { 2 - signs % 2 } else { signs } {
            let (span, depth) = (start..value.span.end, value.depth);
            value = self.node(span, depth, Kind::Not(Box::new(value)))?;
        }
        Ok(value)
    }

    fn member(&mut self) -> Result<Tree, Fault> {
        let mut value = self.primary()?;
        loop {
            let (start, depth) = (value.span.start, value.depth);
            if self.take(".") {
                let word = self.word()?;
                if self.take("(") {
                    let (arguments, end) = self.list(")")?;
                    let depth = depth.max(deepest(&arguments));
                    value = self.node(start..end, depth, Kind::Call(Some(Box::new(value)), word, arguments))?;
                } else {
                    value = self.node(start..word.span.end, depth, Kind::Select(Box::new(value), word))?;
                }
            } else if self.take("[") {
                let key = self.inside(Parser::choice)?;
                let end = self.want("]", "`]`")?;
                let depth = depth.max(key.depth);
                value = self.node(start..end, depth, Kind::Index(Box::new([value, key])))?;
            } else {
                return Ok(value);
            }
        }
    }

    /// What stands behind a dot.
    fn word(&mut self) -> Result<Word, Fault> {
        match self.peek().clone() {
            Token::Name(text) if !["in", "true", "false", "null"].contains(&&*text) => {
                let span = self.span();
                self.at += 1;
                Ok(Word { text, span })
            }
            _ => Err(self.unexpected("a name after the dot")),
        }
    }

    fn primary(&mut self) -> Result<Tree, Fault> {
        let span = self.span();
        let kind = match self.peek().clone() {
            Token::Name(name) => match &*name {
                "true" => Kind::Bool(true),
                "false" => Kind::Bool(false),
                "null" => return Err(syntax(span, "there is no `null`", "what is missing is the empty text: `== \"\"`")),
                "in" => return Err(self.unexpected("a value")),
                _ => {
                    self.at += 1;
                    if !self.take("(") {
                        return self.node(span, 0, Kind::Name(name));
                    }
                    let (arguments, end) = self.list(")")?;
                    let (start, depth) = (span.start, deepest(&arguments));
                    return self.node(start..end, depth, Kind::Call(None, Word { text: name, span }, arguments));
                }
            },
            Token::Int(number) => match i64::try_from(number) {
                Ok(number) => Kind::Int(number),
                Err(_) => return Err(too_large(span, number)),
            },
            Token::Double(number) => Kind::Double(number),
            Token::Text(text) => Kind::Text(text),
            Token::Sign("-") => return self.negative(),
            Token::Sign("(") => {
                self.at += 1;
                let inner = self.inside(Parser::choice)?;
                let end = self.want(")", "`)`")?;
                // Faults underline the parentheses, too.
                return Ok(Tree { span: span.start..end, ..inner });
            }
            Token::Sign("[") => {
                self.at += 1;
                let (items, end) = self.list("]")?;
                let depth = deepest(&items);
                return self.node(span.start..end, depth, Kind::List(items));
            }
            Token::Sign("{") => return Err(syntax(span, "there are no maps in expressions", "a list is written `[…]`")),
            _ => return Err(self.unexpected("a value")),
        };
        self.at += 1;
        self.node(span, 0, kind)
    }

    /// A minus sign: part of the number that follows it.
    fn negative(&mut self) -> Result<Tree, Fault> {
        let start = self.span().start;
        self.at += 1;
        let span = start..self.span().end;
        let kind = match *self.peek() {
            Token::Int(number) => match 0i64.checked_sub_unsigned(number) {
                Some(number) => Kind::Int(number),
                None => return Err(too_large(span, number)),
            },
            Token::Double(number) => Kind::Double(-number),
            _ => return Err(arithmetic(start..start + 1, "-")),
        };
        self.at += 1;
        self.node(span, 0, kind)
    }

    /// What stands between brackets, with commas; and where the closing one ends. A comma may stand last in a list.
    fn list(&mut self, closing: &'static str) -> Result<(Vec<Tree>, usize), Fault> {
        let mut items = Vec::new();
        while *self.peek() != Token::Sign(closing) {
            items.push(self.inside(Parser::choice)?);
            if !self.take(",") {
                break;
            }
            if closing == ")" && *self.peek() == Token::Sign(")") {
                return Err(self.unexpected("a value"));
            }
        }
        let end = self.want(closing, if closing == ")" { "a comma or `)`" } else { "a comma or `]`" })?;
        Ok((items, end))
    }

    /// Parses inside of a bracket. Nothing may nest so deep that reading it takes more than a little of the stack.
    fn inside(&mut self, parse: fn(&mut Parser) -> Result<Tree, Fault>) -> Result<Tree, Fault> {
        if self.open >= EXPRESSION_DEPTH_MAX {
            return Err(too_deep(self.span()));
        }
        self.open += 1;
        let tree = parse(self);
        self.open -= 1;
        tree
    }

    /// A node above others of which the deepest is `depth` levels deep.
    fn node(&mut self, span: Range<usize>, depth: usize, kind: Kind) -> Result<Tree, Fault> {
        self.nodes += 1;
        if self.nodes > EXPRESSION_NODES_MAX {
            let message = format!("the expression has more than {EXPRESSION_NODES_MAX} values, operators and calls");
            return Err(Fault::new(Code::Limit, span, message, "make several rules of it"));
        }
        if depth >= EXPRESSION_DEPTH_MAX {
            return Err(too_deep(span));
        }
        Ok(Tree { span, kind, depth: depth + 1 })
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.at].0
    }

    fn span(&self) -> Range<usize> {
        self.tokens[self.at].1.clone()
    }

    fn take(&mut self, sign: &str) -> bool {
        let there = matches!(self.peek(), Token::Sign(present) if *present == sign);
        self.at += usize::from(there);
        there
    }

    /// Takes a sign that must be here; where it ends.
    fn want(&mut self, sign: &str, expected: &str) -> Result<usize, Fault> {
        let end = self.span().end;
        if self.take(sign) { Ok(end) } else { Err(self.unexpected(expected)) }
    }

    fn unexpected(&self, expected: &str) -> Fault {
        let span = self.span();
        let (found, hint) = match self.peek() {
            Token::End => ("it ends here".to_owned(), ""),
            Token::Sign(sign @ ("+" | "-" | "*" | "/" | "%")) => return arithmetic(span, sign),
            Token::Sign(sign) => (format!("found `{sign}`"), ""),
            Token::Name(name) => {
                let hint = match &*name.to_ascii_lowercase() {
                    "and" => "write `&&`",
                    "or" => "write `||`",
                    "not" => "write `!`",
                    _ => "",
                };
                (format!("found `{name}`"), hint)
            }
            Token::Text(_) => ("found a text".to_owned(), ""),
            Token::Int(_) | Token::Double(_) => ("found a number".to_owned(), ""),
        };
        syntax(span, format!("expected {expected}, but {found}"), hint)
    }
}

fn deepest(trees: &[Tree]) -> usize {
    trees.iter().map(|tree| tree.depth).max().unwrap_or(0)
}

fn syntax(span: Range<usize>, message: impl Into<String>, hint: &str) -> Fault {
    Fault::new(Code::Expression, span, message, hint)
}

fn arithmetic(span: Range<usize>, sign: &str) -> Fault {
    let hint = "expressions compare and do not reckon; a label with a `-` in its name is `labels[\"a-b\"]`";
    syntax(span, format!("`{sign}` is not known in expressions"), hint)
}

fn too_large(span: Range<usize>, number: u64) -> Fault {
    syntax(span, format!("`{number}` is larger than any number here can be"), "")
}

fn too_deep(span: Range<usize>) -> Fault {
    let message = format!("the expression nests more than {EXPRESSION_DEPTH_MAX} levels deep");
    Fault::new(Code::Limit, span, message, "")
}
