//! The functions of expressions: which there are, what each takes, what it gives.

use std::ops::Range;

use super::check::{Checked, Checker, Expr, Scalar, Type};
use super::parse::{Kind, Tree, Word};
use super::subject::{Field, Sees};
use crate::model::Millis;
use crate::ruleset::diagnostics::Code;
use crate::ruleset::suggest::{listed, nearest};

/// One function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    StartsWith,
    EndsWith,
    Contains,
    Matches,
    Size,
    Distinct,
    Duration,
    Int,
    Double,
}

/// Called as `value.name(…)`.
const METHODS: [(&str, Function); 6] = [
    ("startsWith", Function::StartsWith),
    ("endsWith", Function::EndsWith),
    ("contains", Function::Contains),
    ("matches", Function::Matches),
    ("size", Function::Size),
    ("distinct", Function::Distinct),
];

/// Called as `name(…)`.
const FUNCTIONS: [(&str, Function); 5] = [
    ("size", Function::Size),
    ("matches", Function::Matches),
    ("duration", Function::Duration),
    ("int", Function::Int),
    ("double", Function::Double),
];

/// What CEL has and rules do without, and what to write instead.
const REFUSED: [(&[&str], &str); 3] = [
    (&["has"], "a missing label is the empty text: `labels.name != \"\"`, or `\"name\" in labels`"),
    (&["all", "exists", "exists_one", "existsOne", "map", "filter"], "expressions have no loops; `in` looks into a list"),
    (
        &["string", "bool", "bytes", "uint", "timestamp", "dyn", "type"],
        "values keep their kind; `int(…)` and `double(…)` make numbers of texts",
    ),
];

pub(super) fn method(name: &str) -> Option<Function> {
    METHODS.iter().find(|(known, _)| *known == name).map(|(_, function)| *function)
}

/// Checks a call.
pub(super) fn call(
    checker: &mut Checker,
    target: Option<&Tree>,
    word: &Word,
    arguments: &[Tree],
    span: &Range<usize>,
) -> Option<Checked> {
    let known: &[(&str, Function)] = if target.is_some() { &METHODS } else { &FUNCTIONS };
    let Some((_, function)) = known.iter().find(|(name, _)| *name == word.text) else {
        return unknown(checker, target.is_some(), word);
    };
    // `matches(text, regex)` is `text.matches(regex)`.
    let all: Vec<&Tree> = target.into_iter().chain(arguments).collect();
    match (function, &all[..]) {
        (Function::Distinct, [incident, label]) => distinct(checker, incident, label),
        (Function::Size, [value]) => size(checker, value),
        (Function::StartsWith, [text, part]) => Some((Expr::StartsWith(texts(checker, word, text, part)?), Type::BOOL)),
        (Function::EndsWith, [text, part]) => Some((Expr::EndsWith(texts(checker, word, text, part)?), Type::BOOL)),
        (Function::Contains, [text, part]) => Some((Expr::Contains(texts(checker, word, text, part)?), Type::BOOL)),
        (Function::Matches, [value, pattern]) => {
            let value = text(checker, word, value);
            let pattern_text = literal(checker, word, pattern, "labels.name.matches(\"^a.*\")")?;
            let regex = checker.regex(pattern_text, &pattern.span)?;
            Some((Expr::Matches(Box::new(value?), regex), Type::BOOL))
        }
        (Function::Duration, [length]) => {
            let written = literal(checker, word, length, "duration(\"10m\")")?;
            if let Some(length) = Millis::parse(written) {
                return Some((Expr::Length(length), Type::One(Scalar::Length)));
            }
            let hint = "write `30s`, `10m`, `1h30m` or `2d`; units are y w d h m s ms, the largest first";
            checker.fault(Code::Duration, &length.span, format!("`{written}` is no length of time"), hint)
        }
        (Function::Int, [value]) => Some((Expr::ToInt(Box::new(text(checker, word, value)?)), Type::INT)),
        (Function::Double, [value]) => Some((Expr::ToDouble(Box::new(text(checker, word, value)?)), Type::One(Scalar::Double))),
        _ => {
            let wanted = match function {
                Function::Matches if target.is_none() => 2,
                Function::Size if target.is_some() => 0,
                _ => 1,
            };
            let values = if wanted == 1 { "value" } else { "values" };
            let message = format!("`{}` takes {wanted} {values} in its parentheses, not {}", word.text, arguments.len());
            checker.fault(Code::ExpressionType, span, message, "")
        }
    }
}

fn unknown(checker: &mut Checker, is_method: bool, word: &Word) -> Option<Checked> {
    let name = &*word.text;
    let (known, others): (Vec<&str>, Vec<&str>) = {
        let (methods, functions) = (METHODS.map(|(name, _)| name).to_vec(), FUNCTIONS.map(|(name, _)| name).to_vec());
        if is_method { (methods, functions) } else { (functions, methods) }
    };
    let call = |name: &str, is_method: bool| if is_method { format!("value.{name}(…)") } else { format!("{name}(…)") };
    // `startswith` is one change away, `starts_with` is two.
    let hint = match nearest(name, &known) {
        _ if REFUSED.iter().any(|(names, _)| names.contains(&name)) => {
            REFUSED.iter().find(|(names, _)| names.contains(&name)).map_or("", |(_, hint)| hint).to_owned()
        }
        _ if others.contains(&name) => format!("it is called as `{}`", call(name, !is_method)),
        Some(near) => format!("did you mean `{}`?", call(near, is_method)),
        None => format!("there are {}", listed(&known)),
    };
    checker.fault(Code::ExpressionName, &word.span, format!("there is no function `{name}`"), hint)
}

fn distinct(checker: &mut Checker, incident: &Tree, label: &Tree) -> Option<Checked> {
    if !matches!(&incident.kind, Kind::Name(name) if name == "incident") || checker.sees == Sees::Alert {
        let message = "only `incident` counts the values of a label";
        return checker.fault(Code::ExpressionType, &incident.span, message, "write `incident.distinct(\"host\")`");
    }
    if let Kind::Text(name) = &label.kind {
        return Some((Expr::Field(Field::Distinct(name.as_str().into())), Type::INT));
    }
    let message = "`distinct` takes the name of a label, written out";
    checker.fault(Code::ExpressionType, &label.span, message, "write `incident.distinct(\"host\")`")
}

fn size(checker: &mut Checker, value: &Tree) -> Option<Checked> {
    let (expr, kind) = checker.part(value)?;
    match kind {
        // By itself a set of labels is how many there are.
        Type::Labels(_) => Some((expr, Type::INT)),
        Type::One(Scalar::Text) | Type::List(_) => Some((Expr::Size(Box::new(expr)), Type::INT)),
        Type::One(_) => checker.fault(
            Code::ExpressionType,
            &value.span,
            format!("{} has no size", kind.name()),
            "texts, lists and labels have one",
        ),
    }
}

/// The text that a function is asked of, and its argument.
fn texts(checker: &mut Checker, word: &Word, one: &Tree, other: &Tree) -> Option<Box<[Expr; 2]>> {
    let (one, other) = (text(checker, word, one), text(checker, word, other));
    Some(Box::new([one?, other?]))
}

/// A part that must be a text.
fn text(checker: &mut Checker, word: &Word, value: &Tree) -> Option<Expr> {
    let (expr, kind) = checker.part(value)?;
    if kind == Type::TEXT {
        return Some(expr);
    }
    let hint = match kind {
        Type::List(_) if word.text == "contains" => "whether a list has it is asked by `in`",
        _ => "",
    };
    checker.fault(Code::ExpressionType, &value.span, format!("`{}` wants a text, not {}", word.text, kind.name()), hint)
}

/// A text that must be written out, so that it can be checked when rules load.
fn literal<'t>(checker: &mut Checker, word: &Word, value: &'t Tree, example: &str) -> Option<&'t str> {
    if let Kind::Text(text) = &value.kind {
        return Some(text);
    }
    let message = format!("`{}` wants a text that is written out", word.text);
    checker.fault(Code::ExpressionType, &value.span, message, format!("as in `{example}`"))
}
