//! The claim: in one transaction lanes are leased or renewed, what is due is looked at,
//! batches are formed of it, and their tries are counted.
//!
//! A submitter that got every lane keeps them until it stops, and renews them; one that
//! shares the lanes with others gives them back after each step. Lanes that are leased and
//! given back with each batch would leave dead rows behind faster than anything else here.

use std::time::Duration;

use gx_db::PgConnection;
use gx_outbox::{Batch, Lease, Marks, Try};
use time::OffsetDateTime;

use crate::submitter::Submitter;

/// Batches that are to be sent under a lease, each with its try.
pub(crate) struct Claim {
    pub(crate) lease: Lease,
    pub(crate) batches: Vec<(Batch, Try)>,
}

/// What lasts from claim to claim.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// Lanes that are kept.
    lease: Option<Lease>,
    marks: Marks,
    swept_at: Option<OffsetDateTime>,
    /// Lanes may be leased under this name although no step is under way.
    astray: bool,
}

impl Submitter {
    /// Counts tries of the batches that may go now; none where nothing may.
    pub(crate) async fn claim(&mut self) -> Result<Option<Claim>, sqlx::Error> {
        let pool = self.parts.pool.clone();
        let mut conn = pool.acquire().await?;
        let mut tx = sqlx::Connection::begin(&mut *conn).await?;
        let now = self.now();
        let was_astray = std::mem::replace(&mut self.claims.astray, true);
        if was_astray {
            gx_outbox::release_owner(&mut tx, &self.settings.instance, now).await?;
        }
        // Whatever ends this step early leaves the lanes astray.
        let lease = self.leased(&mut tx, was_astray, now).await?;
        self.sweep(&mut tx, now).await?;
        let batches = self.form(&mut tx, &lease, now).await?;
        tx.commit().await?;
        drop(conn);
        if batches.is_empty() {
            self.claimed(lease, false).await?;
            return Ok(None);
        }
        Ok(Some(Claim { lease, batches }))
    }

    /// The step is over: keeps the lanes, or gives them back.
    pub(crate) async fn claimed(&mut self, lease: Lease, lost: bool) -> Result<(), sqlx::Error> {
        if lease.is_whole() && !lost {
            self.claims.lease = Some(lease);
        } else if !lease.is_empty() {
            let mut conn = self.parts.pool.acquire().await?;
            gx_outbox::release(&mut conn, &lease, self.now()).await?;
        }
        self.claims.astray = false;
        Ok(())
    }

    /// The lanes that were kept, or free ones.
    async fn leased(
        &mut self,
        conn: &mut PgConnection,
        was_astray: bool,
        now: OffsetDateTime,
    ) -> Result<Lease, sqlx::Error> {
        let until = now + self.settings.lease();
        if let Some(mut lease) = self.claims.lease.take().filter(|_| !was_astray) {
            if !self.is_due_for_renewal(&lease, now)
                || gx_outbox::renew(conn, &mut lease, until).await?
            {
                return Ok(lease);
            }
            tracing::warn!("lanes were leased by another submitter meanwhile");
            gx_outbox::release(conn, &lease, now).await?;
        }
        let (owner, lanes) = (&self.settings.instance, i64::from(self.settings.lanes));
        let lease = gx_outbox::lease(conn, owner, lanes, now, until).await?;
        let (policy, mut rng) = (&self.parts.retry, self.rng());
        let charged = gx_outbox::charge_interrupted(conn, &lease, policy, &mut rng, now).await?;
        if charged > 0 {
            tracing::warn!(commands = charged, "tries of an earlier submitter were interrupted");
        }
        Ok(lease)
    }

    /// Before the rest of the lease could be too short for the ledger's timeouts. A clock
    /// that was set back makes a lease longer than any.
    fn is_due_for_renewal(&self, lease: &Lease, now: OffsetDateTime) -> bool {
        let (limits, whole) = (self.parts.ledger.limits(), self.settings.lease());
        let needed = limits.endorse_timeout + limits.submit_timeout;
        let spare = whole.saturating_sub(needed) / 2;
        let left = lease.until - now;
        left < whole.saturating_sub(spare) || left > whole
    }

    async fn form(
        &mut self,
        conn: &mut PgConnection,
        lease: &Lease,
        now: OffsetDateTime,
    ) -> Result<Vec<(Batch, Try)>, sqlx::Error> {
        if lease.is_empty() {
            return Ok(Vec::new());
        }
        let (limits, batches) = (self.settings.batch_limits(), usize::from(self.settings.batches));
        let wanted = i64::try_from(limits.max_commands * batches).unwrap_or(i64::MAX);
        let due =
            gx_outbox::due_commands(conn, lease, &mut self.claims.marks, &self.parts.clock, wanted)
                .await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let busy = gx_outbox::open_touches(conn).await?;
        let mut started = Vec::new();
        for batch in gx_outbox::form(due, &busy, limits, batches) {
            let tried = gx_outbox::start(conn, &batch, now).await?;
            started.push((batch, tried));
        }
        Ok(started)
    }

    /// Once a poll: releases what a race left held.
    async fn sweep(
        &mut self,
        conn: &mut PgConnection,
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        let poll: Duration = self.settings.poll();
        if self.claims.swept_at.is_some_and(|at| (now - at).unsigned_abs() < poll) {
            return Ok(());
        }
        self.claims.swept_at = Some(now);
        gx_outbox::release_held(conn, now).await?;
        Ok(())
    }
}
