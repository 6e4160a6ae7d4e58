//! A ledger of one peer in memory. It checks the invariants after every transaction.

use std::collections::BTreeMap;
use std::ops::Bound;

use gx_contract::{Caller, Invocation, Response, State, StateError, invoke};
use gx_model::{BatchCommand, BatchEntry, BatchEvent, Command, CommandId, Qirat, SignerRole};
use serde::de::DeserializeOwned;
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::datetime;

pub(crate) const CHAINCODE: &str = "gxtv3";

/// The state, with counts of the reads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) values: BTreeMap<String, Vec<u8>>,
    ranges: usize,
}

impl State for Memory {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.values.get(key).cloned())
    }

    fn range(&mut self, start: &str, end: &str) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        self.ranges += 1;
        let bounds = (Bound::Included(start.to_owned()), Bound::Excluded(end.to_owned()));
        Ok(self.values.range(bounds).map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    pub(crate) state: Memory,
    pub(crate) now: OffsetDateTime,
    transactions: u32,
}

impl Default for Ledger {
    fn default() -> Self {
        let now = datetime!(2025-06-15 12:00 UTC);
        Self { state: Memory::default(), now, transactions: 0 }
    }
}

impl Ledger {
    /// Proposes the call and commits it if it is endorsed.
    pub(crate) fn call(
        &mut self,
        role: Option<SignerRole>,
        function: &str,
        args: &[String],
    ) -> Response {
        self.transactions += 1;
        let tx_id = format!("tx{}", self.transactions);
        let response = self.propose(role, &tx_id, function, args);
        if response.status >= 400 {
            let effects = (&response.writes, &response.event);
            assert_eq!(effects, (&vec![], &None), "a refused call has no effect");
        }
        for (key, value) in &response.writes {
            match value {
                Some(value) => self.state.values.insert(key.clone(), value.clone()),
                None => self.state.values.remove(key),
            };
        }
        self.check_conservation();
        response
    }

    /// Runs the call on two peers, checks that they agree, and commits nothing.
    pub(crate) fn propose(
        &self,
        role: Option<SignerRole>,
        tx_id: &str,
        function: &str,
        args: &[String],
    ) -> Response {
        let call = Invocation {
            function,
            args,
            tx_id,
            timestamp: self.now,
            caller: Caller { role },
            chaincode_named_in_proposal: CHAINCODE,
            own_name: CHAINCODE,
        };
        let mut peers = [self.state.clone(), self.state.clone()];
        let [one, other] = peers.each_mut().map(|state| invoke(state, &call).unwrap());
        assert_eq!(one, other, "two peers come to the same result");
        let ranges = peers[0].ranges - self.state.ranges;
        assert!(one.event.is_none() || ranges == 0, "no range query in a transaction");
        one
    }

    /// Executes the commands in one transaction.
    pub(crate) fn execute(&mut self, commands: &[BatchCommand]) -> Vec<BatchEntry> {
        let args = [serde_json::to_string(commands).unwrap()];
        let response = self.call(Some(SignerRole::SuperAdmin), BatchCommand::EXECUTE, &args);
        assert_eq!(response.status, Response::OK, "{}", response.message);
        entries(&response)
    }

    /// Executes one command in a transaction of its own.
    pub(crate) fn run(&mut self, command: &Command) -> BatchEntry {
        let one = BatchCommand::new(self.fresh_id(), command);
        self.execute(&[one]).remove(0)
    }

    pub(crate) fn query<T: DeserializeOwned>(&self, function: &str, args: &[&str]) -> T {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let response = self.propose(None, "evaluation", function, &args);
        assert_eq!(response.status, Response::OK, "{}", response.message);
        assert!(response.event.is_none());
        assert!(response.writes.is_empty());
        serde_json::from_slice(&response.payload).unwrap()
    }

    /// A command id that no earlier transaction used.
    pub(crate) fn fresh_id(&self) -> CommandId {
        CommandId::derive(&["test", &self.transactions.to_string()])
    }

    /// G4: the balances of all accounts, minus the payments from the genesis pools, plus the fees
    /// that are not folded, are the supply. [`Qirat`] cannot be negative.
    pub(crate) fn check_conservation(&self) {
        let mut sum = 0;
        for (key, value) in &self.state.values {
            let value: Value = serde_json::from_slice(value).unwrap();
            let qirat = |value: &Value| -> i64 {
                serde_json::from_value::<Qirat>(value.clone()).unwrap().get()
            };
            match key.split_once('~').map(|(kind, _)| kind) {
                Some("account") => sum += qirat(&value["balance"]),
                Some("counters") => {
                    sum -= qirat(&value["userTotal"]) + qirat(&value["treasuryTotal"]);
                }
                Some("fee") => sum += qirat(&value),
                _ => {}
            }
        }
        let bootstrapped = self.state.values.contains_key("account~SYSTEM_LOAN_POOL");
        assert_eq!(sum, if bootstrapped { Qirat::SUPPLY.get() } else { 0 });
    }
}

/// Returns the entries in the event of a transaction.
pub(crate) fn entries(response: &Response) -> Vec<BatchEntry> {
    let (name, payload) = response.event.as_ref().unwrap();
    assert_eq!(name, BatchEvent::NAME);
    let event: BatchEvent = serde_json::from_slice(payload).unwrap();
    assert_eq!(event.version, BatchEvent::VERSION);
    event.entries
}
