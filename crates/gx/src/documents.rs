//! The documents of the services: opens their stores, erases again what a restored database has
//! forgotten before a service serves, and then keeps house. Called by `roles` and by `gx dev`. A
//! setting that cannot work ends the start; a database or store that is down is waited for.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use gx_auth::Foundation;
use gx_db::PgPool;
use gx_documents::{
    DocumentParts, DocumentStore, DocumentStoreSettings, Documents, Eraser, FileLimits,
    Housekeeper, KeyStore, KeyStoreSettings, RenderProgram, Renderer, Scanner, ViewSettings,
};
use gx_serve::problem::ErrorChain;
use gx_serve::worker_loop::FailureLog;
use gx_serve::{CheckHandle, CheckResult, Opening, Service};

use crate::process::Process;
use crate::{CliError, RENDER_PAGE};

/// First pause after a replay of erasures that failed; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest of these pauses.
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// Where documents and the keys of people are, and how pages are drawn.
#[derive(Args, Clone, Debug)]
pub(crate) struct DocumentSettings {
    #[command(flatten)]
    pub(crate) store: DocumentStoreSettings,
    #[command(flatten)]
    pub(crate) keys: KeyStoreSettings,
    #[command(flatten)]
    pub(crate) view: ViewSettings,
}

impl DocumentSettings {
    /// Opens the stores, and creates their folders if there are none.
    pub(crate) fn open(
        &self,
        scanner: Option<Scanner>,
        base: &Foundation,
    ) -> Result<Documents, CliError> {
        let (ring, entropy) = (base.key_ring.clone(), base.entropy.clone());
        let limits = FileLimits::default();
        let store = DocumentStore::local(&self.store).map_err(|error| CliError::new(&error))?;
        let keys = KeyStore::open(&self.keys, ring.clone(), entropy.clone())
            .map_err(|error| CliError::new(&error))?;
        // The running binary, also after an update has replaced its file.
        let program = RenderProgram {
            program: PathBuf::from("/proc/self/exe"),
            arguments: vec![RENDER_PAGE.to_owned()],
        };
        Ok(Documents::new(DocumentParts {
            store,
            keys,
            ring,
            renderer: Renderer::new(program, &self.view, limits),
            scanner,
            limits,
            clock: base.clock.clone(),
            entropy,
        }))
    }
}

/// Starts the task that repeats every erasure that the database lacks, opens the service, and then
/// keeps house if there is a housekeeper. Returns the service, which refuses all requests but
/// probes until then.
pub(crate) fn open_after_replay(
    process: &mut Process,
    documents: &Documents,
    pool: PgPool,
    service: Service,
    housekeeper: Option<Housekeeper>,
) -> Service {
    let (opening, eraser, token) = (Opening::default(), documents.eraser(), process.token());
    let (board, check) = (service.health.clone(), service.health.check("erasures", true));
    let service = service.closed_until(&opening);
    process.run(async move {
        if token.run_until_cancelled(replay(&eraser, &pool, &check)).await.is_none() {
            return Ok(());
        }
        opening.open();
        match housekeeper {
            Some(housekeeper) => housekeeper.run(token, board).await,
            // A task that ends would end the process.
            None => token.cancelled().await,
        }
        Ok(())
    });
    service
}

/// Repeats the erasures that the database lacks, through outages of database and stores.
async fn replay(eraser: &Eraser, pool: &PgPool, check: &CheckHandle) {
    let (mut failures, mut pause) = (FailureLog::default(), FIRST_PAUSE);
    loop {
        match eraser.replay(pool).await {
            Ok(people) => {
                failures.succeeded("the replay of erasures");
                report_replayed(people);
                check.healthy();
                return;
            }
            Err(error) => {
                let error = ErrorChain(&error).to_string();
                if failures.is_new(&error) {
                    tracing::warn!(error, "nobody is served until erasures are replayed: {error}");
                }
                check.set(CheckResult::unhealthy(error));
            }
        }
        tokio::time::sleep(pause).await;
        pause = MAX_PAUSE.min(pause * 2);
    }
}

/// Logs how many people a restored database had forgotten to be erased.
pub(crate) fn report_replayed(people: usize) {
    if people > 0 {
        tracing::warn!(
            people,
            "the restored database still had {people} erased people; they are erased again"
        );
    }
}
