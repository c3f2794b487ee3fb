//! A checked tree and a subject in, a value or a failure out.
//!
//! CEL's rules: `&&` and `||` take a failure on one side for nothing where the other side decides, everything else that
//! is asked of a failure fails, and of `? :` only the chosen side is looked at.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use super::check::Expr;
use super::parse::Comparison;
use super::subject::Subject;
use crate::model::Millis;

/// Why an expression is neither true nor false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// `int(…)` or `double(…)` of a text that is no number.
    NoNumber,
    /// A list has no item at that place.
    NoItem,
    /// Kinds of values that do not fit: the check lets no such expression pass.
    Kind,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::NoNumber => "the text is no number",
            Failure::NoItem => "the list has no such item",
            Failure::Kind => "the kinds of values do not fit",
        })
    }
}

/// A value while it is looked at.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(&'a str),
    Length(Millis),
    List(List<'a>),
}

/// A list where it lies.
#[derive(Clone, Copy)]
pub(super) enum List<'a> {
    Services(&'a [Arc<str>]),
    Written(&'a [Expr]),
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bool(value) => write!(f, "{value}"),
            Value::Int(value) => write!(f, "{value}"),
            Value::Double(value) => write!(f, "{value}"),
            Value::Text(text) => write!(f, "{text:?}"),
            Value::Length(length) => write!(f, "{length}"),
            Value::List(List::Services(names)) => write!(f, "{names:?}"),
            Value::List(List::Written(items)) => write!(f, "a list of {}", items.len()),
        }
    }
}

impl<'a> List<'a> {
    fn len(self) -> usize {
        match self {
            List::Services(names) => names.len(),
            List::Written(items) => items.len(),
        }
    }

    fn item(self, at: usize, subject: &Subject<'a>) -> Result<Value<'a>, Failure> {
        match self {
            List::Services(names) => names.get(at).map(|name| Value::Text(name)).ok_or(Failure::NoItem),
            List::Written(items) => value(items.get(at).ok_or(Failure::NoItem)?, subject),
        }
    }
}

/// The truth of an expression.
pub(super) fn truth(expr: &Expr, subject: &Subject<'_>) -> Result<bool, Failure> {
    match expr {
        Expr::Bool(value) => Ok(*value),
        Expr::Not(inner) => truth(inner, subject).map(|value| !value),
        Expr::And(parts) => decided(parts, subject, false),
        Expr::Or(parts) => decided(parts, subject, true),
        Expr::Compare(comparison, sides) => {
            let (left, right) = (value(&sides[0], subject)?, value(&sides[1], subject)?);
            compare(*comparison, left, right, subject)
        }
        Expr::In(sides) => contains(value(&sides[0], subject)?, list(&sides[1], subject)?, subject),
        Expr::HasLabel(set, name) => {
            let name = text(name, subject)?;
            subject.labels(*set).map(|labels| !labels.get(name).is_empty()).ok_or(Failure::Kind)
        }
        Expr::StartsWith(sides) => Ok(text(&sides[0], subject)?.starts_with(text(&sides[1], subject)?)),
        Expr::EndsWith(sides) => Ok(text(&sides[0], subject)?.ends_with(text(&sides[1], subject)?)),
        Expr::Contains(sides) => Ok(text(&sides[0], subject)?.contains(text(&sides[1], subject)?)),
        Expr::Matches(inner, regex) => Ok(regex.is_match(text(inner, subject)?)),
        Expr::Choice(parts) => truth(chosen(parts, subject)?, subject),
        Expr::Item(parts) => match item(parts, subject)? {
            Value::Bool(value) => Ok(value),
            _ => Err(Failure::Kind),
        },
        _ => Err(Failure::Kind),
    }
}

/// The first part that is `deciding` decides, whatever fails beside it.
fn decided(parts: &[Expr], subject: &Subject<'_>, deciding: bool) -> Result<bool, Failure> {
    let mut result = Ok(!deciding);
    for part in parts {
        match truth(part, subject) {
            Ok(value) if value == deciding => return Ok(deciding),
            Ok(_) => {}
            Err(failure) => result = result.and(Err(failure)),
        }
    }
    result
}

fn value<'a>(expr: &'a Expr, subject: &Subject<'a>) -> Result<Value<'a>, Failure> {
    Ok(match expr {
        Expr::Int(value) => Value::Int(*value),
        Expr::Double(value) => Value::Double(*value),
        Expr::Text(value) => Value::Text(value),
        Expr::Length(value) => Value::Length(*value),
        Expr::List(items) => {
            // A list with a failure in it is one, also where that item is not looked at.
            for item in items.iter().filter(|item| item.may_fail()) {
                value(item, subject)?;
            }
            Value::List(List::Written(items))
        }
        Expr::Field(field) => subject.value(field).ok_or(Failure::Kind)?,
        Expr::Size(inner) => Value::Int(length(inner, subject)?),
        Expr::LabelCount(set) => Value::Int(count(subject.labels(*set).ok_or(Failure::Kind)?.len())),
        Expr::Item(parts) => item(parts, subject)?,
        Expr::ToInt(inner) => Value::Int(text(inner, subject)?.parse().map_err(|_| Failure::NoNumber)?),
        Expr::ToDouble(inner) => {
            let number: f64 = text(inner, subject)?.parse().map_err(|_| Failure::NoNumber)?;
            // `inf` and `nan` are words of some number formats, and no measurements.
            Value::Double(Some(number).filter(|number| number.is_finite()).ok_or(Failure::NoNumber)?)
        }
        Expr::Choice(parts) => value(chosen(parts, subject)?, subject)?,
        _ => Value::Bool(truth(expr, subject)?),
    })
}

fn text<'a>(expr: &'a Expr, subject: &Subject<'a>) -> Result<&'a str, Failure> {
    match value(expr, subject)? {
        Value::Text(text) => Ok(text),
        _ => Err(Failure::Kind),
    }
}

fn list<'a>(expr: &'a Expr, subject: &Subject<'a>) -> Result<List<'a>, Failure> {
    match value(expr, subject)? {
        Value::List(list) => Ok(list),
        _ => Err(Failure::Kind),
    }
}

fn chosen<'a>(parts: &'a [Expr; 3], subject: &Subject<'_>) -> Result<&'a Expr, Failure> {
    Ok(if truth(&parts[0], subject)? { &parts[1] } else { &parts[2] })
}

fn item<'a>(parts: &'a [Expr; 2], subject: &Subject<'a>) -> Result<Value<'a>, Failure> {
    let list = list(&parts[0], subject)?;
    let Value::Int(at) = value(&parts[1], subject)? else { return Err(Failure::Kind) };
    list.item(usize::try_from(at).map_err(|_| Failure::NoItem)?, subject)
}

/// Characters of a text, items of a list.
fn length(expr: &Expr, subject: &Subject<'_>) -> Result<i64, Failure> {
    match value(expr, subject)? {
        Value::Text(text) => Ok(count(text.chars().count())),
        Value::List(list) => Ok(count(list.len())),
        _ => Err(Failure::Kind),
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn contains<'a>(wanted: Value<'a>, list: List<'a>, subject: &Subject<'a>) -> Result<bool, Failure> {
    for at in 0..list.len() {
        if equal(wanted, list.item(at, subject)?, subject)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn compare<'a>(comparison: Comparison, left: Value<'a>, right: Value<'a>, subject: &Subject<'a>) -> Result<bool, Failure> {
    Ok(match comparison {
        Comparison::Equal => equal(left, right, subject)?,
        Comparison::NotEqual => !equal(left, right, subject)?,
        Comparison::Less => order(left, right)?.is_lt(),
        Comparison::LessOrEqual => order(left, right)?.is_le(),
        Comparison::Greater => order(left, right)?.is_gt(),
        Comparison::GreaterOrEqual => order(left, right)?.is_ge(),
    })
}

fn equal<'a>(left: Value<'a>, right: Value<'a>, subject: &Subject<'a>) -> Result<bool, Failure> {
    let (Value::List(left), Value::List(right)) = (left, right) else { return Ok(order(left, right)?.is_eq()) };
    let mut same = left.len() == right.len();
    for at in 0..if same { left.len() } else { 0 } {
        same &= equal(left.item(at, subject)?, right.item(at, subject)?, subject)?;
    }
    Ok(same)
}

/// Texts by their characters' numbers, false before true, numbers by what they are worth.
fn order(left: Value<'_>, right: Value<'_>) -> Result<Ordering, Failure> {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => Ok(left.cmp(right)),
        (Value::Int(left), Value::Int(right)) => Ok(left.cmp(&right)),
        (Value::Bool(left), Value::Bool(right)) => Ok(left.cmp(&right)),
        (Value::Length(left), Value::Length(right)) => Ok(left.cmp(&right)),
        (Value::Double(left), Value::Double(right)) => left.partial_cmp(&right).ok_or(Failure::Kind),
        (Value::Int(left), Value::Double(right)) => Ok(order_mixed(left, right)),
        (Value::Double(left), Value::Int(right)) => Ok(order_mixed(right, left).reverse()),
        _ => Err(Failure::Kind),
    }
}

/// A whole number beside another, without rounding the first: 2^53 + 1 is more than 2^53.0.
fn order_mixed(whole: i64, other: f64) -> Ordering {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if other >= BEYOND {
        return Ordering::Less;
    }
    if other < -BEYOND {
        return Ordering::Greater;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "within the range of i64, as was just seen; the fraction is looked at below"
    )]
    let truncated = other.trunc() as i64;
    whole.cmp(&truncated).then(if other.fract() > 0.0 {
        Ordering::Less
    } else if other.fract() < 0.0 {
        Ordering::Greater
    } else {
        Ordering::Equal
    })
}
