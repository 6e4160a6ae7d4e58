//! The documents of the development stack, by default in its data folder. Called by `stack`.

use std::path::PathBuf;

use clap::Args;
use gx_auth::Foundation;
use gx_documents::{
    DocumentRetentionSettings, DocumentStoreSettings, Documents, Housekeeper, KeyStoreSettings,
    Scanner, ScannerSettings, ViewSettings,
};
use gx_serve::HealthBoard;

use super::DataDir;
use crate::CliError;
use crate::documents::{DocumentSettings, report_replayed};
use crate::process::Process;

/// Folder of the sealed documents and the records of erasures.
pub(super) const DOCUMENT_DIR: &str = "documents";
/// Folder of the keys of people.
pub(super) const KEY_DIR: &str = "person-keys";

/// The settings of documents that `gx dev` accepts.
#[derive(Args, Clone, Debug)]
pub(crate) struct DevDocumentSettings {
    /// Folder with the sealed documents and the records of erasures [default: documents in the data
    /// folder]
    #[arg(long, env = "GX_DOCUMENT_STORE")]
    document_store: Option<PathBuf>,
    /// Folder with the keys of people [default: person-keys in the data folder]
    #[arg(long, env = "GX_KEY_STORE")]
    key_store: Option<PathBuf>,
    /// Days after the closing of an account after which the person is erased with all documents, 0
    /// to 36500
    #[arg(long, env = "GX_RETENTION_DOCUMENTS_DAYS", default_value_t = 0,
          value_parser = clap::value_parser!(u16).range(0..=36_500))]
    retention_documents_days: u16,
    #[command(flatten)]
    view: ViewSettings,
    #[command(flatten)]
    scanner: ScannerSettings,
}

/// Where the documents of a stack are, and how long.
pub(super) struct StackDocuments {
    pub(super) store: PathBuf,
    pub(super) keys: PathBuf,
    pub(super) retention: DocumentRetentionSettings,
    view: ViewSettings,
    scanner: Option<Scanner>,
}

impl StackDocuments {
    /// Completes the settings with the folders in the data folder.
    pub(super) fn new(settings: DevDocumentSettings, dir: &DataDir) -> Result<Self, CliError> {
        let DevDocumentSettings {
            document_store,
            key_store,
            retention_documents_days,
            view,
            scanner,
        } = settings;
        let path = |given: Option<PathBuf>, usual: &str| match given {
            Some(path) => std::path::absolute(path),
            None => Ok(dir.join(usual)),
        };
        let wrong = |setting: &str, why: std::io::Error| {
            CliError::caused_by("a folder cannot be used; correct the path", &why)
                .about(&format!("{setting}: "))
        };
        Ok(Self {
            store: path(document_store, DOCUMENT_DIR)
                .map_err(|why| wrong("GX_DOCUMENT_STORE", why))?,
            keys: path(key_store, KEY_DIR).map_err(|why| wrong("GX_KEY_STORE", why))?,
            retention: DocumentRetentionSettings { retention_documents_days },
            view,
            scanner: Scanner::of(&scanner),
        })
    }

    /// Opens the stores, and erases again what the database has forgotten.
    pub(super) async fn open(&self, base: &Foundation) -> Result<Documents, CliError> {
        let settings = DocumentSettings {
            store: DocumentStoreSettings { document_store: self.store.clone() },
            keys: KeyStoreSettings { key_store: self.keys.clone() },
            view: self.view.clone(),
        };
        let documents = settings.open(self.scanner.clone(), base)?;
        report_replayed(documents.replay_erasures(base.database.pool()).await?);
        Ok(documents)
    }

    /// Starts the housekeeping.
    pub(super) fn start_housekeeping(
        &self,
        process: &mut Process,
        documents: Documents,
        base: &Foundation,
        board: &HealthBoard,
    ) {
        let pool = base.database.pool().clone();
        let housekeeper = Housekeeper::new(documents, pool, self.retention);
        let (token, board) = (process.token(), board.clone());
        process.run(async move {
            housekeeper.run(token, board).await;
            Ok(())
        });
    }
}
