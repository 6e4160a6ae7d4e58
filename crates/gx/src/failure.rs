//! How a command ends that could not do its work: one sentence on standard error.

use std::error::Error;
use std::fmt;

/// Why a command failed, with every cause, as an operator reads it.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    /// The error and its causes in one sentence.
    pub(crate) fn new(error: impl Error) -> Self {
        let mut sentence = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !sentence.contains(&text) {
                sentence = format!("{sentence}: {text}");
            }
            cause = error.source();
        }
        Self(sentence)
    }

    /// A sentence of this crate's own.
    pub(crate) fn say(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}
