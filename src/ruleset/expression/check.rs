//! A tree in, a tree that cannot go wrong by type out, or every fault of names and types.
//!
//! A fault in one part hides none in another: a part whose kind is not known is let pass wherever it stands.

use std::ops::Range;
use std::sync::Arc;

use regex::Regex;

use super::functions;
use super::parse::{Comparison, Kind, Tree, Word};
use super::subject::{Field, LabelSet, Sees};
use super::{EXPRESSION_REGEXES_MAX, Fault};
use crate::model::incident::IncidentType;
use crate::model::{Millis, Severity};
use crate::ruleset::diagnostics::Code;
use crate::ruleset::suggest::{listed, nearest};

/// A checked expression.
#[derive(Clone, Debug)]
pub(super) enum Expr {
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Arc<str>),
    Length(Millis),
    List(Box<[Expr]>),
    Field(Field),
    Not(Box<Expr>),
    And(Box<[Expr]>),
    Or(Box<[Expr]>),
    Compare(Comparison, Box<[Expr; 2]>),
    /// Whether a list has an item.
    In(Box<[Expr; 2]>),
    /// Whether a label is there.
    HasLabel(LabelSet, Box<Expr>),
    StartsWith(Box<[Expr; 2]>),
    EndsWith(Box<[Expr; 2]>),
    Contains(Box<[Expr; 2]>),
    Matches(Box<Expr>, Regex),
    /// Characters of a text, items of a list.
    Size(Box<Expr>),
    LabelCount(LabelSet),
    /// A list's item.
    Item(Box<[Expr; 2]>),
    ToInt(Box<Expr>),
    ToDouble(Box<Expr>),
    /// Condition, one, other.
    Choice(Box<[Expr; 3]>),
}

impl Expr {
    /// Looks at this part and at all below it.
    pub(super) fn visit<'a>(&'a self, look: &mut impl FnMut(&'a Expr)) {
        look(self);
        let parts: &[Expr] = match self {
            Expr::List(parts) | Expr::And(parts) | Expr::Or(parts) => parts,
            Expr::Compare(_, parts)
            | Expr::In(parts)
            | Expr::StartsWith(parts)
            | Expr::EndsWith(parts)
            | Expr::Contains(parts)
            | Expr::Item(parts) => &**parts,
            Expr::Choice(parts) => &**parts,
            Expr::Not(part)
            | Expr::HasLabel(_, part)
            | Expr::Matches(part, _)
            | Expr::Size(part)
            | Expr::ToInt(part)
            | Expr::ToDouble(part) => std::slice::from_ref(&**part),
            _ => &[],
        };
        for part in parts {
            part.visit(look);
        }
    }

    /// Whether it may fail when it is evaluated.
    pub(super) fn may_fail(&self) -> bool {
        match self {
            // Most items of lists are these.
            Expr::Text(_) | Expr::Int(_) | Expr::Field(_) => false,
            _ => {
                let mut may = false;
                self.visit(&mut |part| may |= matches!(part, Expr::Item(_) | Expr::ToInt(_) | Expr::ToDouble(_)));
                may
            }
        }
    }
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    One(Scalar),
    /// Of an empty list nobody knows what its items would be.
    List(Option<Scalar>),
    Labels(LabelSet),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Bool,
    Int,
    Double,
    Text,
    Length,
}

impl Type {
    pub(super) const BOOL: Type = Type::One(Scalar::Bool);
    pub(super) const INT: Type = Type::One(Scalar::Int);
    pub(super) const TEXT: Type = Type::One(Scalar::Text);

    /// In words, with the article.
    pub(super) fn name(self) -> &'static str {
        match self {
            Type::One(Scalar::Bool) => "a truth value",
            Type::One(Scalar::Int) => "a whole number",
            Type::One(Scalar::Double) => "a number with a fraction",
            Type::One(Scalar::Text) => "a text",
            Type::One(Scalar::Length) => "a length of time",
            Type::List(None) => "an empty list",
            Type::List(Some(Scalar::Text)) => "a list of texts",
            Type::List(Some(Scalar::Bool)) => "a list of truth values",
            Type::List(Some(Scalar::Int | Scalar::Double)) => "a list of numbers",
            Type::List(Some(Scalar::Length)) => "a list of lengths of time",
            Type::Labels(LabelSet::Annotations) => "a set of annotations",
            Type::Labels(_) => "a set of labels",
        }
    }
}

/// A checked part: what it is, and what kind of value it gives.
pub(super) type Checked = (Expr, Type);

/// Checks the whole of an expression, which must be a truth value.
pub(super) fn check(tree: &Tree, sees: Sees) -> Result<Expr, Vec<Fault>> {
    let mut checker = Checker { sees, faults: Vec::new(), regexes: 0 };
    match checker.truth(tree) {
        Some(expr) if checker.faults.is_empty() => Ok(expr),
        _ => Err(checker.faults),
    }
}

pub(super) struct Checker {
    pub(super) sees: Sees,
    faults: Vec<Fault>,
    regexes: usize,
}

impl Checker {
    /// A part that must be a truth value.
    fn truth(&mut self, tree: &Tree) -> Option<Expr> {
        let hint = |kind| match kind {
            Type::One(Scalar::Text) => "compare it: `… == \"…\"`",
            Type::One(Scalar::Int | Scalar::Double) => "compare it: `… > 0`",
            _ => "",
        };
        let (expr, kind) = self.part(tree)?;
        if kind != Type::BOOL {
            return self.fault(
                Code::ExpressionType,
                &tree.span,
                format!("{} is neither true nor false", kind.name()),
                hint(kind),
            );
        }
        Some(expr)
    }

    /// Checks one part; `None` where it has a fault, which is noted.
    pub(super) fn part(&mut self, tree: &Tree) -> Option<Checked> {
        match &tree.kind {
            Kind::Bool(value) => Some((Expr::Bool(*value), Type::BOOL)),
            Kind::Int(value) => Some((Expr::Int(*value), Type::INT)),
            Kind::Double(value) => Some((Expr::Double(*value), Type::One(Scalar::Double))),
            Kind::Text(value) => Some((Expr::Text(value.as_str().into()), Type::TEXT)),
            Kind::List(items) => self.list(items),
            Kind::Name(name) => self.name(name, &tree.span),
            Kind::Select(base, word) => self.select(base, word),
            Kind::Index(parts) => self.index(&parts[0], &parts[1]),
            Kind::Call(target, word, arguments) => functions::call(self, target.as_deref(), word, arguments, &tree.span),
            Kind::Not(inner) => Some((Expr::Not(Box::new(self.truth(inner)?)), Type::BOOL)),
            Kind::And(parts) => Some((Expr::And(self.truths(parts)?), Type::BOOL)),
            Kind::Or(parts) => Some((Expr::Or(self.truths(parts)?), Type::BOOL)),
            Kind::Compare(comparison, sides) => self.compare(*comparison, sides, &tree.span),
            Kind::In(sides) => self.is_in(sides),
            Kind::Choice(parts) => self.choice(parts),
        }
    }

    fn truths(&mut self, parts: &[Tree]) -> Option<Box<[Expr]>> {
        let checked: Vec<Option<Expr>> = parts.iter().map(|part| self.truth(part)).collect();
        checked.into_iter().collect()
    }

    fn list(&mut self, items: &[Tree]) -> Option<Checked> {
        let checked: Vec<Option<Checked>> = items.iter().map(|item| self.part(item)).collect();
        let mut of: Option<Scalar> = None;
        let mut list = Vec::new();
        for (item, checked) in items.iter().zip(checked) {
            let (expr, kind) = checked?;
            let Type::One(scalar) = kind else {
                return self.fault(Code::ExpressionType, &item.span, format!("{} inside of a list", kind.name()), "");
            };
            if let Some(first) = of.filter(|first| *first != scalar) {
                let message = format!("{} in {}", kind.name(), Type::List(Some(first)).name());
                return self.fault(Code::ExpressionType, &item.span, message, "all items of a list are of one kind");
            }
            of = Some(scalar);
            list.push(expr);
        }
        Some((Expr::List(list.into()), Type::List(of)))
    }

    fn name(&mut self, name: &str, span: &Range<usize>) -> Option<Checked> {
        let of_alert = self.sees == Sees::Alert;
        match name {
            "labels" if of_alert => return Some(labels(LabelSet::Labels)),
            "annotations" if of_alert => return Some(labels(LabelSet::Annotations)),
            "source" if of_alert => return Some((Expr::Field(Field::Source), Type::TEXT)),
            "incident" if !of_alert => {
                let hint = format!("name one of its fields: {}", listed(self.sees.incident_fields()));
                return self.fault(Code::ExpressionType, span, "`incident` is no value by itself", hint);
            }
            _ => {}
        }
        let hint = if of_alert {
            match nearest(name, &["labels", "annotations", "source"]) {
                _ if name == "incident" => {
                    "an alert is in no incident yet: there are `labels`, `annotations` and `source`".to_owned()
                }
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are `labels`, `annotations` and `source`; a label is `labels.{name}`"),
            }
        } else {
            match nearest(name, self.sees.incident_fields()) {
                _ if name == "labels" => "`incident.labels` has the labels that all alerts of the incident share".to_owned(),
                _ if nearest(name, &["incident"]).is_some() => "did you mean `incident`?".to_owned(),
                Some(near) => format!("did you mean `incident.{near}`?"),
                None => "there is `incident`, and nothing else".to_owned(),
            }
        };
        self.fault(Code::ExpressionName, span, format!("`{name}` is not known here"), hint)
    }

    fn select(&mut self, base: &Tree, word: &Word) -> Option<Checked> {
        if matches!(&base.kind, Kind::Name(name) if name == "incident") && self.sees != Sees::Alert {
            return self.incident_field(word);
        }
        let (_, kind) = self.part(base)?;
        if let Type::Labels(set) = kind {
            return Some((Expr::Field(set.field(&word.text)), Type::TEXT));
        }
        let message = format!("{} has no field `{}`", kind.name(), word.text);
        let hint = match functions::method(&word.text) {
            Some(_) => format!("a call has parentheses: `.{}(…)`", word.text),
            None => String::new(),
        };
        self.fault(Code::ExpressionName, &word.span, message, hint)
    }

    fn incident_field(&mut self, word: &Word) -> Option<Checked> {
        let known = self.sees.incident_fields();
        let field = match &*word.text {
            name if !known.contains(&name) => {
                let all = Sees::Incident.incident_fields();
                let hint = match nearest(name, known) {
                    _ if all.contains(&name) => format!("it is decided later; at this stage there are {}", listed(known)),
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("it has {}", listed(known)),
                };
                return self.fault(Code::ExpressionName, &word.span, format!("`incident` has no `{name}` here"), hint);
            }
            "labels" => return Some(labels(LabelSet::CommonLabels)),
            "count" => (Field::Count, Type::INT),
            "severity" => (Field::Severity, Type::TEXT),
            "services" => (Field::Services, Type::List(Some(Scalar::Text))),
            "category" => (Field::Category, Type::TEXT),
            "team" => (Field::Team, Type::TEXT),
            "priority" => (Field::Priority, Type::INT),
            "type" => (Field::Type, Type::TEXT),
            "age" => (Field::Age, Type::One(Scalar::Length)),
            _ => {
                let message = "`distinct` counts the values of a label";
                return self.fault(Code::ExpressionType, &word.span, message, "write `incident.distinct(\"host\")`");
            }
        };
        Some((Expr::Field(field.0), field.1))
    }

    fn index(&mut self, base: &Tree, key: &Tree) -> Option<Checked> {
        let (checked, key_checked) = (self.part(base), self.part(key));
        let ((base_expr, base_kind), (key_expr, key_kind)) = (checked?, key_checked?);
        match (base_kind, key_kind, key_expr) {
            (Type::Labels(set), _, Expr::Text(name)) => Some((Expr::Field(set.field(&name)), Type::TEXT)),
            (Type::Labels(_), ..) => {
                let hint = "write `labels[\"name\"]`";
                self.fault(Code::ExpressionType, &key.span, "the name of a label is a text that is written out", hint)
            }
            (Type::List(Some(of)), Type::INT, at) => Some((Expr::Item(Box::new([base_expr, at])), Type::One(of))),
            (Type::List(Some(_)), other, _) => {
                let message = format!("an item's place in a list is a whole number, not {}", other.name());
                self.fault(Code::ExpressionType, &key.span, message, "the first has 0")
            }
            _ => self.fault(Code::ExpressionType, &base.span, format!("{} has no items", base_kind.name()), ""),
        }
    }

    fn compare(&mut self, comparison: Comparison, sides: &[Tree; 2], span: &Range<usize>) -> Option<Checked> {
        let (left, right) = (self.part(&sides[0]), self.part(&sides[1]));
        let ((left, left_kind), (right, right_kind)) = (left?, right?);
        if !comparable(left_kind, right_kind) {
            let message = format!("{} is compared with {}", left_kind.name(), right_kind.name());
            let hint = Checker::hint_for_unequal([(&left, left_kind), (&right, right_kind)], &sides[0]);
            return self.fault(Code::ExpressionType, span, message, hint);
        }
        if !comparison.is_equality() && !matches!(left_kind, Type::One(_)) {
            let message = format!("{} is neither more nor less than another", left_kind.name());
            return self.fault(Code::ExpressionType, span, message, "lists are compared by `==` and `!=`");
        }
        let ordered = !comparison.is_equality();
        self.within_range(&left, &right, &sides[1].span, ordered)?;
        self.within_range(&right, &left, &sides[0].span, ordered)?;
        Some((Expr::Compare(comparison, Box::new([left, right])), Type::BOOL))
    }

    /// What was probably meant by a comparison of two different kinds.
    fn hint_for_unequal(sides: [(&Expr, Type); 2], left: &Tree) -> String {
        let number = |kind| matches!(kind, Type::One(Scalar::Int | Scalar::Double));
        let kinds = sides.map(|(_, kind)| kind);
        let [a, b] = sides.map(|(expr, _)| expr);
        if kinds.contains(&Type::One(Scalar::Length)) {
            return "a length of time is written `duration(\"5m\")`".to_owned();
        }
        if kinds.contains(&Type::TEXT) && kinds.into_iter().any(number) {
            return match (a, b) {
                (Expr::Field(Field::Priority), _) | (_, Expr::Field(Field::Priority)) => {
                    "priorities are the numbers 1 to 5".to_owned()
                }
                (Expr::Text(text), _) | (_, Expr::Text(text)) if text.parse::<i64>().is_ok() => {
                    format!("a number has no quotes: `{text}`")
                }
                (Expr::Field(Field::Label(name)), _) => format!("a label is a text: `int(labels.{name})`"),
                _ => "of a text that is a number `int(…)` or `double(…)` makes one".to_owned(),
            };
        }
        match kinds {
            [Type::List(_), Type::One(_)] | [Type::One(_), Type::List(_)] => "whether a list has it is asked by `in`".to_owned(),
            [Type::BOOL, _] if matches!(left.kind, Kind::Not(_)) => {
                "`!` binds to what follows it: `!(a == b)`, or `a != b`".to_owned()
            }
            _ => String::new(),
        }
    }

    fn is_in(&mut self, sides: &[Tree; 2]) -> Option<Checked> {
        let (item, list) = (self.part(&sides[0]), self.part(&sides[1]));
        let ((item, item_kind), (list, list_kind)) = (item?, list?);
        match list_kind {
            Type::Labels(set) if item_kind == Type::TEXT => return Some((Expr::HasLabel(set, Box::new(item)), Type::BOOL)),
            Type::List(None) if matches!(item_kind, Type::One(_)) => {}
            Type::List(Some(of)) if comparable(item_kind, Type::One(of)) => {
                if let (Expr::List(items), Kind::List(trees)) = (&list, &sides[1].kind) {
                    for (one, tree) in items.iter().zip(trees) {
                        self.within_range(&item, one, &tree.span, false)?;
                    }
                }
            }
            Type::One(_) => {
                let message = format!("`in` looks into a list, not into {}", list_kind.name());
                let hint = if list_kind == Type::TEXT { "a part of a text is found by `.contains(…)`" } else { "" };
                return self.fault(Code::ExpressionType, &sides[1].span, message, hint);
            }
            _ => {
                let message = format!("{} is looked for in {}", item_kind.name(), list_kind.name());
                return self.fault(Code::ExpressionType, &sides[0].span, message, "");
            }
        }
        Some((Expr::In(Box::new([item, list])), Type::BOOL))
    }

    /// A priority and a severity are compared with those that exist only: anything else is a rule that never holds.
    fn within_range(&mut self, field: &Expr, other: &Expr, span: &Range<usize>, ordered: bool) -> Option<()> {
        match (field, other) {
            (Expr::Field(Field::Priority), Expr::Int(number)) if !(1..=5).contains(number) => {
                let hint = "priorities are the numbers 1 (critical) to 5";
                self.fault(Code::Range, span, format!("there is no priority {number}"), hint)
            }
            (Expr::Field(Field::Type), Expr::Text(word)) if IncidentType::ALL.iter().all(|known| known.as_str() != &**word) => {
                let hint = "an incident is `normal` or `major`";
                self.fault(Code::Word, span, format!("there is no type `{word}`"), hint)
            }
            (Expr::Field(Field::Severity), _) if ordered => {
                let hint = "name those that you mean: `incident.severity in [\"critical\", \"high\"]`";
                self.fault(Code::ExpressionType, span, "severities are words, and would be put in order by their letters", hint)
            }
            (Expr::Field(Field::Severity), Expr::Text(word)) if Severity::ALL.iter().all(|known| known.as_str() != &**word) => {
                let words = Severity::ALL.map(Severity::as_str);
                let hint = match Severity::parse(word) {
                    Some(meant) => format!("senders' `{word}` is `{meant}` here"),
                    None => format!("an incident's severity is one of {}", listed(&words)),
                };
                self.fault(Code::Word, span, format!("there is no severity `{word}`"), hint)
            }
            _ => Some(()),
        }
    }

    fn choice(&mut self, parts: &[Tree; 3]) -> Option<Checked> {
        let (condition, one, other) = (self.truth(&parts[0]), self.part(&parts[1]), self.part(&parts[2]));
        let ((one, kind), (other, other_kind)) = (one?, other?);
        let condition = condition?;
        if kind != other_kind {
            let message = format!("the two values of a choice are {} and {}", kind.name(), other_kind.name());
            return self.fault(Code::ExpressionType, &(parts[1].span.start..parts[2].span.end), message, "");
        }
        if matches!(kind, Type::Labels(_)) {
            return self.fault(Code::ExpressionType, &parts[1].span, "a choice between sets of labels", "choose between labels");
        }
        Some((Expr::Choice(Box::new([condition, one, other])), kind))
    }

    /// Compiles what `matches` looks for.
    pub(super) fn regex(&mut self, pattern: &str, span: &Range<usize>) -> Option<Regex> {
        self.regexes += 1;
        if self.regexes > EXPRESSION_REGEXES_MAX {
            if self.regexes == EXPRESSION_REGEXES_MAX + 1 {
                let message = format!("more than {EXPRESSION_REGEXES_MAX} regular expressions in one expression");
                return self.fault(Code::Limit, span, message, "make several rules of it");
            }
            return None;
        }
        match crate::model::matcher::compile_search(pattern) {
            Ok(regex) => Some(regex),
            Err(message) => {
                let message = crate::ruleset::matchers::regex_fault(&message);
                self.fault(Code::Regex, span, format!("a regular expression that cannot be used: {message}"), "")
            }
        }
    }

    /// Notes a fault; always `None`.
    pub(super) fn fault<T>(
        &mut self,
        code: Code,
        span: &Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Option<T> {
        self.faults.push(Fault::new(code, span.clone(), message, hint));
        None
    }
}

/// A set of labels by itself: only its size and what is in it can be asked.
fn labels(set: LabelSet) -> Checked {
    (Expr::LabelCount(set), Type::Labels(set))
}

/// Whether the two can be equal at all. A whole number and one with a fraction can.
pub(super) fn comparable(left: Type, right: Type) -> bool {
    let number = |scalar| matches!(scalar, Scalar::Int | Scalar::Double);
    match (left, right) {
        (Type::One(left), Type::One(right)) | (Type::List(Some(left)), Type::List(Some(right))) => {
            left == right || (number(left) && number(right))
        }
        (Type::List(_), Type::List(_)) => true,
        _ => false,
    }
}
