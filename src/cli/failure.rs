//! Why a command failed: what is printed, what may help, and the exit code.

use std::io::{self, Write};

/// A failed command.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) message: String,
    pub(super) hint: Option<String>,
    /// 0: nobody reads what is printed any more, which is no fault. 1: the thing asked for is bad or was refused. 2: the
    /// command line is wrong.
    pub(super) code: u8,
}

impl Failure {
    /// A failure with exit code 1.
    pub(super) fn new(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), hint: None, code: 1 }
    }

    /// A wrong command line: exit code 2.
    pub(super) fn usage(message: impl Into<String>) -> Failure {
        Failure { code: 2, ..Failure::new(message) }
    }

    /// The same failure with advice.
    pub(super) fn hint(self, hint: impl Into<String>) -> Failure {
        Failure { hint: Some(hint.into()), ..self }
    }

    /// Prints it and gives the exit code.
    ///
    /// # Errors
    /// When nothing can be printed.
    pub(super) fn report(&self, err: &mut dyn Write) -> io::Result<u8> {
        if self.code == 0 {
            return Ok(0);
        }
        writeln!(err, "error: {}", self.message)?;
        if let Some(hint) = &self.hint {
            writeln!(err, "hint: {hint}")?;
        }
        Ok(self.code)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        // `quell incident list | head -1`: who reads our output has seen enough.
        let code = u8::from(error.kind() != io::ErrorKind::BrokenPipe);
        Failure { code, ..Failure::new(error.to_string()) }
    }
}
