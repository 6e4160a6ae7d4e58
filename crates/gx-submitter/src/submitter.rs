//! The submitter's step: see that the ledger is ours, send again what is due, send batches.

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use gx_db::PgPool;
use gx_fabric_client::{Identity, Ledger, LedgerError, Phase};
use gx_model::{Clock, SignerRole};
use gx_outbox::{Probe, RetryPolicy};
use rand::SeedableRng;
use rand::rngs::StdRng;
use time::OffsetDateTime;

use crate::claim::Claims;
use crate::error::SubmitterError;
use crate::gate::Gate;
use crate::send::Kept;
use crate::settings::{SettingsError, SubmitterSettings};
use crate::standing::Standing;

/// The identities that sign.
#[derive(Clone)]
pub struct Signers {
    /// Signs what administrators may do.
    pub admin: Identity,
    /// Signs what only super administrators may do.
    pub super_admin: Identity,
}

impl Signers {
    pub(crate) fn of(&self, role: SignerRole) -> &Identity {
        match role {
            SignerRole::SuperAdmin => &self.super_admin,
            SignerRole::Admin | SignerRole::PartnerApi => &self.admin,
        }
    }
}

/// What a submitter works with.
#[derive(Clone)]
pub struct Parts {
    /// Connections to the outbox.
    pub pool: PgPool,
    /// Where the transactions go.
    pub ledger: Ledger,
    /// Who signs them.
    pub signers: Signers,
    /// The channel, as the projector names it.
    pub channel: String,
    /// When failed commands are tried again.
    pub retry: RetryPolicy,
    /// What time it is.
    pub clock: Clock,
}

/// Turns committed commands into ledger transactions, one [`Submitter::step`] at a time.
pub struct Submitter {
    pub(crate) parts: Parts,
    pub(crate) settings: SubmitterSettings,
    pub(crate) gate: Gate,
    /// Hash of the chain's first block, known once the gate is open.
    pub(crate) genesis_hash: [u8; 32],
    pub(crate) standing: Mutex<Standing>,
    pub(crate) claims: Claims,
    pub(crate) probe: Probe,
}

/// What a step did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The projector has not reached the ledger's tip since the start.
    Waiting {
        /// Height that the ledger had.
        height: u64,
        /// Blocks that were applied.
        applied: u64,
    },
    /// The ledger was unavailable and is left alone for a while.
    Paused {
        /// Until when.
        until: OffsetDateTime,
        /// What it said last.
        why: String,
    },
    /// Nothing is due.
    Idle,
    /// Something was done; there may be more.
    Worked {
        /// Commands tried.
        tried: usize,
        /// Envelopes sent again.
        resent: usize,
    },
}

impl Submitter {
    /// A submitter that has not done anything yet.
    ///
    /// # Errors
    /// [`SettingsError`], such as a lease that does not exceed the ledger's timeouts.
    pub fn new(
        parts: Parts,
        settings: SubmitterSettings,
        rng: StdRng,
    ) -> Result<Self, SettingsError> {
        settings.check(parts.ledger.limits())?;
        Ok(Self {
            parts,
            settings,
            gate: Gate::default(),
            genesis_hash: [0; 32],
            standing: Mutex::new(Standing::new(rng)),
            claims: Claims::default(),
            probe: Probe::default(),
        })
    }

    /// The same, held at each step until the probe lets it go on.
    #[must_use]
    pub fn with_probe(self, probe: Probe) -> Self {
        Self { probe, ..self }
    }

    /// What it works with.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Sends again what is due, and beside it forms, stores and sends new batches. Whatever
    /// ends it on the way, the next step of any submitter goes on safely.
    ///
    /// # Errors
    /// [`SubmitterError`]; the next step takes up where this one failed.
    pub async fn step(&mut self) -> Result<Progress, SubmitterError> {
        if let Some((until, why)) = self.standing().pause(self.now()) {
            return Ok(Progress::Paused { until, why });
        }
        let stepped = self.step_now().await;
        if let Err(SubmitterError::Ledger(error)) = &stepped {
            self.pause_ledger(error);
        }
        if self.standing().take_recheck() {
            self.gate.recheck();
        }
        stepped
    }

    async fn step_now(&mut self) -> Result<Progress, SubmitterError> {
        if let Some(waiting) = self.pass_gate().await? {
            return Ok(waiting);
        }
        let began_at = self.now();
        let resent = self.resend_due().await?;
        let tried = self.send_due().await?;
        if resent == 0 && tried == 0 {
            self.forget_what_is_settled(began_at).await?;
            return Ok(Progress::Idle);
        }
        Ok(Progress::Worked { tried, resent })
    }

    /// Claims batches and sends them side by side; how many commands were tried.
    async fn send_due(&mut self) -> Result<usize, SubmitterError> {
        let Some(mut claim) = self.claim().await? else { return Ok(0) };
        let tried = claim.batches.iter().map(|(batch, _)| batch.commands.len()).sum();
        let (this, lease) = (&*self, &claim.lease);
        let batches = claim.batches.drain(..);
        let sending = batches.map(|(batch, tried)| {
            Box::pin(async move {
                let sent = this.send(batch, tried, lease).await;
                this.probe.at("ended").await;
                sent
            })
        });
        let sent = join_all(sending).await;
        // A database that failed leaves the lanes astray; the next step takes them anew.
        let kept = sent.into_iter().collect::<Result<Vec<Kept>, _>>()?;
        self.claimed(claim.lease, kept.contains(&Kept::No)).await?;
        Ok(tried)
    }

    /// No later call of the same kind may come to tell that a trouble is over.
    async fn forget_what_is_settled(
        &mut self,
        began_at: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        if self.standing().troubles.now().is_some() {
            let mut conn = self.parts.pool.acquire().await?;
            if gx_outbox::next_due(&mut conn, began_at).await?.is_none() {
                self.standing().troubles.all_over();
            }
        }
        Ok(())
    }

    /// Gives back all lanes, so that others go on at once.
    ///
    /// # Errors
    /// The database's.
    pub async fn stop(&mut self) -> Result<(), sqlx::Error> {
        let mut conn = self.parts.pool.acquire().await?;
        gx_outbox::release_owner(&mut conn, &self.settings.instance, self.now()).await?;
        Ok(())
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.parts.clock.now()
    }

    /// How the ledger fares. Never held over an await.
    pub(crate) fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A source of randomness of its own for one task.
    pub(crate) fn rng(&self) -> StdRng {
        StdRng::from_rng(&mut self.standing().rng)
    }

    /// Leaves the ledger alone for a while.
    pub(crate) fn pause_ledger(&self, error: &LedgerError) {
        let now = self.now();
        self.standing().begin_pause(error, now);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.standing().pause(self.now()).is_some()
    }

    /// The ledger carried out what this phase asks of it.
    pub(crate) fn ledger_answered(&self, phase: Phase) {
        self.standing().answered(phase);
    }

    /// Counts a failed call by phase and class, and remembers it for whoever looks.
    pub(crate) fn ledger_failed(&self, phase: Phase, error: &LedgerError) {
        metrics::counter!("gx_submitter_failures_total",
            "phase" => error.phase.name(), "class" => error.class.name())
        .increment(1);
        let now = self.now();
        self.standing().troubles.add(phase, error, now);
    }
}
