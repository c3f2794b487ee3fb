//! What is wrong with rule files, as values: a stable code, a place, words and a hint; and how people and programs see them.
//!
//! Never decides whether something is wrong.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level as Title, Renderer, Snippet};
use serde::{Serialize, Serializer};

/// One thing that is wrong, or worth a warning, in a rule file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    pub code: Code,
    pub severity: Severity,
    /// The file's name as it was given.
    pub file: Arc<str>,
    /// Bytes in the file; empty where the fault is the whole file's.
    pub span: Range<usize>,
    /// From 1.
    pub line: u32,
    /// Characters from the line's beginning, from 1.
    pub column: u32,
    /// What is wrong: lower case, without a full stop, naming the value.
    pub message: String,
    /// A few words that stand under the place; may be empty.
    pub label: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

/// Whether rules with it can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// They cannot.
    Error,
    /// They can, but probably do not do what was meant.
    Warning,
}

/// Makes the closed list of codes out of one table, so that no code is without its text, its severity and its words.
macro_rules! codes {
    ($($name:ident $text:literal $severity:ident $about:literal,)*) => {
        /// Which kind of fault it is. The text form never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = concat!($text, ": ", $about, ".")] $name,)*
        }

        impl Code {
            /// All of them, in order.
            pub const ALL: &[Code] = &[$(Code::$name,)*];

            /// The text form.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Code::$name => $text,)*
                }
            }

            /// What it means in a few words, lower case.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self {
                    $(Code::$name => $about,)*
                }
            }

            fn severity(self) -> Severity {
                match self {
                    $(Code::$name => Severity::$severity,)*
                }
            }
        }
    };
}

codes! {
    Syntax "Q0001" Error "the text is no YAML",
    Limit "Q0002" Error "more than a limit allows",
    UnknownKey "Q0003" Error "a key that is not known at its place",
    Repeated "Q0005" Error "a key or an item that is there twice",
    Missing "Q0006" Error "something that must be there is not",
    WrongKind "Q0007" Error "a value of the wrong kind, or none",
    DuplicateName "Q0008" Error "two rules of a stage have one name",
    Matcher "Q0009" Error "a matcher's text has not the form of one",
    Regex "Q0010" Error "a regular expression does not compile within its limits",
    Duration "Q0011" Error "a text that is no length of time",
    Template "Q0012" Error "a template does not compile",
    TemplateName "Q0013" Error "a template names what is not there",
    Receiver "Q0014" Error "a receiver that the configuration does not have",
    Schedule "Q0015" Error "a day, a time of day or a time zone that does not exist",
    Range "Q0016" Error "a value outside of what is allowed",
    Conflict "Q0017" Error "keys that exclude each other",
    Word "Q0018" Error "a word that is none of those allowed",
    Table "Q0019" Error "a table that is not there, or is no table",
    Expression "Q0021" Error "an expression's text has not the form of one",
    ExpressionName "Q0022" Error "an expression names a field or a function that is not there",
    ExpressionType "Q0023" Error "an expression's values do not fit together",
    Empty "Q0101" Warning "a file or section without any rule",
    Shadowed "Q0102" Warning "a rule that is never reached, because an earlier one takes all that it could match",
    NeverMatches "Q0103" Warning "a rule that can never match",
    UnknownService "Q0104" Warning "a service that depends on one without an entry",
    Circle "Q0105" Warning "services that depend on each other in a circle",
    Crowded "Q0106" Warning "more services near one than count",
    LabelMissing "Q0107" Warning "a rule goes by a label that none of its recorded alerts has",
    ShortTime "Q0108" Warning "a time shorter than the interval at which senders repeat themselves",
    IdleSuppression "Q0109" Warning "an inhibition that suppresses nothing, or two that suppress each other",
    HidesAll "Q0110" Warning "a suppression of everything, or without an end",
    NoEnd "Q0111" Warning "an escalation that tells again and again, and never says that it is over",
    TemplateFails "Q0112" Warning "a template that fails on alerts as they come",
    TakesAll "Q0113" Warning "a rule that puts everything into one incident",
}

impl Code {
    /// The code of a text form, in whichever case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.as_str().eq_ignore_ascii_case(text))
    }

    /// Whether rules with it cannot be used.
    #[must_use]
    pub fn is_error(self) -> bool {
        self.severity() == Severity::Error
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// One line for logs: `rules/db.yaml:7:5: error[Q0003]: unknown key `widnow` (did you mean `window`?)`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (severity, code) = (self.severity.as_str(), self.code.as_str());
        write!(f, "{}:{}:{}: {severity}[{code}]: {}", self.file, self.line, self.column, self.message)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, " ({})", self.hint) }
    }
}

impl Diagnostic {
    /// A fault at `span` of a file; the place in lines is filled in by [`SourceMap::place`].
    pub(crate) fn new(code: Code, span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            severity: code.severity(),
            file: "".into(),
            span,
            line: 1,
            column: 1,
            message: message.into(),
            label: String::new(),
            hint: String::new(),
        }
    }

    pub(crate) fn label(mut self, label: impl Into<String>) -> Diagnostic {
        self.label = label.into();
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hint = hint.into();
        self
    }

    /// The form that rustc gives its errors: a title, the place, the lines with the fault underlined, the hint. `text` is
    /// the file's.
    #[must_use]
    pub fn render(&self, text: &str) -> String {
        let title = match self.severity {
            Severity::Error => Title::ERROR,
            Severity::Warning => Title::WARNING,
        };
        let title = title.primary_title(&self.message).id(self.code.as_str());
        let lines = shown_lines(text, &self.span);
        if text.is_empty() || lines.is_empty() {
            let head = format!("{}[{}]: {}", self.severity.as_str(), self.code.as_str(), self.message);
            let hint = if self.hint.is_empty() { String::new() } else { format!("\n  = help: {}", self.hint) };
            return format!("{head}\n --> {}{hint}", self.file);
        }
        let first_line = text[..lines.start].matches('\n').count() + 1;
        let source = text[lines.clone()].trim_end_matches('\r');
        let inside = |at: usize| source.floor_char_boundary(at.saturating_sub(lines.start));
        let annotation = AnnotationKind::Primary.span(inside(self.span.start)..inside(self.span.end.max(self.span.start)));
        let annotation = if self.label.is_empty() { annotation } else { annotation.label(self.label.as_str()) };
        let snippet = Snippet::source(source).line_start(first_line).path(&*self.file).annotation(annotation);
        let mut group = title.element(snippet);
        if !self.hint.is_empty() {
            group = group.element(Title::HELP.message(&self.hint));
        }
        Renderer::plain().render(&[group])
    }
}

/// Lines of a fault that are shown at most.
const SHOWN_LINES_MAX: usize = 6;

/// The bytes of the whole lines that a span touches, the first few of them.
fn shown_lines(text: &str, span: &Range<usize>) -> Range<usize> {
    let at = text.floor_char_boundary(span.start);
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = |from: usize| text[from..].find('\n').map_or(text.len(), |newline| from + newline);
    let mut end = line_end(at);
    for _ in 1..SHOWN_LINES_MAX {
        if end >= span.end.min(text.len()) {
            break;
        }
        end = line_end(end + 1);
    }
    start..end
}

/// Lines and columns of one file.
pub(crate) struct SourceMap<'a> {
    file: Arc<str>,
    text: &'a str,
    line_starts: Vec<usize>,
}

impl<'a> SourceMap<'a> {
    pub(crate) fn new(name: &str, text: &'a str) -> SourceMap<'a> {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        SourceMap { file: name.into(), text, line_starts }
    }

    pub(crate) fn file(&self) -> &Arc<str> {
        &self.file
    }

    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// The line, from 1, in which a byte lies.
    pub(crate) fn line(&self, offset: usize) -> u32 {
        u32::try_from(self.line_starts.partition_point(|start| *start <= offset)).unwrap_or(u32::MAX)
    }

    /// The text of a line, without the space and the dash that it may begin with.
    pub(super) fn line_span(&self, line: u32) -> Range<usize> {
        let Some(start) = self.line_starts.get(line.saturating_sub(1) as usize) else { return 0..0 };
        let text = self.text[*start..].lines().next().unwrap_or_default().trim_end();
        let start = start + text.len() - text.trim_start_matches([' ', '-']).len();
        start..start.max(self.text[start..].lines().next().map_or(start, |rest| start + rest.trim_end().len()))
    }

    /// Fills in file, line and column.
    pub(crate) fn place(&self, mut diagnostic: Diagnostic) -> Diagnostic {
        let at = self.text.floor_char_boundary(diagnostic.span.start);
        let line_start = self.line_starts[self.line_starts.partition_point(|start| *start <= at) - 1];
        diagnostic.file = self.file.clone();
        diagnostic.line = self.line(at);
        diagnostic.column = u32::try_from(self.text[line_start..at].chars().count() + 1).unwrap_or(u32::MAX);
        diagnostic
    }
}
