//! Conditions that matchers cannot say: `incident.team == "dba" && incident.priority <= 2`.
//!
//! Owns the language: the syntax and meaning of CEL without its loops and macros, so that whatever reads CEL reads these
//! rules. Text goes through four steps, a file each:
//!
//! | step | from | to |
//! | --- | --- | --- |
//! | [`lex`] | text | words with their places |
//! | [`parse`] | words | a tree with places |
//! | [`check`] | a tree | a tree that cannot go wrong by type, with regular expressions compiled; or every fault in it |
//! | [`eval`] | the checked tree and a [`Subject`] | true or false |
//!
//! [`native`] turns as much of a checked expression as it can into matchers, which an index finds. [`subject`] has the
//! fields, [`functions`] the functions. What each operator and function means is told, and played, in `tests/spec/expressions.md`.
//!
//! Never allocates to evaluate: texts are borrowed from the rule or from what is looked at, lists are walked in place. An
//! evaluation takes 30 to 200 ns, most of it to find labels by name.

mod check;
mod constant;
mod eval;
mod functions;
mod lex;
mod native;
mod parse;
mod subject;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use super::diagnostics::Code;
use check::Expr;

pub use eval::Failure;
pub use subject::{AlertSubject, IncidentSubject, Sees, Subject};

/// Bytes of one expression.
pub const EXPRESSION_BYTES_MAX: usize = 8 << 10;
/// Values, operators and calls of one expression.
pub const EXPRESSION_NODES_MAX: usize = 1_000;
/// How deep one expression nests, parentheses included.
pub const EXPRESSION_DEPTH_MAX: usize = 40;
/// Regular expressions in one expression; each is limited in itself, by [`matcher`](crate::model::matcher).
pub const EXPRESSION_REGEXES_MAX: usize = 32;

/// A condition of a rule, checked and ready.
#[derive(Clone, Debug)]
pub struct Expression {
    root: Expr,
    /// As it was written.
    text: Arc<str>,
}

/// What is wrong with the text of an expression, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub code: Code,
    /// Bytes of the text; empty where something is missing.
    pub span: Range<usize>,
    /// Lower case, without a full stop.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

impl Fault {
    fn new(code: Code, span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) -> Fault {
        Fault { code, span, message: message.into(), hint: hint.into() }
    }
}

impl Expression {
    /// Reads and checks an expression of a stage that sees these fields.
    ///
    /// # Errors
    /// The first fault of syntax, or every fault of names and types.
    pub fn compile(text: &str, sees: Sees) -> Result<Expression, Vec<Fault>> {
        if text.len() > EXPRESSION_BYTES_MAX {
            let message = format!("the expression has {} bytes, but at most {EXPRESSION_BYTES_MAX} are allowed", text.len());
            return Err(vec![Fault::new(Code::Limit, 0..text.len(), message, "make several rules of it")]);
        }
        let tree = parse::parse(text).map_err(|fault| vec![fault])?;
        Ok(Expression { root: check::check(&tree, sees)?, text: text.into() })
    }

    /// Whether it is true. One that fails (a number that is none, an item that is not there) is not true.
    #[must_use]
    pub fn holds(&self, subject: &Subject<'_>) -> bool {
        self.evaluate(subject) == Ok(true)
    }

    /// True, false, or why it is neither.
    ///
    /// # Errors
    /// What an operation asked for that is not there.
    pub fn evaluate(&self, subject: &Subject<'_>) -> Result<bool, Failure> {
        eval::truth(&self.root, subject)
    }

    /// The whole expression as it was written, also where matchers say a part of it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it looks at, each once, with its value here: `incident.team` and `"web"`.
    #[must_use]
    pub fn values(&self, subject: &Subject<'_>) -> Vec<(String, String)> {
        let mut found: Vec<(String, String)> = Vec::new();
        self.root.visit(&mut |part| {
            if let Expr::Field(field) = part
                && let Some(value) = subject.value(field)
                && found.iter().all(|(name, _)| *name != field.name())
            {
                found.push((field.name(), value.to_string()));
            }
        });
        found
    }

    /// The labels whose distinct values it counts.
    pub fn counted_labels(&self) -> impl Iterator<Item = &str> {
        let mut found = Vec::new();
        self.root.visit(&mut |part| {
            if let Expr::Field(subject::Field::Distinct(label)) = part {
                found.push(&**label);
            }
        });
        found.into_iter()
    }
}
