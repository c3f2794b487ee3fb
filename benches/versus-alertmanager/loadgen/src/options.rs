//! The command line: pairs of `--name value`.

use std::collections::HashMap;
use std::str::FromStr;

/// The options as given.
pub struct Options {
    given: HashMap<String, String>,
}

impl Options {
    /// # Errors
    /// A name without `--`, a name without a value.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut given = HashMap::new();
        while let Some(argument) = arguments.next() {
            let name = argument.strip_prefix("--").ok_or_else(|| format!("{argument}: an option begins with --"))?;
            let value = arguments.next().ok_or_else(|| format!("{argument}: its value is missing"))?;
            given.insert(name.to_owned(), value);
        }
        Ok(Options { given })
    }

    /// The value of an option as text.
    pub fn text(&self, name: &str, default: &str) -> String {
        self.given.get(name).map_or(default, String::as_str).to_owned()
    }

    /// The value of an option as a number.
    ///
    /// # Errors
    /// Text that is none.
    pub fn number<T: FromStr>(&self, name: &str, default: T) -> Result<T, String> {
        self.given.get(name).map_or(Ok(default), |text| text.parse().map_err(|_| format!("--{name} {text}: not a number")))
    }

    /// Whether an option is given.
    pub fn has(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }
}
