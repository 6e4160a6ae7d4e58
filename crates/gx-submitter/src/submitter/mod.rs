//! The step of the submitter: checks the chain, sends open attempts again, and sends new batches.
//! The loop in `run`, tests and the simulation call [`Submitter::step`] again and again; after an
//! error the next call continues.

mod chain_check;
mod choice;
mod claim;
mod failure_review;
mod resend;
mod send;
mod storing;
mod witness;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use gx_db::PgPool;
use gx_fabric_client::{Identity, Ledger, LedgerError, Phase};
use gx_model::{Clock, SignerRole};
use gx_outbox::failure::RetryPolicy;
use gx_outbox::submitter::HeldSweep;
use gx_outbox::sync_points::SyncPoints;
use rand::SeedableRng;
use rand::rngs::StdRng;
use time::OffsetDateTime;

use self::chain_check::ChainCheck;
pub(crate) use self::chain_check::to_hash;
use self::claim::{Claim, ClaimResult, Claims};
use self::send::LeaseState;
use crate::error::SubmitterError;
use crate::settings::{SettingsError, SubmitterSettings};
use crate::shared_state::SharedState;

/// Shortest time between two turns of a sweep.
const SWEEP_GAP: Duration = Duration::from_millis(50);

/// The identities that sign.
#[derive(Clone)]
pub struct Signers {
    /// Signs the commands of administrators.
    pub admin: Identity,
    /// Signs the commands that only super administrators may give.
    pub super_admin: Identity,
}

impl Signers {
    /// Returns the identity that signs for a role.
    pub(crate) fn of(&self, role: SignerRole) -> &Identity {
        match role {
            SignerRole::SuperAdmin => &self.super_admin,
            SignerRole::Admin | SignerRole::PartnerApi => &self.admin,
        }
    }
}

/// What a submitter works with.
#[derive(Clone)]
pub struct SubmitterContext {
    /// Connections to the outbox.
    pub pool: PgPool,
    /// The ledger that receives the transactions.
    pub ledger: Ledger,
    /// The identities that sign them.
    pub signers: Signers,
    /// The channel, with the name that the projector uses.
    pub channel: String,
    /// When failed commands are tried again.
    pub retry: RetryPolicy,
    /// The clock.
    pub clock: Clock,
}

/// Makes ledger transactions from committed commands, one [`Submitter::step`] at a time.
pub struct Submitter {
    pub(crate) context: SubmitterContext,
    pub(crate) settings: SubmitterSettings,
    pub(crate) chain_check: ChainCheck,
    /// Hash of block 0, known after the chain was checked.
    pub(crate) genesis_hash: [u8; 32],
    pub(crate) shared_state: Mutex<SharedState>,
    pub(crate) claims: Claims,
    pub(crate) sweep: HeldSweep,
    /// `None` before the first turn of the sweep.
    pub(crate) swept_at: Option<OffsetDateTime>,
    /// Shortest time between the last turn of the sweep and the next one.
    pub(crate) sweep_gap: Duration,
    pub(crate) sync_points: SyncPoints,
}

/// What a step did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The projector has not reached the ledger's tip since the start.
    Waiting {
        /// Height of the ledger.
        height: u64,
        /// Number of blocks that were applied.
        applied: u64,
    },
    /// The ledger was unavailable, or everything that was tried failed. Nothing is sent before this
    /// time.
    BackingOff {
        /// End of the backoff.
        until: OffsetDateTime,
        /// The last error.
        why: String,
    },
    /// Nothing is due.
    Idle,
    /// Something was done; there may be more.
    Worked {
        /// Number of commands that were tried, charged or resumed, and of witnesses.
        tried: usize,
        /// Number of envelopes that were sent again.
        resent: usize,
    },
}

impl Submitter {
    /// Creates a submitter. It does nothing before its first step.
    ///
    /// # Errors
    /// [`SettingsError`], for example if the lease is not longer than the ledger's timeouts.
    pub fn new(
        context: SubmitterContext,
        settings: SubmitterSettings,
        rng: StdRng,
    ) -> Result<Self, SettingsError> {
        settings.check(context.ledger.limits())?;
        Ok(Self {
            context,
            settings,
            chain_check: ChainCheck::default(),
            genesis_hash: [0; 32],
            shared_state: Mutex::new(SharedState::new(rng)),
            claims: Claims::default(),
            sweep: HeldSweep::default(),
            swept_at: None,
            sweep_gap: SWEEP_GAP,
            sync_points: SyncPoints::default(),
        })
    }

    /// Returns this submitter with a test hook that runs between the steps of the protocol.
    #[must_use]
    pub fn with_sync_points(self, sync_points: SyncPoints) -> Self {
        Self { sync_points, ..self }
    }

    /// Returns what the submitter works with.
    pub fn context(&self) -> &SubmitterContext {
        &self.context
    }

    /// Sends open attempts again, and forms, stores and sends new batches. If the step ends early,
    /// the next step of any submitter continues safely.
    ///
    /// # Errors
    /// [`SubmitterError`]; the next step continues where this one failed.
    pub async fn step(&mut self) -> Result<Progress, SubmitterError> {
        if let Some((until, why)) = self.shared().backoff(self.now()) {
            return Ok(Progress::BackingOff { until, why });
        }
        let stepped = self.step_now().await;
        if let Err(SubmitterError::Ledger(error)) = &stepped {
            self.back_off_ledger(Phase::Connect, error);
        }
        if self.shared().take_recheck() {
            self.chain_check.repeat();
        }
        stepped
    }

    /// Takes a step while there is no backoff.
    async fn step_now(&mut self) -> Result<Progress, SubmitterError> {
        if let Some(waiting) = self.check_chain().await? {
            return Ok(waiting);
        }
        let began_at = self.now();
        let resent = self.resend_due().await?;
        self.sweep_held().await?;
        let tried = match self.claim().await? {
            ClaimResult::Batches(claim) => self.send_claimed(claim).await?,
            ClaimResult::BackOff { until, why } if resent == 0 => {
                return Ok(Progress::BackingOff { until, why });
            }
            ClaimResult::Nothing | ClaimResult::BackOff { .. } => 0,
        };
        if resent == 0 && tried == 0 {
            self.clear_settled_failures(began_at).await?;
            return Ok(Progress::Idle);
        }
        Ok(Progress::Worked { tried, resent })
    }

    /// Sends the batches of a claim at the same time and returns the number of commands that were
    /// tried or reviewed.
    async fn send_claimed(&mut self, mut claim: Claim) -> Result<usize, SubmitterError> {
        let tried: usize = claim.batches.iter().map(|(batch, _)| batch.commands.len()).sum();
        let decided = claim.reviews.len() + usize::from(claim.witness.is_some());
        let (this, lease) = (&*self, &claim.lease);
        let batches = claim.batches.drain(..);
        let sending = batches.map(|(batch, tried)| {
            Box::pin(async move {
                let sent = this.send(batch, tried, lease).await;
                this.sync_points.reach("ended").await;
                sent
            })
        });
        let sent = join_all(sending).await;
        // If the database failed, this step ends early; the next step releases the lanes.
        let states = sent.into_iter().collect::<Result<Vec<LeaseState>, _>>()?;
        if let Some(signer) = claim.witness {
            self.send_witness(signer).await?;
        }
        self.carry_out(claim.reviews).await?;
        let is_lost = states.contains(&LeaseState::Lost);
        let state = if is_lost { LeaseState::Lost } else { LeaseState::Held };
        self.finish_claim(claim.lease, state).await?;
        Ok(tried + decided)
    }

    /// Releases some held commands that a race left behind, in its own transaction: one turn of the
    /// sweep per gap, and one whole sweep per poll interval.
    async fn sweep_held(&mut self) -> Result<(), sqlx::Error> {
        let now = self.now();
        if self.swept_at.is_some_and(|at| (now - at).unsigned_abs() < self.sweep_gap) {
            return Ok(());
        }
        self.swept_at = Some(now);
        let mut conn = self.context.pool.acquire().await?;
        let swept = self.sweep.turn(&mut conn, now).await?;
        self.sweep_gap = if swept.is_over { self.settings.poll() } else { SWEEP_GAP };
        metrics::counter!("gx_outbox_held_released_total").increment(swept.released);
        Ok(())
    }

    /// Clears recorded failures if nothing is left to send, since no later call would clear them.
    async fn clear_settled_failures(
        &mut self,
        began_at: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        if self.shared().recent_failures.current().is_some() {
            let mut conn = self.context.pool.acquire().await?;
            if gx_outbox::submitter::next_due(&mut conn, began_at).await?.is_none() {
                self.shared().recent_failures.resolve_all();
            }
        }
        Ok(())
    }

    /// Releases all lanes, so that other submitters can lease them.
    ///
    /// # Errors
    /// `sqlx::Error` if a statement fails; the lanes are free when their leases end.
    pub async fn stop(&mut self) -> Result<(), sqlx::Error> {
        let mut conn = self.context.pool.acquire().await?;
        gx_outbox::submitter::release_owner(&mut conn, &self.settings.instance, self.now()).await?;
        Ok(())
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.context.clock.now()
    }

    /// Locks the state that the batches share. The lock must not be held over an await.
    pub(crate) fn shared(&self) -> MutexGuard<'_, SharedState> {
        self.shared_state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a source of randomness for one task.
    pub(crate) fn rng(&self) -> StdRng {
        StdRng::from_rng(&mut self.shared().rng)
    }

    /// Begins a backoff, in which steps return [`Progress::BackingOff`] and send nothing.
    pub(crate) fn back_off_ledger(&self, phase: Phase, error: &LedgerError) {
        let now = self.now();
        self.shared().begin_backoff(phase, error, now);
    }

    pub(crate) fn is_backing_off(&self) -> bool {
        self.shared().backoff(self.now()).is_some()
    }

    /// Records that a call of this phase succeeded.
    pub(crate) fn ledger_answered(&self, phase: Phase) {
        self.shared().answered(phase);
    }

    /// Counts a failed call by phase and class, and records it for the health report.
    pub(crate) fn ledger_failed(&self, phase: Phase, error: &LedgerError) {
        metrics::counter!("gx_submitter_failures_total",
            "phase" => error.phase.name(), "class" => error.class.name())
        .increment(1);
        let now = self.now();
        self.shared().recent_failures.add(phase, error, now);
    }
}
