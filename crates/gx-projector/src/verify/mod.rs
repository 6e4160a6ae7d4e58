//! Whether the live rows are what the chain says: balances, identities, countries, pools and
//! the supply, each asked of the contracts and compared (G3, G4).
//!
//! People go on paying meanwhile, so a difference counts only when it holds still: the row is
//! the same before the question and after every block was applied that may have been in the
//! answer.

mod chain;
mod error;
mod facts;
mod report;
mod sides;

use std::collections::HashSet;
use std::time::Duration;

use gx_db::PgPool;
use gx_fabric_client::{ChainError, Ledger, PeerHeight};
use gx_model::{CountryCode, CountryList};

pub use error::VerifyError;
pub use facts::{FactDifference, Subject};
pub use report::{Disagreement, Verification};

use crate::store::{dead, verify as store};
use chain::Chain;
use facts::differing;
use sides::Sides;

/// How often the checkpoint is looked at while the projector catches up.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Bounds of a comparison.
#[derive(Clone, Debug)]
pub struct VerifyLimits {
    /// People read and compared at a time.
    pub people_at_once: u32,
    /// Questions to the ledger under way at a time.
    pub questions_at_once: usize,
    /// How often a subject that differs is looked at before it is left as unsettled.
    pub rounds: u32,
    /// How long the projector may take to reach the ledger's tip.
    pub patience: Duration,
}

impl Default for VerifyLimits {
    fn default() -> Self {
        let patience = Duration::from_secs(30);
        Self { people_at_once: 500, questions_at_once: 16, rounds: 8, patience }
    }
}

/// Compares a read model with its chain. Reads only.
#[derive(Clone, Debug)]
pub struct Verifier {
    pool: PgPool,
    ledger: Ledger,
    limits: VerifyLimits,
    sides: Sides,
}

impl Verifier {
    /// A verifier of the ledger's channel.
    pub fn new(pool: PgPool, ledger: Ledger, limits: VerifyLimits) -> Self {
        let chain = Chain { ledger: ledger.clone(), questions_at_once: limits.questions_at_once };
        let sides = Sides { chain, channel: ledger.channel().to_owned() };
        Self { pool, ledger, limits, sides }
    }

    /// Compares everything, and hands over each disagreement when it is certain.
    ///
    /// # Errors
    /// [`VerifyError`]: then nothing is known.
    pub async fn run(
        &self,
        mut found: impl FnMut(&Disagreement) + Send,
    ) -> Result<Verification, VerifyError> {
        self.check_same_chain().await?;
        self.caught_up().await?;
        let mut report = Verification::default();
        let held = self.held().await?;
        let mut take = |report: &mut Verification, group: Group| {
            for disagreement in group.disagreements {
                report.differences += 1;
                report.held_back += u64::from(disagreement.held_back);
                found(&disagreement);
            }
            report.unsettled.extend(group.unsettled);
        };
        take(&mut report, self.compare(vec![Subject::System, Subject::Pools], &held).await?);
        let countries = self.countries().await?;
        report.countries = countries.len() as u64;
        take(&mut report, self.compare(countries, &held).await?);
        let mut after = String::new();
        loop {
            let people = self.people_after(&after).await?;
            let Some(Subject::Person(last)) = people.last() else { break };
            after.clone_from(last);
            report.people += people.len() as u64;
            take(&mut report, self.compare(people, &held).await?);
        }
        // Sums follow from rows: they say more only where every row is right.
        if report.is_clean() {
            take(&mut report, self.compare(vec![Subject::Totals], &held).await?);
        }
        self.summarise(&mut report).await?;
        Ok(report)
    }

    async fn summarise(&self, report: &mut Verification) -> Result<(), VerifyError> {
        let mut conn = self.pool.acquire().await?;
        let sums = store::sums(&mut conn).await?;
        report.supply = sums.wallets + sums.pools;
        report.pools = store::pools(&mut conn).await?.len() as u64;
        drop(conn);
        report.checkpoint = self.checkpoint().await?;
        Ok(())
    }

    /// Compares a few subjects until each is equal, certainly different, or out of rounds.
    async fn compare(
        &self,
        mut open: Vec<Subject>,
        held: &HashSet<String>,
    ) -> Result<Group, VerifyError> {
        let mut disagreements = Vec::new();
        for round in 0..self.limits.rounds {
            if open.is_empty() {
                break;
            }
            let mut conn = self.pool.acquire().await?;
            let before = self.sides.here(&mut conn, &open).await?;
            drop(conn);
            // A peer that is behind would answer with the past.
            let fresh = round > 0 && self.peers_have_the_checkpoint().await?;
            let chain = self.sides.on_chain(&open, &before).await?;
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
            let after = self.sides.here(&mut conn, &suspects).await?;
            drop(conn);
            for ((subject, (before, chain)), after) in suspects.into_iter().zip(seen).zip(after) {
                if after.facts == chain {
                    continue;
                }
                if !fresh || after != before {
                    open.push(subject);
                    continue;
                }
                let held_back = after.keys.iter().any(|key| held.contains(key))
                    || (after.keys.is_empty() && !held.is_empty());
                let facts = differing(&after.facts, &chain);
                disagreements.push(Disagreement { subject, held_back, facts });
            }
        }
        Ok(Group { disagreements, unsettled: open })
    }

    async fn countries(&self) -> Result<Vec<Subject>, VerifyError> {
        let mut conn = self.pool.acquire().await?;
        let here = store::country_codes(&mut conn).await?;
        let mut codes: Vec<CountryCode> =
            CountryList::embedded().iter().map(|country| country.country_code).collect();
        // What is no country's code was never on the chain; its treasury then shows in the sums.
        codes.extend(here.iter().filter_map(|code| code.parse::<CountryCode>().ok()));
        codes.sort_unstable();
        codes.dedup();
        Ok(codes.into_iter().map(Subject::Country).collect())
    }

    async fn people_after(&self, after: &str) -> Result<Vec<Subject>, VerifyError> {
        let mut conn = self.pool.acquire().await?;
        let limit = i64::from(self.limits.people_at_once);
        let rows = store::people(&mut conn, after, None, limit).await?;
        Ok(rows.into_iter().map(|row| Subject::Person(row.profile_id)).collect())
    }

    async fn held(&self) -> Result<HashSet<String>, VerifyError> {
        let mut conn = self.pool.acquire().await?;
        let keys = dead::held_keys(&mut conn, self.ledger.channel()).await?;
        Ok(keys.into_iter().collect())
    }

    async fn checkpoint(&self) -> Result<u64, VerifyError> {
        let mut conn = self.pool.acquire().await?;
        let at = gx_outbox::checkpoint(&mut conn, self.ledger.channel()).await?;
        let at = at.ok_or(VerifyError::NothingProjected)?;
        Ok(u64::try_from(at.block_number).unwrap_or(0))
    }

    async fn check_same_chain(&self) -> Result<(), VerifyError> {
        let mut conn = self.pool.acquire().await?;
        let at = gx_outbox::checkpoint(&mut conn, self.ledger.channel()).await?;
        drop(conn);
        let at = at.ok_or(VerifyError::NothingProjected)?;
        let found = self.ledger.genesis().await?;
        if found.hash.as_slice() == at.genesis_hash {
            return Ok(());
        }
        let expected = at.genesis_hash.try_into().unwrap_or_default();
        let (number, found) = (found.number, found.hash);
        Err(VerifyError::OtherChain(ChainError::OtherChain { number, expected, found }))
    }

    /// Waits until every block is applied that exists now.
    async fn caught_up(&self) -> Result<(), VerifyError> {
        let tip = PeerHeight::tip(&self.ledger.heights().await)?.saturating_sub(1);
        let waiting = async {
            while self.checkpoint().await? < tip {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Ok(())
        };
        match tokio::time::timeout(self.limits.patience, waiting).await {
            Ok(done) => done,
            Err(_) => Err(VerifyError::Behind { checkpoint: self.checkpoint().await?, tip }),
        }
    }

    /// Whether each of our peers that answers has the last block applied.
    async fn peers_have_the_checkpoint(&self) -> Result<bool, VerifyError> {
        let checkpoint = self.checkpoint().await?;
        let heights = self.ledger.heights().await;
        let ours = heights.iter().filter(|peer| peer.own);
        Ok(ours.filter_map(|peer| peer.height.as_ref().ok()).all(|height| *height > checkpoint))
    }
}

/// What became of a few subjects.
struct Group {
    disagreements: Vec<Disagreement>,
    unsettled: Vec<Subject>,
}
