//! Verifies the live rows: asks the contracts for balances, identities, countries, pools and the
//! supply, and compares them (G3, G4). Called by `gx projection verify` and by the reconciliation,
//! which report the differences; nothing is corrected.
//!
//! The read model changes in the meantime. A difference counts only if the row is the same before
//! the question and after all blocks that the answer may contain were applied.

mod chain;
mod error;
mod fact_reader;
mod facts;
mod report;
mod store;

use std::time::Duration;

use gx_db::PgPool;
use gx_fabric_client::{BlockId, Ledger, PeerHeight};
use gx_model::{CountryCode, CountryList};

pub use error::VerifyError;
pub use facts::{FactDifference, Subject};
pub use report::{Disagreement, Verification};

use crate::apply::store::dead;
use crate::leader::StepProgress;

use chain::ChainReader;
use fact_reader::FactReader;
use facts::differing;

/// How often the checkpoint is read while the projector catches up.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Limits of a comparison.
#[derive(Clone, Debug)]
pub struct VerifyLimits {
    /// Number of people that are read and compared at a time.
    pub people_at_once: u32,
    /// Limit of the questions to the ledger at a time.
    pub questions_at_once: usize,
    /// Number of times that a subject is compared before it is reported as unsettled.
    pub rounds: u32,
    /// How long the projector may take to reach the ledger's tip.
    pub catch_up_timeout: Duration,
}

impl Default for VerifyLimits {
    fn default() -> Self {
        let catch_up_timeout = Duration::from_secs(30);
        Self { people_at_once: 500, questions_at_once: 16, rounds: 8, catch_up_timeout }
    }
}

/// Compares a read model with its chain. Only reads.
#[derive(Clone, Debug)]
pub struct Verifier {
    pool: PgPool,
    ledger: Ledger,
    limits: VerifyLimits,
    reader: FactReader,
}

impl Verifier {
    /// Creates a verifier for the ledger's channel.
    pub fn new(pool: PgPool, ledger: Ledger, limits: VerifyLimits) -> Self {
        let (questions_at_once, progress) = (limits.questions_at_once, StepProgress::default());
        let chain = ChainReader { ledger: ledger.clone(), questions_at_once, progress };
        let reader = FactReader { chain, channel: ledger.channel().to_owned() };
        Self { pool, ledger, limits, reader }
    }

    /// Returns this verifier, reporting progress to a leader's step.
    pub(crate) fn with_step_progress(mut self, progress: &StepProgress) -> Self {
        self.reader.chain.progress = progress.clone();
        self
    }

    /// Compares everything, and calls `found` for each disagreement that is certain.
    ///
    /// # Errors
    /// [`VerifyError`]; the comparison is incomplete then.
    pub async fn run(
        &self,
        mut found: impl FnMut(&Disagreement) + Send,
    ) -> Result<Verification, VerifyError> {
        self.check_same_chain().await?;
        self.caught_up().await?;
        let mut report = Verification::default();
        let mut take = |report: &mut Verification, group: Group| {
            for disagreement in group.disagreements {
                report.differences += 1;
                report.held_back += u64::from(disagreement.held_back);
                found(&disagreement);
            }
            report.unsettled.extend(group.unsettled);
        };
        take(&mut report, self.compare(vec![Subject::System, Subject::Pools]).await?);
        let countries = self.countries().await?;
        report.countries = countries.len() as u64;
        take(&mut report, self.compare(countries).await?);
        let mut after = String::new();
        loop {
            let people = self.people_after(&after).await?;
            let Some(Subject::Person(last)) = people.last() else { break };
            after.clone_from(last);
            report.people += people.len() as u64;
            take(&mut report, self.compare(people).await?);
        }
        // Sums follow from rows, so they tell something new only if every row is right.
        if report.is_clean() {
            take(&mut report, self.compare(vec![Subject::Totals]).await?);
        }
        self.summarise(&mut report).await?;
        Ok(report)
    }

    /// Adds the sums and the checkpoint to a report.
    async fn summarise(&self, report: &mut Verification) -> Result<(), VerifyError> {
        let mut conn = self.pool.acquire().await?;
        let sums = store::sums(&mut conn).await?;
        report.supply = sums.wallets + sums.pools;
        report.pools = store::pools(&mut conn).await?.len() as u64;
        drop(conn);
        report.checkpoint = self.checkpoint().await?;
        Ok(())
    }

    /// Compares some subjects until each is equal, certainly different, or out of rounds.
    async fn compare(&self, mut open: Vec<Subject>) -> Result<Group, VerifyError> {
        let mut disagreements = Vec::new();
        for round in 0..self.limits.rounds {
            if open.is_empty() {
                break;
            }
            let mut conn = self.pool.acquire().await?;
            let before = self.reader.local(&mut conn, &open).await?;
            drop(conn);
            // A peer that is behind answers with an old state.
            let fresh = round > 0 && self.peers_have_the_checkpoint().await?;
            let chain = self.reader.on_chain(&open, &before).await?;
            let (mut suspects, mut seen) = (Vec::new(), Vec::new());
            for ((subject, here), chain) in open.into_iter().zip(before).zip(chain) {
                if here.facts != chain {
                    suspects.push(subject);
                    seen.push((here, chain));
                }
            }
            open = Vec::new();
            if suspects.is_empty() {
                break;
            }
            self.caught_up().await?;
            let mut conn = self.pool.acquire().await?;
            let after = self.reader.local(&mut conn, &suspects).await?;
            drop(conn);
            for ((subject, (before, chain)), after) in suspects.into_iter().zip(seen).zip(after) {
                if after.facts == chain {
                    continue;
                }
                if !fresh || after != before {
                    open.push(subject);
                    continue;
                }
                let held_back = self.is_held(&after.keys).await?;
                let facts = differing(&after.facts, &chain);
                disagreements.push(Disagreement { subject, held_back, facts });
            }
        }
        Ok(Group { disagreements, unsettled: open })
    }

    /// Returns all countries of the program and of the read model.
    async fn countries(&self) -> Result<Vec<Subject>, VerifyError> {
        let mut conn = self.pool.acquire().await?;
        let here = store::country_codes(&mut conn).await?;
        let mut codes: Vec<CountryCode> =
            CountryList::embedded().iter().map(|country| country.country_code).collect();
        // A text that is not a country's code was never on the chain. Its treasury shows in the
        // sums.
        codes.extend(here.iter().filter_map(|code| code.parse::<CountryCode>().ok()));
        codes.sort_unstable();
        codes.dedup();
        Ok(codes.into_iter().map(Subject::Country).collect())
    }

    /// Returns the next people after an id; none at the end.
    async fn people_after(&self, after: &str) -> Result<Vec<Subject>, VerifyError> {
        let mut conn = self.pool.acquire().await?;
        let limit = i64::from(self.limits.people_at_once);
        let ids = store::ids_after(&mut conn, after, limit).await?;
        Ok(ids.into_iter().map(Subject::Person).collect())
    }

    /// Returns whether a dead letter names one of these accounts, or whether there is any if none
    /// is given.
    async fn is_held(&self, keys: &[String]) -> Result<bool, VerifyError> {
        let mut conn = self.pool.acquire().await?;
        let channel = self.ledger.channel();
        if keys.is_empty() {
            return Ok(dead::count_held(&mut conn, channel).await? > 0);
        }
        Ok(dead::names_account(&mut conn, channel, keys).await?)
    }

    /// Returns the number of the last block that was applied.
    async fn checkpoint(&self) -> Result<u64, VerifyError> {
        let mut conn = self.pool.acquire().await?;
        let at = gx_outbox::tip::checkpoint(&mut conn, self.ledger.channel()).await?;
        let at = at.ok_or(VerifyError::NothingProjected)?;
        Ok(u64::try_from(at.block_number).unwrap_or(0))
    }

    /// Checks that the ledger has the read model's block 0.
    async fn check_same_chain(&self) -> Result<(), VerifyError> {
        let mut conn = self.pool.acquire().await?;
        let at = gx_outbox::tip::checkpoint(&mut conn, self.ledger.channel()).await?;
        drop(conn);
        let at = at.ok_or(VerifyError::NothingProjected)?;
        let hash = at.genesis_hash.try_into().unwrap_or_default();
        Ok(self.ledger.confirm(&[BlockId { number: 0, hash }]).await?)
    }

    /// Waits until every block that exists now is applied. [`VerifyError::Behind`] if that takes
    /// too long.
    async fn caught_up(&self) -> Result<(), VerifyError> {
        let tip = PeerHeight::tip(&self.ledger.heights().await)?.saturating_sub(1);
        let waiting = async {
            while self.checkpoint().await? < tip {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            Ok(())
        };
        let waiting = tokio::time::timeout(self.limits.catch_up_timeout, waiting);
        match self.reader.chain.progress.wait(waiting).await {
            Ok(done) => done,
            Err(_) => Err(VerifyError::Behind { checkpoint: self.checkpoint().await?, tip }),
        }
    }

    /// Returns whether each of our peers that answers has the last block that was applied.
    async fn peers_have_the_checkpoint(&self) -> Result<bool, VerifyError> {
        let checkpoint = self.checkpoint().await?;
        let heights = self.ledger.heights().await;
        let ours = heights.iter().filter(|peer| peer.own);
        Ok(ours.filter_map(|peer| peer.height.as_ref().ok()).all(|height| *height > checkpoint))
    }
}

/// Results of comparing some subjects.
struct Group {
    disagreements: Vec<Disagreement>,
    unsettled: Vec<Subject>,
}
