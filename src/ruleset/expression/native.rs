//! As much of an expression as there is in matchers, so that an index finds the rule and an alert that it does not
//! concern costs nothing.
//!
//! A rule wants its expression to be true, and a conjunction is true when each of its parts is: so each part that one
//! matcher can say becomes one, and what remains is asked of the candidates only.
//!
//! For the stages that look at incidents the same is done with words of an incident in the place of labels
//! ([`IncidentSubject::words`]): there it only chooses the rules that are worth a look.

use std::borrow::Cow;

use super::Expression;
use super::check::Expr;
use super::parse::Comparison;
use super::subject::{Field, LabelSet, SERVED, common_word, service_word};
use crate::model::{MatchOp, Matcher};

/// What the value of one label must be.
enum Wanted {
    /// One of these.
    Literals(Vec<String>),
    /// What this expression matches as a whole, with `.` for any character.
    Pattern(String),
}

impl Expression {
    /// Cuts the expression of an alert stage into matchers and the rest, if there is any: it is true exactly when all
    /// matchers hold and the rest is true.
    #[must_use]
    pub fn into_matchers(self) -> (Vec<Matcher>, Option<Expression>) {
        let mut matchers: Vec<Matcher> = Vec::new();
        let mut rest: Vec<Expr> = Vec::new();
        let text = self.text;
        let mut open = vec![self.root];
        while let Some(part) = open.pop() {
            match part {
                Expr::And(parts) => open.extend(parts.into_iter().rev()),
                Expr::Bool(true) => {}
                part => match matcher(&part) {
                    Some(matcher) => matchers.push(matcher),
                    None => rest.push(part),
                },
            }
        }
        let rest = match rest.len() {
            0 => None,
            1 => rest.pop(),
            _ => Some(Expr::And(rest.into())),
        };
        (matchers, rest.map(|root| Expression { root, text }))
    }

    /// Matchers over an incident's [words](super::IncidentSubject::words) that all hold wherever the expression is true.
    #[must_use]
    pub fn word_matchers(&self) -> Vec<Matcher> {
        self.clone().into_matchers().0
    }
}

/// The matcher that says the same, if there is one.
fn matcher(part: &Expr) -> Option<Matcher> {
    let mut part = part;
    let mut negated = false;
    while let Expr::Not(inner) = part {
        (part, negated) = (inner, !negated);
    }
    if let Expr::Compare(Comparison::NotEqual, sides) = part {
        let (name, value) = label_and_text(&sides[0], &sides[1])?;
        return Matcher::new(&name, if negated { MatchOp::Equal } else { MatchOp::NotEqual }, value).ok();
    }
    if let Expr::HasLabel(set, name) = part
        && *set != LabelSet::Annotations
    {
        let Expr::Text(name) = &**name else { return None };
        let name = word(&set.field(name))?.into_owned();
        return Matcher::new(&name, if negated { MatchOp::Equal } else { MatchOp::NotEqual }, "").ok();
    }
    let (name, wanted) = wanted(part)?;
    let (op, value) = match wanted {
        Wanted::Literals(mut values) if values.len() == 1 => (MatchOp::Equal, values.pop()?),
        wanted => (MatchOp::Matches, wanted.pattern()),
    };
    let op = match (op, negated) {
        (op, false) => op,
        (MatchOp::Equal, true) => MatchOp::NotEqual,
        (_, true) => MatchOp::NotMatches,
    };
    // What is too large for a matcher stays an expression.
    Matcher::new(&name, op, &value).ok()
}

/// What a part without a negation wants of a label's value.
fn wanted(part: &Expr) -> Option<(Cow<'_, str>, Wanted)> {
    match part {
        Expr::Compare(Comparison::Equal, sides) => {
            let (name, value) = label_and_text(&sides[0], &sides[1])?;
            Some((name, Wanted::Literals(vec![value.to_owned()])))
        }
        Expr::In(sides) => {
            if let (Expr::Text(service), Expr::Field(Field::Services)) = (&sides[0], &sides[1]) {
                return Some((service_word(service).into(), Wanted::Literals(vec![SERVED.to_owned()])));
            }
            let Expr::List(items) = &sides[1] else { return None };
            let name = asked_word(&sides[0])?;
            let values: Option<Vec<String>> = items.iter().map(|item| literal(item).map(str::to_owned)).collect();
            Some((name, Wanted::Literals(values.filter(|values| !values.is_empty())?)))
        }
        Expr::StartsWith(sides) => {
            let (name, part) = asked(sides)?;
            Some((name, Wanted::Pattern(format!("{}.*", regex::escape(part)))))
        }
        Expr::EndsWith(sides) => {
            let (name, part) = asked(sides)?;
            Some((name, Wanted::Pattern(format!(".*{}", regex::escape(part)))))
        }
        Expr::Contains(sides) => {
            let (name, part) = asked(sides)?;
            Some((name, Wanted::Pattern(format!(".*{}.*", regex::escape(part)))))
        }
        Expr::Matches(inner, regex) => {
            let name = asked_word(inner)?;
            // It may match anywhere, and its own `.` takes no line end.
            Some((name, Wanted::Pattern(format!(".*(?-s:{}).*", regex.as_str()))))
        }
        Expr::Or(parts) => {
            let mut parts = parts.iter().map(wanted);
            let (name, mut all) = parts.next()??;
            for part in parts {
                let (other, more) = part?;
                if other != name {
                    return None;
                }
                all = all.or(more);
            }
            Some((name, all))
        }
        _ => None,
    }
}

impl Wanted {
    fn or(self, other: Wanted) -> Wanted {
        match (self, other) {
            (Wanted::Literals(mut values), Wanted::Literals(more)) => {
                values.extend(more);
                Wanted::Literals(values)
            }
            (one, other) => Wanted::Pattern(format!("(?:{})|(?:{})", one.pattern(), other.pattern())),
        }
    }

    /// As an expression. Literals stand bare, so that an index knows them for what they are.
    fn pattern(self) -> String {
        match self {
            Wanted::Literals(values) => values.iter().map(|value| regex::escape(value)).collect::<Vec<_>>().join("|"),
            Wanted::Pattern(pattern) => pattern,
        }
    }
}

/// A label and a text that are compared, in either order.
fn label_and_text<'a>(one: &'a Expr, other: &'a Expr) -> Option<(Cow<'a, str>, &'a str)> {
    match (one, other) {
        (Expr::Field(field), Expr::Text(value)) | (Expr::Text(value), Expr::Field(field)) => Some((word(field)?, value)),
        _ => None,
    }
}

/// The label that is asked, and the text that is asked for.
fn asked(sides: &[Expr; 2]) -> Option<(Cow<'_, str>, &str)> {
    Some((asked_word(&sides[0])?, literal(&sides[1])?))
}

fn asked_word(expr: &Expr) -> Option<Cow<'_, str>> {
    match expr {
        Expr::Field(field) => word(field),
        _ => None,
    }
}

/// The label of an alert, or the word of an incident, that a field stands for.
fn word(field: &Field) -> Option<Cow<'_, str>> {
    match field {
        Field::Label(name) => Some((&**name).into()),
        Field::Severity => Some("severity".into()),
        Field::Category => Some("category".into()),
        Field::Type => Some("type".into()),
        Field::Team => Some("team".into()),
        Field::CommonLabel(name) => Some(common_word(name).into()),
        _ => None,
    }
}

fn literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Text(text) => Some(text),
        _ => None,
    }
}
