//! Starts the submitter and the projector. Called by `roles` for a process of their own, and by
//! `gx dev`. An error ends the start; later failures are shown by the health checks.

use std::net::SocketAddr;

use gx_auth::audit::Sealer;
use gx_auth::retention::{self, RetentionSettings};
use gx_db::Database;
use gx_fabric_client::Ledger;
use gx_model::{Clock, EventRecord};
use gx_outbox::enqueue::Waker;
use gx_outbox::failure::RetryPolicy;
use gx_projector::{ApplySettings, Projector, ProjectorSettings};
use gx_serve::{Entropy, HealthBoard, RequestLayer, worker_router};
use gx_submitter::{Submitter, SubmitterSettings};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::CliError;
use crate::fabric::LedgerConnection;
use crate::process::Process;

/// The connections that both workers use.
#[derive(Clone)]
pub(crate) struct WorkerContext {
    pub(crate) database: Database,
    connection: LedgerConnection,
    ledger: Ledger,
    waker: Waker,
    clock: Clock,
    entropy: Entropy,
}

impl WorkerContext {
    /// Creates the context. Database and ledger may be down; settings that cannot work are refused.
    pub(crate) async fn open(
        database: Database,
        connection: LedgerConnection,
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Self, CliError> {
        let ledger = connection.ledger(&clock, rng(&entropy))?;
        connection.check_at_start(&ledger, &clock).await?;
        let waker = Waker::new(database.pool().clone());
        Ok(Self { database, connection, ledger, waker, clock, entropy })
    }

    /// Starts the projector and its listener in the process, and returns its health board.
    pub(crate) async fn start_projector(
        &self,
        process: &mut Process,
        settings: ProjectorSettings,
        address: SocketAddr,
    ) -> Result<HealthBoard, CliError> {
        let parts = gx_projector::ProjectorContext {
            pool: self.database.pool().clone(),
            ledger: self.ledger.clone(),
            settings: ApplySettings {
                channel: self.connection.config.channel.clone(),
                chaincode: self.connection.config.chaincode.clone(),
                decode: EventRecord::decode,
                retry: RetryPolicy::default(),
            },
            clock: self.clock.clone(),
            waker: self.waker.clone(),
        };
        let projector = Projector::new(parts, rng(&self.entropy)).with_lead(settings.lead());
        let board = self.listen(process, "projector", address).await?;
        let run = gx_projector::run(
            projector,
            settings,
            rng(&self.entropy),
            process.token(),
            board.clone(),
        );
        process.run(async { Ok(run.await?) });
        Ok(board)
    }

    /// Starts the submitter and its listener in the process, and returns its health board.
    pub(crate) async fn start_submitter(
        &self,
        process: &mut Process,
        settings: SubmitterSettings,
        address: SocketAddr,
    ) -> Result<HealthBoard, CliError> {
        let signers = self.connection.submitters();
        let signers = signers.ok_or_else(|| {
            CliError::message(
                "no signer of transactions is set; set FABRIC_CERT_PATH and FABRIC_KEY_PATH, or \
                 `signers.admin` under `x-gx` in the connection profile",
            )
        })?;
        let parts = gx_submitter::SubmitterContext {
            pool: self.database.pool().clone(),
            ledger: self.ledger.clone(),
            signers,
            channel: self.connection.config.channel.clone(),
            retry: RetryPolicy::default(),
            clock: self.clock.clone(),
        };
        let submitter = Submitter::new(parts, settings, rng(&self.entropy))?;
        let board = self.listen(process, "outbox-submitter", address).await?;
        let run = gx_submitter::run(submitter, process.token(), board.clone());
        process.run(async { Ok(run.await?) });
        let sealer = Sealer::new(self.database.pool().clone(), self.clock.clone());
        let token = process.token();
        process.run(async move {
            token.run_until_cancelled(sealer.run()).await;
            Ok(())
        });
        Ok(board)
    }

    /// Starts the task that removes expired rows.
    pub(crate) fn start_sweeper(&self, process: &mut Process, settings: RetentionSettings) {
        let (pool, clock) = (self.database.pool().clone(), self.clock.clone());
        let token = process.token();
        process.run(async move {
            token.run_until_cancelled(retention::sweep(pool, settings, clock)).await;
            Ok(())
        });
    }

    /// Starts the listener of a worker with its health checks, and returns the board.
    async fn listen(
        &self,
        process: &mut Process,
        role: &'static str,
        address: SocketAddr,
    ) -> Result<HealthBoard, CliError> {
        let board = HealthBoard::new(role, self.clock.clone());
        gx_serve::database::watch_instance(&board, self.database.clone());
        gx_serve::database::watch_lock_waits(&board, self.database.clone());
        gx_serve::database::watch_writes(&board, self.database.clone(), true);
        let request_layer = RequestLayer::new(role, self.clock.clone(), self.entropy.clone());
        process.watch(&board);
        process.listen_internally(role, address, worker_router(&board, request_layer)).await?;
        let (connection, ledger, clock) =
            (self.connection.clone(), self.ledger.clone(), self.clock.clone());
        let watch = connection.watch(ledger, clock, board.clone(), process.token());
        process.run(async {
            watch.await;
            Ok(())
        });
        Ok(board)
    }
}

fn rng(entropy: &Entropy) -> StdRng {
    StdRng::from_seed(entropy.bytes())
}
