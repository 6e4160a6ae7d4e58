//! The error of a command, which `main` prints as one message on standard error: what failed with
//! its causes, and in a second line the remedy. The exit code is 1 then, or 141 if the reader of
//! standard output has closed the pipe.

use std::error::Error;
use std::fmt;

use gx_serve::problem::ErrorChain;
use gx_serve::settings::SettingsReport;

/// The reason that a command failed.
#[derive(Debug)]
pub(crate) enum CliError {
    /// A message for the operator, with all causes and the remedy.
    Message(String),
    /// The reader of standard output closed the pipe. Nothing is printed then.
    ClosedPipe,
}

impl CliError {
    /// Creates an error from another one, with all its causes. The text of `error` must end with
    /// a remedy after a semicolon.
    pub(crate) fn new(error: &dyn Error) -> Self {
        Self::message(ErrorChain(error).to_string())
    }

    /// Creates an error with a message of this crate, which must end with a remedy after a
    /// semicolon.
    pub(crate) fn message(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::Message(match text.rsplit_once("; ") {
            Some((what, remedy)) => format!("{what}\nhint: {remedy}"),
            None => text,
        })
    }

    /// Creates an error with a message of this crate, which must end with a remedy after a
    /// semicolon, and with its causes.
    pub(crate) fn caused_by(message: &str, cause: &(dyn Error + 'static)) -> Self {
        Self::new(&Failure { message, cause })
    }

    /// Returns this error with the thing that it is about before the message.
    #[must_use]
    pub(crate) fn about(self, thing: &str) -> Self {
        match self {
            Self::Message(message) => Self::Message(format!("{thing}{message}")),
            Self::ClosedPipe => Self::ClosedPipe,
        }
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

/// A message of this crate with the error that caused it.
#[derive(Debug)]
struct Failure<'a> {
    message: &'a str,
    cause: &'a (dyn Error + 'static),
}

impl Error for Failure<'_> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.cause)
    }
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)
    }
}

/// Lets `?` return these errors. The text of each ends with a remedy
/// (`golden::remedies::every_error_of_a_command_has_a_remedy`), so an error of another crate
/// without one is given a message with [`CliError::caused_by`].
macro_rules! printed {
    ($($(#[$attribute:meta])* $error:ty,)+) => {$(
        $(#[$attribute])*
        impl From<$error> for $crate::CliError {
            fn from(error: $error) -> Self {
                Self::new(&error)
            }
        }
    )+};
}
#[cfg(feature = "dev")]
pub(crate) use printed;

printed! {
    gx_admin::AdoptError,
    gx_admin::CancelError,
    gx_admin::CreateError,
    gx_admin::ReplayError,
    gx_auth::BuildError,
    gx_auth::FoundationError,
    gx_auth::HasherError,
    gx_auth::KeyRingError,
    gx_auth::audit::EraseError,
    gx_auth::audit::ProofError,
    gx_auth::audit::VerifyError,
    gx_auth::token_keys::rotation::RetireError,
    gx_auth::token_keys::rotation::RotateError,
    gx_chaincode::ChaincodeError,
    gx_chaincode::PackageError,
    gx_db::DbError,
    gx_db::MigrateError,
    gx_documents::ErasureError,
    gx_fabric_client::ProfileError,
    gx_mail::MailSettingsError,
    gx_mail::NotRetriable,
    gx_outbox::operator::OperateError,
    gx_projector::Halt,
    gx_projector::RebuildError,
    gx_projector::VerifyError,
    gx_serve::server::BindError,
    gx_serve::telemetry::TelemetryError,
    gx_submitter::Halt,
    gx_submitter::SettingsError,
    #[cfg(feature = "dev")]
    gx_auth::TokenKeyError,
    #[cfg(feature = "dev")]
    gx_db::cluster::ClusterError,
    #[cfg(feature = "dev")]
    gx_devnet::DevnetError,
    #[cfg(feature = "dev")]
    gx_devnet::DumpError,
    #[cfg(feature = "dev")]
    gx_outbox::enqueue::EnqueueError,
    #[cfg(feature = "dev")]
    gx_serve::RouteConflict,
    #[cfg(feature = "dev")]
    gx_serve::server::TlsError,
}

/// The report already has a line for each finding, and the remedy.
impl From<SettingsReport> for CliError {
    fn from(report: SettingsReport) -> Self {
        Self::Message(report.to_string())
    }
}

impl From<sqlx::Error> for CliError {
    fn from(error: sqlx::Error) -> Self {
        Self::caused_by(
            "the database cannot be read or written; check the database and its log",
            &error,
        )
    }
}

impl From<serde_json::Error> for CliError {
    fn from(error: serde_json::Error) -> Self {
        Self::caused_by("the result cannot be written as JSON; report this defect", &error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An operator reads what failed, then why, and at the end what to do.
    #[test]
    fn causes_come_before_the_remedy() {
        let printed = |error: CliError| error.to_string();
        assert_eq!(
            printed(gx_outbox::operator::OperateError::Database(sqlx::Error::PoolClosed).into()),
            "the outbox cannot be read or written: attempted to acquire a connection on a closed \
             pool\nhint: check the database and its log"
        );
        // Both errors have the same remedy, which is printed once.
        let inner = gx_outbox::enqueue::EnqueueError::Database(sqlx::Error::PoolClosed);
        assert_eq!(
            printed(gx_admin::AdoptError::Grant(inner).into()),
            "the missing grant cannot be enqueued: the outbox cannot be written: attempted to \
             acquire a connection on a closed pool\nhint: check the database and its log"
        );
        assert_eq!(
            printed(CliError::message("the file is empty; write a key into it")),
            "the file is empty\nhint: write a key into it"
        );
    }

    #[test]
    fn the_thing_that_an_error_is_about_comes_first() {
        let error = CliError::message("it cannot be read; replace it").about("`root.pem`: ");
        assert_eq!(error.to_string(), "`root.pem`: it cannot be read\nhint: replace it");
    }
}
