//! Templates in rules and messages: minijinja with fuel and strict names, and a fast path for plain text and plain fields.

use std::borrow::Cow;

/// What a template may name.
pub trait Scope {
    /// The text of `root.name` (`by.cluster`, `capture.x`, `labels.job`, `incident.count`); `None` when there is no such
    /// thing, which is a rendering fault (a label that is absent is `Some("")`).
    fn field(&self, root: &str, name: &str) -> Option<Cow<'_, str>>;
    /// The whole scope for templates that do more than name fields.
    fn value(&self) -> minijinja::Value;
}

/// A compiled template.
#[derive(Clone, Debug)]
pub struct Template {}

impl Template {
    /// Compiles a template.
    ///
    /// # Errors
    /// The fault in words, with the byte offset where it stands if that is known.
    pub fn compile(text: &str) -> Result<Template, (String, Option<usize>)> {
        let _ = text;
        todo!()
    }

    /// Renders it; at most 4 KiB of output and a bounded number of steps.
    ///
    /// # Errors
    /// The fault in words.
    pub fn render(&self, scope: &dyn Scope) -> Result<String, String> {
        let _ = scope;
        todo!()
    }

    /// Whether it names anything of `root` (so that a title without `incident` is rendered once).
    #[must_use]
    pub fn uses(&self, root: &str) -> bool {
        let _ = root;
        todo!()
    }
}
