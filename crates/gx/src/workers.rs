//! Submitter and projector, put together the same way for a process of their own and for the
//! development stack.

use std::net::SocketAddr;

use gx_db::Database;
use gx_fabric_client::Ledger;
use gx_model::{Clock, EventRecord};
use gx_outbox::{RetryPolicy, Waker};
use gx_projector::{Projector, ProjectorSettings, Rules};
use gx_serve::{Entropy, Envelope, HealthBoard, worker_router};
use gx_submitter::{Submitter, SubmitterSettings};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::Failure;
use crate::fabric::LedgerAccess;
use crate::process::Process;

/// What both workers work with.
#[derive(Clone)]
pub(crate) struct Workplace {
    pub(crate) database: Database,
    access: LedgerAccess,
    ledger: Ledger,
    waker: Waker,
    clock: Clock,
    entropy: Entropy,
}

impl Workplace {
    /// Needs neither the database nor the ledger to be there yet. What can never work with
    /// these settings is refused.
    pub(crate) async fn open(
        database: Database,
        access: LedgerAccess,
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Self, Failure> {
        let ledger = access.ledger(&clock, rng(&entropy))?;
        access.check_at_start(&ledger, &clock).await?;
        let waker = Waker::new(database.pool().clone());
        Ok(Self { database, access, ledger, waker, clock, entropy })
    }

    /// Adds the projector and its listener to the process.
    pub(crate) async fn start_projector(
        &self,
        process: &mut Process,
        settings: ProjectorSettings,
        address: SocketAddr,
    ) -> Result<HealthBoard, Failure> {
        let parts = gx_projector::Parts {
            pool: self.database.pool().clone(),
            ledger: self.ledger.clone(),
            rules: Rules {
                channel: self.access.config.channel.clone(),
                chaincode: self.access.config.chaincode.clone(),
                decode: EventRecord::decode,
                retry: RetryPolicy::default(),
            },
            clock: self.clock.clone(),
            waker: self.waker.clone(),
        };
        let projector = Projector::new(parts, rng(&self.entropy));
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

    /// Adds the submitter and its listener to the process.
    pub(crate) async fn start_submitter(
        &self,
        process: &mut Process,
        settings: SubmitterSettings,
        address: SocketAddr,
    ) -> Result<HealthBoard, Failure> {
        let signers = self.access.submitters();
        let signers = signers.ok_or_else(|| Failure::say("nobody signs transactions"))?;
        let parts = gx_submitter::Parts {
            pool: self.database.pool().clone(),
            ledger: self.ledger.clone(),
            signers,
            channel: self.access.config.channel.clone(),
            retry: RetryPolicy::default(),
            clock: self.clock.clone(),
        };
        let submitter = Submitter::new(parts, settings, rng(&self.entropy))?;
        let board = self.listen(process, "outbox-submitter", address).await?;
        let run = gx_submitter::run(submitter, process.token(), board.clone());
        process.run(async { Ok(run.await?) });
        Ok(board)
    }

    async fn listen(
        &self,
        process: &mut Process,
        role: &'static str,
        address: SocketAddr,
    ) -> Result<HealthBoard, Failure> {
        let board = HealthBoard::new(role, self.clock.clone());
        let envelope = Envelope::new(role, self.clock.clone(), self.entropy.clone());
        process.watch(&board);
        process.listen(role, address, worker_router(&board, envelope)).await?;
        let (access, ledger, clock) =
            (self.access.clone(), self.ledger.clone(), self.clock.clone());
        let watch = access.watch(ledger, clock, board.clone(), process.token());
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
