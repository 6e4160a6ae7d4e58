//! The error of a command, which `main` prints as one message on standard error. The exit code is 1
//! then, or 141 if the reader of standard output has closed the pipe.

use std::error::Error;
use std::fmt;

/// The reason that a command failed.
#[derive(Debug)]
pub(crate) enum CliError {
    /// A message for the operator, with all causes.
    Message(String),
    /// The reader of standard output closed the pipe. Nothing is printed then.
    ClosedPipe,
}

impl CliError {
    /// Creates an error from another one, with all its causes in the message.
    pub(crate) fn new(error: impl Error) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            cause = error.source();
        }
        Self::Message(message)
    }

    /// Creates an error with a message of this crate.
    pub(crate) fn message(text: impl Into<String>) -> Self {
        Self::Message(text.into())
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Message(message) => message,
            Self::ClosedPipe => "standard output is closed",
        })
    }
}

impl<E: Error> From<E> for CliError {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}
