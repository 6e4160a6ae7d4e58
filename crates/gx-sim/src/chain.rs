//! The chain, read at the end of a run: how each command ended, and what its events did. Called by
//! `run::checks`. An `Err` is a guarantee that the chain itself violates, and ends the run.

use std::collections::{BTreeMap, BTreeSet};

use gx_fabric_client::{Block, BlockTransaction, Ledger, TransactionKind};
use gx_model::{BatchEntry, BatchEvent, DomainEvent, EntryOutcome, EventRecord};

use crate::chain_replay::{At, ChainReplay, EventPlace};

/// The final outcome of a command on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FinalOutcome {
    pub(crate) tx_id: String,
    pub(crate) outcome: EntryOutcome,
    pub(crate) events: Vec<DomainEvent>,
    /// Number of commands that had ended before.
    pub(crate) place: usize,
}

/// A transaction of GX.
#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub(crate) id: String,
    pub(crate) code: String,
}

/// Everything that was read from the chain.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chain {
    pub(crate) replay: ChainReplay,
    pub(crate) outcomes: BTreeMap<String, FinalOutcome>,
    /// Commands whose id the chain has with other content.
    pub(crate) mismatched: BTreeSet<String>,
    pub(crate) transactions: Vec<Transaction>,
    pub(crate) height: u64,
    /// Every event, by its place.
    pub(crate) records: BTreeMap<EventPlace, EventRecord>,
}

impl Chain {
    /// Reads the blocks up to a height.
    pub(crate) async fn read_to(&mut self, ledger: &Ledger, height: u64) -> Result<(), String> {
        if self.height >= height {
            return Ok(());
        }
        let mut blocks = ledger.blocks(self.height);
        while self.height < height {
            let block = blocks.next().await.map_err(|why| why.to_string())?;
            let block = block.ok_or("the stream ended before the tip")?;
            self.take(&block)?;
            self.height = block.number + 1;
        }
        Ok(())
    }

    /// Adds a block.
    fn take(&mut self, block: &Block) -> Result<(), String> {
        let number = i64::try_from(block.number).map_err(|why| why.to_string())?;
        for transaction in &block.transactions {
            if transaction.kind != TransactionKind::Endorser {
                continue;
            }
            let (id, code) = (transaction.tx_id.clone(), transaction.code.name().into_owned());
            self.transactions.push(Transaction { id, code });
            if transaction.code.is_valid() {
                self.take_valid(number, transaction)?;
            }
        }
        self.replay.check_supply(number)
    }

    fn take_valid(&mut self, block: i64, transaction: &BlockTransaction) -> Result<(), String> {
        let Some(event) = &transaction.event else { return Ok(()) };
        let batch: BatchEvent =
            serde_json::from_slice(&event.payload).map_err(|why| why.to_string())?;
        let mut index = 0;
        for entry in &batch.entries {
            for record in &entry.events {
                self.replay.apply(record, At { block, tx_id: &transaction.tx_id, index })?;
                let place = (block, transaction.tx_id.clone(), index);
                self.records.insert(place, record.clone());
                index += 1;
            }
            self.judge(entry, &transaction.tx_id)?;
        }
        Ok(())
    }

    /// G2 on the chain itself: checks that an id ends once and that every later outcome repeats the
    /// first.
    fn judge(&mut self, entry: &BatchEntry, tx_id: &str) -> Result<(), String> {
        let id = entry.command_id.to_string();
        let before = self.outcomes.get(&id);
        match &entry.outcome {
            EntryOutcome::Deferred { .. } => {}
            EntryOutcome::Mismatch { .. } => {
                self.mismatched.insert(id);
            }
            EntryOutcome::Replay { tx_id, first } => {
                let same =
                    before.is_some_and(|known| known.tx_id == *tx_id && known.outcome == **first);
                if !same || !entry.events.is_empty() {
                    return Err(format!("G2: command {id} is repeated as something else"));
                }
            }
            outcome => {
                if let Some(known) = before {
                    return Err(format!("G2: command {id} ended twice: {known:?}, {outcome:?}"));
                }
                let events = entry.events.iter().filter_map(|record| record.decode().ok());
                let (tx_id, events) = (tx_id.to_owned(), events.collect());
                let (outcome, place) = (outcome.clone(), self.outcomes.len());
                self.outcomes.insert(id, FinalOutcome { tx_id, outcome, events, place });
            }
        }
        Ok(())
    }
}
