//! What can be said of an expression before anything is asked: that it is always true, never, or follows from another.
//!
//! All answers are careful: `None` and `false` mean that it cannot be told, and only a warning hangs on the others.

use std::collections::BTreeMap;

use super::check::Expr;
use super::parse::Comparison;
use super::subject::{AlertSubject, Field, Subject};
use super::{Expression, eval};
use crate::model::Labels;

impl Expression {
    /// What it comes to whatever it is asked about, if that can be told.
    #[must_use]
    pub fn verdict(&self) -> Option<bool> {
        verdict(&self.root)
    }

    /// Whether `other` is true wherever this one is, as far as that can be told.
    #[must_use]
    pub fn implies(&self, other: &Expression) -> bool {
        let (known, wanted) = (parts(&self.root), parts(&other.root));
        let printed: Vec<String> = known.iter().map(|part| print(part)).collect();
        let Some(bounds) = bounds(&known) else { return true };
        wanted.iter().all(|part| {
            let bounded = || {
                let (term, allowed) = bound(part)?;
                Some(bounds.get(&term)?.within(allowed))
            };
            verdict(part) == Some(true) || printed.contains(&print(part)) || bounded().unwrap_or(false)
        })
    }
}

/// A tree prints itself in full, so that equal prints are equal trees.
fn print(expr: &Expr) -> String {
    format!("{expr:?}")
}

/// The parts that must all be true.
fn parts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::And(list) => list.iter().flat_map(parts).collect(),
        other => vec![other],
    }
}

fn verdict(expr: &Expr) -> Option<bool> {
    match expr {
        Expr::Bool(value) => Some(*value),
        Expr::Not(inner) => verdict(inner).map(|value| !value),
        Expr::And(_) => {
            let list = parts(expr);
            let each: Vec<Option<bool>> = list.iter().map(|part| verdict(part)).collect();
            if each.contains(&Some(false)) || bounds(&list).is_none() {
                return Some(false);
            }
            each.iter().all(|it| *it == Some(true)).then_some(true)
        }
        Expr::Or(list) => {
            let each: Vec<Option<bool>> = list.iter().map(verdict).collect();
            if each.contains(&Some(true)) {
                return Some(true);
            }
            each.iter().all(|it| *it == Some(false)).then_some(false)
        }
        Expr::In(sides) if matches!(&sides[1], Expr::List(items) if items.is_empty()) => Some(false),
        other if asks_nothing(other) => {
            let nothing = Labels::default();
            let subject = Subject::Alert(AlertSubject { labels: &nothing, annotations: &nothing, source: "" });
            eval::truth(other, &subject).ok()
        }
        other => {
            let (term, allowed) = bound(other)?;
            let possible = term.possible;
            if possible.cut(allowed).is_empty() {
                return Some(false);
            }
            possible.within(allowed).then_some(true)
        }
    }
}

/// Whether an expression looks at nothing but itself.
fn asks_nothing(expr: &Expr) -> bool {
    let mut nothing = true;
    expr.visit(&mut |part| nothing &= !matches!(part, Expr::Field(_) | Expr::HasLabel(..) | Expr::LabelCount(_)));
    nothing
}

/// Whole numbers, or milliseconds, from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    least: i64,
    most: i64,
}

impl Span {
    const ANY: Span = Span { least: i64::MIN, most: i64::MAX };

    fn cut(self, other: Span) -> Span {
        Span { least: self.least.max(other.least), most: self.most.min(other.most) }
    }

    fn is_empty(self) -> bool {
        self.least > self.most
    }

    fn within(self, other: Span) -> bool {
        self.least >= other.least && self.most <= other.most
    }
}

/// What is compared with a number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Term {
    printed: String,
    possible: Span,
}

/// A comparison of something with a number: what, and what it must be.
fn bound(expr: &Expr) -> Option<(Term, Span)> {
    let Expr::Compare(comparison, sides) = expr else { return None };
    let number = |expr: &Expr| match expr {
        Expr::Int(value) => Some(*value),
        Expr::Length(length) => Some(length.0),
        _ => None,
    };
    let (term, comparison, number) = match (number(&sides[0]), number(&sides[1])) {
        (None, Some(right)) => (&sides[0], *comparison, right),
        (Some(left), None) => (&sides[1], turned(*comparison), left),
        _ => return None,
    };
    let allowed = match comparison {
        Comparison::Equal => Span { least: number, most: number },
        Comparison::NotEqual => return None,
        Comparison::Less => Span { most: number.checked_sub(1)?, ..Span::ANY },
        Comparison::LessOrEqual => Span { most: number, ..Span::ANY },
        Comparison::Greater => Span { least: number.checked_add(1)?, ..Span::ANY },
        Comparison::GreaterOrEqual => Span { least: number, ..Span::ANY },
    };
    let possible = match term {
        Expr::Field(Field::Priority) => Span { least: 1, most: 5 },
        // An incident has been opened by an alert.
        Expr::Field(Field::Count) => Span { least: 1, most: u32::MAX.into() },
        Expr::Field(Field::Distinct(_)) | Expr::Size(_) | Expr::LabelCount(_) => Span { least: 0, most: u32::MAX.into() },
        Expr::Field(Field::Age) => Span { least: 0, ..Span::ANY },
        // A text that is no number has no value at all, and what may have a fraction lies between two whole ones.
        _ => return None,
    };
    Some((Term { printed: print(term), possible }, allowed))
}

/// The same comparison seen from the other side.
fn turned(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        same => same,
    }
}

/// What each term can be when all parts are true; `None` where they leave one nothing.
fn bounds(parts: &[&Expr]) -> Option<BTreeMap<Term, Span>> {
    let mut all: BTreeMap<Term, Span> = BTreeMap::new();
    for (term, allowed) in parts.iter().filter_map(|part| bound(part)) {
        let possible = term.possible;
        let span = all.entry(term).or_insert(possible);
        *span = span.cut(allowed);
        if span.is_empty() {
            return None;
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruleset::expression::Sees;

    fn compile(text: &str) -> Expression {
        Expression::compile(text, Sees::Incident).unwrap_or_else(|faults| panic!("{text}: {faults:?}"))
    }

    #[test]
    fn some_expressions_are_decided_before_they_are_asked() {
        let cases = [
            ("false", Some(false)),
            ("!false", Some(true)),
            ("1 > 2", Some(false)),
            ("\"abc\".startsWith(\"a\")", Some(true)),
            ("incident.team in []", Some(false)),
            ("incident.priority < 1", Some(false)),
            ("1 <= incident.priority", Some(true)),
            ("incident.count == 0", Some(false)),
            ("incident.count > 3 && incident.count < 3", Some(false)),
            ("incident.count > 3 && incident.count < 5", None),
            ("incident.count > 3 || incident.count < 3", None),
            ("incident.age < duration(\"1m\") && incident.age > duration(\"2m\")", Some(false)),
            ("size(incident.services) < 0", Some(false)),
            ("incident.team == \"a\" && (false || 2 < 1)", Some(false)),
            ("incident.team == \"a\" || true", Some(true)),
            ("incident.team == \"a\"", None),
            ("incident.distinct(\"a\") > 3 && incident.distinct(\"b\") < 3", None),
        ];
        for (text, expected) in cases {
            assert_eq!(compile(text).verdict(), expected, "{text}");
        }
    }

    #[test]
    fn some_expressions_follow_from_others() {
        let cases = [
            ("incident.priority == 1", "incident.priority <= 2", true),
            ("incident.priority <= 2", "incident.priority == 1", false),
            ("incident.count > 9 && incident.team != \"a\"", "incident.count >= 5", true),
            ("incident.count > 9", "incident.count >= 5 && incident.team != \"a\"", false),
            ("incident.team.size() > 3", "incident.team.size() > 3", true),
            ("incident.team == \"a\"", "true", true),
            ("incident.priority == 1", "incident.count == 1", false),
        ];
        for (one, other, expected) in cases {
            assert_eq!(compile(one).implies(&compile(other)), expected, "{one} / {other}");
        }
    }
}
