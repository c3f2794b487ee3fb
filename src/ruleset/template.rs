//! Templates in rules and messages: minijinja with fuel and strict names, and a fast path for plain text and plain fields.
//!
//! A template is text with `{{ … }}` around what is filled in: fields (`{{ labels.job }}`), filters
//! (`{{ labels.host | upper }}`), comparisons, `{{ "a" if labels.x == "y" else "b" }}`, and `{% if … %}`, `{% elif … %}`,
//! `{% else %}`, `{% endif %}`. Loops, assignments, macros and includes are refused: with them a few characters can ask
//! for gigabytes, and no title needs them. What is filled in is data and never read as a template.
//!
//! Never escapes anything: who puts the result into HTML, a header or a chat message does that.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use minijinja::value::Object;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value, filters, tests as checks};

/// What a template may name.
pub trait Scope {
    /// The text of `root.name` (`by.cluster`, `capture.x`, `labels.job`, `incident.count`); `None` when there is no such
    /// thing, which is a rendering fault (a label that is absent is `Some("")`).
    fn field(&self, root: &str, name: &str) -> Option<Cow<'_, str>>;
    /// The whole scope for templates that do more than name fields.
    fn value(&self) -> Value;
}

/// Names and their values as templates see them.
pub fn pairs_value<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    Value::from(pairs.map(|(name, value)| (name.to_owned(), Value::from(value))).collect::<BTreeMap<String, Value>>())
}

/// A compiled template.
#[derive(Clone, Debug)]
pub struct Template {
    body: Body,
    names: Arc<[Name]>,
}

/// One thing that a template names: `root` or `root.field`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    pub root: Box<str>,
    /// The first field under the root, where the template names one.
    pub field: Option<Box<str>>,
    /// Where it stands in the template, in bytes, as far as that is known.
    pub offset: Option<usize>,
}

/// Bytes of output at most; what is longer is cut and ends in `…`.
pub const OUTPUT_BYTES_MAX: usize = 4 << 10;
/// Bytes of a template's own text at most.
pub const TEMPLATE_BYTES_MAX: usize = 4 << 10;
/// Signs and words of the language in a template that does more than name fields. minijinja reads, compiles and drops what
/// hangs on one another (`- - - x`, `not not x`, `x | a | b`, `x.a.b`) by calling itself as often, and ends with the stack.
pub const SIGNS_MAX: usize = 600;
/// Instructions that one rendering may take.
const FUEL: u64 = 10_000;
/// Nesting of expressions.
const RECURSION_MAX: usize = 50;
/// Bytes that `replace` may produce: a label's value can be 64 KiB of the letter to be replaced by another such value.
const REPLACED_BYTES_MAX: usize = 256 << 10;
/// The name of the only template in an environment; it is never shown.
const ONLY: &str = "template";

#[derive(Clone, Debug)]
enum Body {
    /// Text and fields, without minijinja: what nearly every rule has.
    Plain(Arc<[Part]>),
    Jinja(Arc<Environment<'static>>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(Box<str>),
    Field { root: Box<str>, name: Box<str> },
}

impl Template {
    /// Compiles a template.
    ///
    /// # Errors
    /// The fault in words, with the byte offset where it stands if that is known.
    pub fn compile(text: &str) -> Result<Template, (String, Option<usize>)> {
        if text.len() > TEMPLATE_BYTES_MAX {
            return Err((format!("a template is at most {TEMPLATE_BYTES_MAX} bytes long, this one has {}", text.len()), None));
        }
        if let Some(parts) = plain_parts(text) {
            return Ok(Template::from_parts(&parts));
        }
        only_conditions(text)?;
        not_too_deep(text)?;
        let mut environment = environment();
        environment.add_template_owned(ONLY, text.to_owned()).map_err(|error| (words(&error), place(&error)))?;
        let names = names(&environment, text);
        Ok(Template { body: Body::Jinja(Arc::new(environment)), names: names.into() })
    }

    /// A template of the fast kind, from its parts.
    pub(super) fn from_parts(parts: &[(Part, usize)]) -> Template {
        let name = |(part, offset): &(Part, usize)| match part {
            Part::Text(_) => None,
            Part::Field { root, name } => Some(Name { root: root.clone(), field: Some(name.clone()), offset: Some(*offset) }),
        };
        let names = parts.iter().filter_map(name).collect();
        Template { body: Body::Plain(parts.iter().map(|(part, _)| part.clone()).collect()), names }
    }

    /// Renders it; at most 4 KiB of output and a bounded number of steps.
    ///
    /// # Errors
    /// The fault in words.
    pub fn render(&self, scope: &dyn Scope) -> Result<String, String> {
        match &self.body {
            Body::Plain(parts) => {
                let mut output = Output::default();
                for part in &**parts {
                    match part {
                        Part::Text(text) => output.push(text),
                        Part::Field { root, name } => {
                            output.push(&scope.field(root, name).ok_or_else(|| format!("`{root}.{name}` is not known"))?);
                        }
                    }
                }
                Ok(output.finish())
            }
            Body::Jinja(environment) => jinja(environment, self.context(scope)).map_err(|error| words(&error)),
        }
    }

    /// Whether it names anything of `root` (so that a title without `incident` is rendered once).
    #[must_use]
    pub fn uses(&self, root: &str) -> bool {
        self.names.iter().any(|name| &*name.root == root)
    }

    /// Everything that it names.
    #[must_use]
    pub fn names(&self) -> &[Name] {
        &self.names
    }

    /// What minijinja gets to see: the scope's values, and where those lack a field that the scope knows as text, this
    /// text. So a label that is absent is the empty string on both paths.
    fn context(&self, scope: &dyn Scope) -> Value {
        let whole = scope.value();
        let mut roots: BTreeMap<&str, Value> = BTreeMap::new();
        for name in &*self.names {
            let base = whole.get_attr(&name.root).unwrap_or_default();
            if self.names.iter().any(|other| other.root == name.root && other.field.is_none()) {
                // It is used as a whole.
                roots.insert(&name.root, base);
            }
        }
        let mut fields: BTreeMap<&str, BTreeMap<&str, Value>> = BTreeMap::new();
        for name in self.names.iter().filter(|name| !roots.contains_key(&*name.root)) {
            let Some(field) = name.field.as_deref() else { continue };
            let typed = whole.get_attr(&name.root).and_then(|root| root.get_attr(field)).unwrap_or_default();
            let value = match scope.field(&name.root, field) {
                Some(text) if typed.is_undefined() => Value::from(&*text),
                _ => typed,
            };
            fields.entry(&name.root).or_default().insert(field, value);
        }
        roots.extend(fields.into_iter().map(|(root, fields)| (root, Value::from(fields))));
        Value::from(roots)
    }

    /// Tries it on made-up values, to find what compiling does not: filters and tests that do not exist, and too many
    /// steps. Faults that hang on the values are none here.
    ///
    /// # Errors
    /// The fault in words, with the byte offset where it stands if that is known.
    pub(super) fn try_out(&self) -> Result<(), (String, Option<usize>)> {
        let Body::Jinja(environment) = &self.body else { return Ok(()) };
        let Err(error) = jinja(environment, Value::from_object(Anything { depth: 0 })) else { return Ok(()) };
        let broken = matches!(
            error.kind(),
            ErrorKind::UnknownFilter
                | ErrorKind::UnknownTest
                | ErrorKind::UnknownFunction
                | ErrorKind::MissingArgument
                | ErrorKind::TooManyArguments
                | ErrorKind::OutOfFuel
        );
        if broken { Err((words(&error), place(&error))) } else { Ok(()) }
    }
}

/// Gives `1` for every field of every root: a value that reads as a number and as a text.
#[derive(Debug)]
struct Anything {
    depth: u8,
}

impl Object for Anything {
    fn get_value(self: &Arc<Self>, _: &Value) -> Option<Value> {
        Some(if self.depth == 0 { Value::from_object(Anything { depth: 1 }) } else { Value::from("1") })
    }
}

/// Cuts a template into text and plain fields; `None` when it does more. Says what minijinja would say: like there, one
/// line end at the very end is dropped.
fn plain_parts(text: &str) -> Option<Vec<(Part, usize)>> {
    let without_end = text.strip_suffix('\n').unwrap_or(text);
    let without_end = without_end.strip_suffix('\r').unwrap_or(without_end);
    if ["{%", "{#"].iter().any(|tag| text.contains(tag)) {
        return None;
    }
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(open) = without_end[at..].find("{{") {
        let (start, inside) = (at + open, at + open + 2);
        let close = inside + without_end[inside..].find("}}")?;
        let path = &without_end[inside..close];
        let (root, name) = path.trim_matches([' ', '\t']).split_once('.')?;
        if !is_identifier(root) || !is_identifier(name) || ["true", "false", "none"].contains(&root) {
            return None;
        }
        if open > 0 {
            parts.push((Part::Text(without_end[at..start].into()), at));
        }
        let lead = path.len() - path.trim_start_matches([' ', '\t']).len();
        parts.push((Part::Field { root: root.into(), name: name.into() }, inside + lead));
        at = close + 2;
    }
    if at < without_end.len() {
        parts.push((Part::Text(without_end[at..].into()), at));
    }
    Some(parts)
}

fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_') && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Refuses every statement but conditions.
fn only_conditions(text: &str) -> Result<(), (String, Option<usize>)> {
    for (at, _) in text.match_indices("{%") {
        let inside = text[at + 2..].trim_start_matches(['-', '+']).trim_start();
        let word = &inside[..inside.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(inside.len())];
        if !["if", "elif", "else", "endif"].contains(&word) {
            return Err((format!("`{{% {word} %}}` is not allowed, only conditions are"), Some(at)));
        }
    }
    Ok(())
}

/// Refuses what could nest too deep, however it is written: signs and words are counted in all of the text, because what lies
/// in a quoted text and what does not is for minijinja to say.
///
/// # Errors
/// In words.
pub fn not_too_deep(text: &str) -> Result<(), (String, Option<usize>)> {
    const WORDS: [&str; 8] = ["and", "elif", "else", "if", "in", "is", "not", "or"];
    let signs = text.bytes().filter(|byte| b"-+*/%~|.!=<>([,:".contains(byte)).count();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| WORDS.contains(word)).count();
    if signs + words > SIGNS_MAX {
        let message = format!(
            "a template with conditions or filters has at most {SIGNS_MAX} signs and words such as `.` and `if`, this one has {}",
            signs + words
        );
        return Err((message, None));
    }
    Ok(())
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(RECURSION_MAX);
    environment.set_debug(true);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("upper", filters::upper);
    environment.add_filter("title", filters::title);
    environment.add_filter("capitalize", filters::capitalize);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("replace", replace);
    environment.add_filter("split", filters::split);
    environment.add_filter("first", filters::first);
    environment.add_filter("last", filters::last);
    environment.add_filter("default", filters::default);
    environment.add_filter("length", filters::length);
    environment.add_filter("int", filters::int);
    environment.add_filter("float", filters::float);
    environment.add_filter("round", filters::round);
    environment.add_test("defined", checks::is_defined);
    environment.add_test("undefined", checks::is_undefined);
    environment.add_test("startingwith", checks::is_startingwith);
    environment.add_test("endingwith", checks::is_endingwith);
    environment
}

#[expect(clippy::needless_pass_by_value, reason = "minijinja hands arguments to filters by value")]
fn replace(text: Cow<'_, str>, from: Cow<'_, str>, to: Cow<'_, str>) -> Result<String, minijinja::Error> {
    let hits = if from.is_empty() { text.chars().count() + 1 } else { text.matches(&*from).count() };
    if text.len().saturating_add(hits.saturating_mul(to.len())) > REPLACED_BYTES_MAX {
        return Err(minijinja::Error::new(ErrorKind::InvalidOperation, "the text after `replace` would be too long"));
    }
    Ok(text.replace(&*from, &to))
}

/// What minijinja finds to be named and not defined in the template, with the place of its first mention.
fn names(environment: &Environment<'_>, text: &str) -> Vec<Name> {
    let Ok(template) = environment.get_template(ONLY) else { return Vec::new() };
    let mut paths: Vec<String> = template.undeclared_variables(true).into_iter().collect();
    paths.sort_unstable();
    let name = |path: &String| {
        let mut steps = path.split('.');
        let root = steps.next().unwrap_or_default();
        Name { root: root.into(), field: steps.next().map(Into::into), offset: find_word(text, path) }
    };
    paths.iter().map(name).collect()
}

/// Where `word` stands in `text` with nothing that could be part of a longer word before it.
fn find_word(text: &str, word: &str) -> Option<usize> {
    let part_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    text.match_indices(word).map(|(at, _)| at).find(|at| !text[..*at].ends_with(part_of_word))
}

fn jinja(environment: &Environment<'_>, value: Value) -> Result<String, minijinja::Error> {
    let mut output = Output::default();
    match environment.get_template(ONLY)?.render_captured_to(value, &mut output) {
        Err(_) if output.full => Ok(output.finish()),
        Err(error) => Err(error),
        Ok(_) => Ok(output.finish()),
    }
}

fn words(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

fn place(error: &minijinja::Error) -> Option<usize> {
    error.range().map(|range| range.start)
}

/// Text up to the limit.
#[derive(Default)]
struct Output {
    text: String,
    full: bool,
    /// Bytes of a character whose rest has not come yet.
    pending: Vec<u8>,
}

impl Output {
    fn push(&mut self, text: &str) {
        if self.full {
            return;
        }
        if self.text.len() + text.len() <= OUTPUT_BYTES_MAX {
            self.text.push_str(text);
            return;
        }
        let mut room = OUTPUT_BYTES_MAX - self.text.len();
        while !text.is_char_boundary(room) {
            room -= 1;
        }
        self.text.push_str(&text[..room]);
        self.full = true;
    }

    fn finish(mut self) -> String {
        if self.full {
            while self.text.len() + '…'.len_utf8() > OUTPUT_BYTES_MAX {
                self.text.pop();
            }
            self.text.push('…');
        }
        self.text
    }
}

/// Fails when it is full, so that rendering ends there.
impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.pending) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let rest = self.pending.split_off(whole);
        let text = String::from_utf8(std::mem::replace(&mut self.pending, rest)).unwrap_or_default();
        self.push(&text);
        if self.full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
