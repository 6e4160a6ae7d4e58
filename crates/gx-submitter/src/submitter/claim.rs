//! The claim: one transaction that leases or renews lanes, reads due commands, forms batches, and
//! counts a try for each. Called by each step before it sends; an error ends the step, and the next
//! one begins with a new claim.
//!
//! A submitter that has leased all lanes keeps and renews them until it stops; one that shares the
//! lanes with others releases them after each step. Leasing and releasing all lanes with each batch
//! would leave more dead rows than anything else here.

use std::collections::BTreeSet;

use gx_db::PgConnection;
use gx_model::SignerRole;
use gx_outbox::submitter::{Batch, Lease, Marks, Try, logged_ids};
use time::OffsetDateTime;

use super::Submitter;
use super::choice::PROBE_CHOICE;
use super::failure_review::FailureReview;
use super::send::LeaseState;
use crate::evidence::{Evidence, WINDOW};
use crate::shared_state::Allowance;

/// Limit of the open attempts, because each claim reads all keys that they touch.
const MAX_OPEN: i64 = 256;

/// Result of a claim.
pub(crate) enum ClaimResult {
    /// Batches to be sent, or commands to be reviewed.
    Batches(Claim),
    /// No command can be sent now.
    Nothing,
    /// Everything fails, so nothing is tried before this time.
    BackOff {
        /// When the next command may be tried.
        until: OffsetDateTime,
        /// The last error.
        why: String,
    },
}

/// Batches to be sent under a lease, each with its try.
pub(crate) struct Claim {
    pub(crate) lease: Lease,
    pub(crate) batches: Vec<(Batch, Try)>,
    /// Commands that must be charged or resumed before they are tried again.
    pub(crate) reviews: Vec<FailureReview>,
    /// The signer that needs a witness: one of its commands failed alone, and no other
    /// envelope of this signer can show who caused the failure.
    pub(crate) witness: Option<SignerRole>,
}

impl Claim {
    fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.reviews.is_empty() && self.witness.is_none()
    }
}

/// State that is kept from one claim to the next.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// The lease that is kept, if it has all lanes.
    lease: Option<Lease>,
    marks: Marks,
    /// Whether the last step ended early, so that its lanes are still leased under our name.
    must_release_first: bool,
}

impl Submitter {
    /// Leases lanes, forms batches and counts a try for each. Returns [`ClaimResult::Nothing`] if
    /// no command can be sent.
    pub(crate) async fn claim(&mut self) -> Result<ClaimResult, sqlx::Error> {
        let pool = self.context.pool.clone();
        let mut conn = pool.acquire().await?;
        let mut tx = gx_outbox::submitter::begin(&mut conn).await?;
        let now = self.now();
        let unfinished = self.shared().unfinished_tries.clone();
        if !unfinished.is_empty() {
            gx_outbox::submitter::withdraw_tries(&mut tx, &unfinished).await?;
        }
        let released_first = std::mem::replace(&mut self.claims.must_release_first, true);
        if released_first {
            gx_outbox::submitter::release_owner(&mut tx, &self.settings.instance, now).await?;
        }
        // If this step ends early, its lanes stay leased under our name; the next step releases
        // them.
        let lease = self.leased(&mut tx, released_first, now).await?;
        let (judged, open) = gx_outbox::submitter::judged_last(&mut tx, WINDOW).await?;
        let evidence = Evidence { judged, open };
        let allowance = self.shared().allowance(&evidence, now);
        let reviews = self.commands_to_charge(&mut tx, &evidence).await?;
        let mut claim = Claim { lease, batches: vec![], reviews, witness: None };
        let has_room = open < MAX_OPEN && !claim.lease.is_empty();
        if has_room && !matches!(allowance, Allowance::None { .. }) {
            self.form(&mut tx, &mut claim, &evidence, &allowance, now).await?;
        }
        // If the answer to COMMIT is lost, these tries may have been counted; the next claim
        // withdraws them.
        let numbers = claim.batches.iter().map(|(_, tried)| tried.number());
        self.shared().unfinished_tries.extend(numbers);
        tx.commit().await?;
        drop(conn);
        self.shared().unfinished_tries.clear();
        if !unfinished.is_empty() {
            let tries = unfinished.len();
            tracing::info!(tries, "{tries} tries without a recorded end are withdrawn");
            metrics::counter!("gx_submitter_tries_withdrawn_total")
                .increment(u64::try_from(unfinished.len()).unwrap_or(u64::MAX));
        }
        if !claim.is_empty() {
            return Ok(ClaimResult::Batches(claim));
        }
        self.finish_claim(claim.lease, LeaseState::Held).await?;
        Ok(match allowance {
            Allowance::None { until, why } => ClaimResult::BackOff { until, why },
            Allowance::All | Allowance::Probe => ClaimResult::Nothing,
        })
    }

    /// Ends the claim: keeps the lease if this submitter holds all lanes, and releases it
    /// otherwise.
    pub(crate) async fn finish_claim(
        &mut self,
        lease: Lease,
        state: LeaseState,
    ) -> Result<(), sqlx::Error> {
        if lease.is_whole() && state == LeaseState::Held {
            self.claims.lease = Some(lease);
        } else if !lease.is_empty() {
            let mut conn = self.context.pool.acquire().await?;
            gx_outbox::submitter::release(&mut conn, &lease, self.now()).await?;
        }
        self.claims.must_release_first = false;
        Ok(())
    }

    /// Returns the lease that was kept, renewed if necessary, or a new one.
    async fn leased(
        &mut self,
        conn: &mut PgConnection,
        released_first: bool,
        now: OffsetDateTime,
    ) -> Result<Lease, sqlx::Error> {
        let until = now + self.settings.lease();
        if let Some(mut lease) = self.claims.lease.take().filter(|_| !released_first) {
            if !self.is_due_for_renewal(&lease, now)
                || gx_outbox::submitter::renew(conn, &mut lease, until).await?
            {
                return Ok(lease);
            }
            let lost = gx_outbox::submitter::lost_lanes(conn, &lease).await?;
            let lanes: Vec<i16> = lost.iter().map(|lost| lost.lane).collect();
            let owners: BTreeSet<&str> =
                lost.iter().filter_map(|lost| lost.owner.as_deref()).collect();
            tracing::warn!(
                ?lanes,
                ?owners,
                "another submitter has leased {} lanes of this one",
                lanes.len()
            );
            gx_outbox::submitter::release(conn, &lease, now).await?;
        }
        let (owner, lanes) = (&self.settings.instance, i64::from(self.settings.lanes));
        let lease = gx_outbox::submitter::lease(conn, owner, lanes, now, until).await?;
        let (policy, mut rng) = (&self.context.retry, self.rng());
        let charged =
            gx_outbox::submitter::charge_interrupted(conn, &lease, policy, &mut rng, now).await?;
        if !charged.is_empty() {
            tracing::warn!(commands = charged.len(), command_ids = ?logged_ids(&charged),
                "tries of {} commands were interrupted earlier", charged.len());
        }
        Ok(lease)
    }

    /// Returns whether the lease must be renewed, before the rest of it could be shorter than the
    /// ledger's timeouts. After the clock was set back, the rest looks longer than the whole lease.
    fn is_due_for_renewal(&self, lease: &Lease, now: OffsetDateTime) -> bool {
        let (limits, whole) = (self.context.ledger.limits(), self.settings.lease());
        let needed = limits.endorse_timeout + limits.submit_timeout;
        let spare = whole.saturating_sub(needed) / 2;
        let left = lease.until - now;
        left < whole.saturating_sub(spare) || left > whole
    }

    /// Forms batches of due commands and counts a try for each. Commands that must be reviewed
    /// first are left out, and so are commands that touch the same accounts.
    async fn form(
        &mut self,
        conn: &mut PgConnection,
        claim: &mut Claim,
        evidence: &Evidence,
        allowance: &Allowance,
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        let (limits, batches) = (self.settings.batch_limits(), usize::from(self.settings.batches));
        let wanted = match allowance {
            Allowance::Probe => PROBE_CHOICE,
            Allowance::All | Allowance::None { .. } => limits.max_commands * batches,
        };
        let wanted = i64::try_from(wanted).unwrap_or(i64::MAX);
        let (marks, clock) = (&mut self.claims.marks, &self.context.clock);
        let due =
            gx_outbox::submitter::due_commands(conn, &claim.lease, marks, clock, wanted).await?;
        if due.is_empty() {
            return Ok(());
        }
        let mut busy = gx_outbox::submitter::open_touches(conn).await?;
        let choice = self.choose(due, &claim.reviews, &mut busy, (evidence, allowance), now);
        let suspect = choice.suspect_signer(allowance);
        let formed = match allowance {
            Allowance::Probe => self.probe_of(choice.sendable, &busy, limits),
            Allowance::All | Allowance::None { .. } => {
                gx_outbox::submitter::form_batches(choice.sendable, &busy, limits, batches)
            }
        };
        claim.reviews.extend(choice.reviews);
        for batch in formed {
            let tried = gx_outbox::submitter::start_try(conn, &batch, now).await?;
            claim.batches.push((batch, tried));
        }
        let is_quiet = evidence.open == 0 && claim.is_empty();
        claim.witness = suspect.filter(|signer| {
            let others_go = *allowance == Allowance::Probe
                || claim.batches.iter().any(|(batch, _)| batch.signer == *signer);
            (is_quiet || !others_go) && self.shared().may_witness(!is_quiet, now)
        });
        Ok(())
    }
}
