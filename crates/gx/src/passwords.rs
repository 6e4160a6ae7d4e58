//! `gx passwords`: builds the file with the passwords of data breaches.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use gx_auth::{BuildReport, build_password_filter};
use serde_json::json;

use crate::CliError;
use crate::print::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum PasswordsCommand {
    /// Build the file of GX_PASSWORD_FILTER from a sorted list of SHA-1 hashes
    BuildFilter(BuildFilter),
}

/// The arguments of `gx passwords build-filter`.
#[derive(Debug, Args)]
pub(crate) struct BuildFilter {
    /// List with one SHA-1 a line in ascending order, with or without `:` and a count
    list: PathBuf,
    /// File to write; an existing one is replaced when the new one is whole
    filter: PathBuf,
}

/// Builds the filter and prints the number of its passwords and its size.
pub(crate) async fn run(command: PasswordsCommand, format: Format) -> Result<(), CliError> {
    let PasswordsCommand::BuildFilter(BuildFilter { list, filter }) = command;
    let work = move || build_password_filter(&list, &filter);
    let built = tokio::task::spawn_blocking(work).await;
    let BuildReport { hashes, bytes } = built.map_err(|panicked| {
        CliError::caused_by("the filter was not built; report this defect", &panicked)
    })??;
    let text = format!("{hashes} passwords in {bytes} bytes");
    format.line(&text, &json!({ "hashes": hashes, "bytes": bytes }))
}
