//! The submitter's step: see that the ledger is ours, send again what is due, send a batch.

use std::time::Duration;

use gx_db::{PgConnection, PgPool};
use gx_fabric_client::{Identity, Ledger, LedgerError, Phase};
use gx_model::{Clock, SignerRole};
use gx_outbox::{FailureClass, Fate, Probe, Purpose, RetryPolicy};
use rand::RngExt;
use rand::rngs::StdRng;
use time::OffsetDateTime;

use crate::error::SubmitterError;
use crate::gate::Gate;
use crate::settings::{SettingsError, SubmitterSettings};
use crate::trouble::Troubles;

/// The first pause after the ledger was unavailable is at most this long; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// Most commands looked at to form one batch.
const MAX_LOOKED_AT: i64 = 2_000;

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
    pub(crate) rng: StdRng,
    pub(crate) gate: Gate,
    pub(crate) troubles: Troubles,
    pub(crate) probe: Probe,
    pause: Option<Pause>,
    swept_at: Option<OffsetDateTime>,
    /// Lanes may be leased under this name although no step is under way.
    lanes_astray: bool,
}

/// The ledger is left alone for a while.
struct Pause {
    until: OffsetDateTime,
    /// Failures in a row.
    failures: u32,
    why: String,
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
            rng,
            gate: Gate::default(),
            troubles: Troubles::default(),
            probe: Probe::default(),
            pause: None,
            swept_at: None,
            lanes_astray: false,
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

    /// Sends again what is due, then forms, stores and sends at most one batch. Whatever
    /// ends it on the way, the next step of any submitter goes on safely.
    ///
    /// # Errors
    /// [`SubmitterError`]; the next step takes up where this one failed.
    pub async fn step(&mut self) -> Result<Progress, SubmitterError> {
        if self.is_paused()
            && let Some(Pause { until, why, .. }) = &self.pause
        {
            return Ok(Progress::Paused { until: *until, why: why.clone() });
        }
        let stepped = self.step_now().await;
        match &stepped {
            Err(SubmitterError::Ledger(error)) => self.pause_ledger(error),
            // Whether the lanes were given back nobody knows.
            Err(SubmitterError::Database(_)) => self.lanes_astray = true,
            _ => {}
        }
        stepped
    }

    /// Whether the ledger is left alone. A pause that a clock set back made longer than any
    /// is over.
    pub(crate) fn is_paused(&self) -> bool {
        let now = self.now();
        self.pause
            .as_ref()
            .is_some_and(|pause| now < pause.until && pause.until - now <= LONGEST_PAUSE)
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

    /// No later call of the same kind may come to tell that a trouble is over.
    async fn forget_what_is_settled(
        &mut self,
        began_at: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        if self.troubles.now().is_some() {
            let mut conn = self.parts.pool.acquire().await?;
            if gx_outbox::next_due(&mut conn, began_at).await?.is_none() {
                self.troubles.all_over();
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

    /// Leaves the ledger alone for a while, longer after each failure in a row, and
    /// compares its genesis block again afterwards.
    pub(crate) fn pause_ledger(&mut self, error: &LedgerError) {
        let in_a_row = self.pause.as_ref().filter(|last| {
            // What failed long ago says nothing about now.
            (self.now() - last.until).unsigned_abs() < LONGEST_PAUSE * 4
        });
        let failures = in_a_row.map_or(1, |last| last.failures.saturating_add(1));
        let factor = 1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX);
        let longest = FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE);
        let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        let pause = Duration::from_millis(self.rng.random_range(0..=longest));
        let (until, why) = (self.now() + pause, error.to_string());
        self.pause = Some(Pause { until, failures, why });
        self.gate.recheck();
    }

    /// The ledger carried out what this phase asks of it.
    pub(crate) fn ledger_answered(&mut self, phase: Phase) {
        self.pause = None;
        self.troubles.over(phase);
    }

    /// Counts a failed call by phase and class, and remembers it for whoever looks.
    pub(crate) fn ledger_failed(&mut self, phase: Phase, error: &LedgerError) {
        metrics::counter!("gx_submitter_failures_total",
            "phase" => error.phase.name(), "class" => error.class.name())
        .increment(1);
        self.troubles.add(phase, error, self.parts.clock.now());
    }

    /// Leases lanes, forms a batch and sends it; how many commands were tried.
    async fn send_due(&mut self) -> Result<usize, SubmitterError> {
        let pool = self.parts.pool.clone();
        let mut conn = pool.acquire().await?;
        let now = self.now();
        if self.lanes_astray {
            gx_outbox::release_owner(&mut conn, &self.settings.instance, now).await?;
            self.lanes_astray = false;
        }
        self.sweep(&mut conn, now).await?;
        let until = now + self.settings.lease();
        let lanes = i64::from(self.settings.lanes);
        let lease = gx_outbox::lease(&mut conn, &self.settings.instance, lanes, now, until).await?;
        if lease.is_empty() {
            return Ok(0);
        }
        self.probe.at("leased").await;
        let sent = self.send_leased(conn, &lease).await;
        let mut conn = pool.acquire().await?;
        gx_outbox::release(&mut conn, &lease, self.now()).await?;
        sent
    }

    async fn send_leased(
        &mut self,
        mut conn: sqlx::pool::PoolConnection<gx_db::Postgres>,
        lease: &gx_outbox::Lease,
    ) -> Result<usize, SubmitterError> {
        let now = self.now();
        gx_outbox::hold_followers(&mut conn, lease, now).await?;
        let due = gx_outbox::due_commands(&mut conn, lease, now, MAX_LOOKED_AT).await?;
        let budget = self.parts.retry.budget(FailureClass::Interrupted);
        let exhausted: Vec<String> = due
            .iter()
            .filter(|one| one.purpose == Purpose::Execute && one.interrupted >= budget)
            .map(|one| one.command_id.clone())
            .collect();
        if !exhausted.is_empty() {
            self.give_up_interrupted(&mut conn, &exhausted).await?;
            return Ok(exhausted.len());
        }
        self.probe.at("looked").await;
        let busy = gx_outbox::open_touches(&mut conn).await?;
        let Some(batch) = gx_outbox::form(due, &busy, self.settings.batch_limits()) else {
            return Ok(0);
        };
        let count = batch.commands.len();
        if !gx_outbox::start(&mut conn, lease, &batch.ids(), self.now()).await? {
            return Ok(0);
        }
        // The ledger may take long; the connection is for others meanwhile.
        drop(conn);
        self.probe.at("counted").await;
        self.send(batch, lease).await?;
        Ok(count)
    }

    async fn give_up_interrupted(
        &mut self,
        conn: &mut PgConnection,
        ids: &[String],
    ) -> Result<(), sqlx::Error> {
        let fate = Fate {
            class: FailureClass::Interrupted,
            message: "the submitter stopped each time while it was sending this command",
            from_status: "PENDING",
        };
        let now = self.now();
        gx_outbox::put_back(conn, ids, fate, &self.parts.retry, &mut self.rng, now).await?;
        Ok(())
    }

    /// Once a poll: releases what a race left held.
    async fn sweep(
        &mut self,
        conn: &mut PgConnection,
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        if self.swept_at.is_some_and(|at| (now - at).unsigned_abs() < self.settings.poll()) {
            return Ok(());
        }
        self.swept_at = Some(now);
        gx_outbox::release_held(conn, now).await?;
        Ok(())
    }
}
