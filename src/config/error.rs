//! What is wrong with a configuration: data, so that all of it can be said at once.

use std::fmt;

/// One fault of the configuration, or (as a [`Warning`]) one doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// A stable word: `unknown_key`, `missing_key`, `wrong_type`, `bad_value`, `duplicate_name`, `secret`, `yaml`,
    /// `unreadable`, `unsupported`, `exposed`, `plain_secret`, `insecure`, `unknown_variable`.
    pub code: &'static str,
    pub message: String,
    /// `<file>:<line>:<column>`, or the variable or flag that said it.
    pub place: String,
    pub hint: Option<String>,
}

/// What works but ought to be changed.
pub type Warning = ConfigError;

impl ConfigError {
    pub(super) fn new(code: &'static str, message: impl Into<String>, place: &str) -> ConfigError {
        ConfigError { code, message: message.into(), place: place.to_owned(), hint: None }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> ConfigError {
        ConfigError { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.message)?;
        self.hint.iter().try_for_each(|hint| write!(f, "\n  hint: {hint}"))
    }
}

impl std::error::Error for ConfigError {}
