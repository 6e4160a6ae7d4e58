//! Invariants of any sequence of commands.

use gx_contract::{COMPACT_FEES, Response};
use gx_model::{BatchCommand, CommandId, DomainEvent, EntryOutcome, SignerRole};
use proptest::prelude::*;

use crate::ledger::{Ledger, entries};
use crate::table::command;

const PEOPLE: [&str; 6] = ["sarah", "ali", "bea", "baby", "shop", "ministry"];
const ACCOUNTS: [&str; 10] = [
    "sarah",
    "ali",
    "bea",
    "baby",
    "shop",
    "ministry",
    "treasury_MY",
    "LOAN_POOL",
    "OPERATIONS_FUND",
    "USER_GENESIS_POOL",
];
const AMOUNTS: [&str; 6] = ["0", "0.000001", "2.5", "99.999999", "450", "18750000000"];

#[derive(Clone, Debug)]
enum Step {
    /// The commands of one batch, each with an id and its words.
    Batch(Vec<(u16, String)>),
    Cancel(Vec<u16>),
    FoldFees,
}

fn words() -> impl Strategy<Value = String> {
    let person = || prop::sample::select(&PEOPLE[..]);
    let account = || prop::sample::select(&ACCOUNTS[..]);
    let amount = prop::sample::select(&AMOUNTS[..]);
    prop_oneof![
        1 => Just("bootstrap".to_owned()),
        1 => Just("countries MY:10".to_owned()),
        1 => Just("countries SG:20".to_owned()),
        1 => Just("pause INCIDENT".to_owned()),
        4 => Just("resume".to_owned()),
        1 => Just("activate MY".to_owned()),
        5 => person().prop_map(|name| format!("create {name}")),
        5 => person().prop_map(|name| format!("grant {name}")),
        9 => (account(), account(), amount)
            .prop_map(|(from, to, amount)| format!("transfer {from} {to} {amount} -")),
        1 => person().prop_map(|name| format!("freeze {name} FRAUD")),
        1 => person().prop_map(|name| format!("unfreeze {name}")),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // There are few ids, so that some repeat.
    let id = 0..500_u16;
    let batch = prop::collection::vec((id.clone(), words()), 1..8).prop_map(Step::Batch);
    let cancel = prop::collection::vec(id, 1..4).prop_map(Step::Cancel);
    let beginning = [
        "bootstrap",
        "countries MY:10",
        "create sarah",
        "grant sarah",
        "create ali",
        "grant ali",
        "create shop",
        "activate MY",
    ];
    let beginning: Vec<(u16, String)> =
        (500..).zip(beginning).map(|(id, words)| (id, words.to_owned())).collect();
    prop::collection::vec(prop_oneof![8 => batch, 1 => cancel, 1 => Just(Step::FoldFees)], 0..40)
        .prop_flat_map(move |steps| {
            let begun = [vec![Step::Batch(beginning.clone())], steps.clone()].concat();
            prop_oneof![1 => Just(steps), 4 => Just(begun)]
        })
}

fn id(number: u16) -> CommandId {
    CommandId::derive(&["property", &number.to_string()])
}

fn play(ledger: &mut Ledger, step: &Step) -> Response {
    let (function, args) = match step {
        Step::Batch(commands) => {
            let batch: Vec<BatchCommand> = commands
                .iter()
                .map(|(number, words)| {
                    let words: Vec<&str> = words.split(' ').collect();
                    BatchCommand::new(id(*number), &command(&words))
                })
                .collect();
            (BatchCommand::EXECUTE, vec![serde_json::to_string(&batch).unwrap()])
        }
        Step::Cancel(ids) => {
            let ids: Vec<CommandId> = ids.iter().map(|number| id(*number)).collect();
            let own = ledger.fresh_id().to_string();
            (BatchCommand::CANCEL, vec![serde_json::to_string(&ids).unwrap(), own])
        }
        Step::FoldFees => {
            let keys: Vec<&String> =
                ledger.state.values.keys().filter(|key| key.starts_with("fee~")).collect();
            let own = ledger.fresh_id().to_string();
            (COMPACT_FEES, vec![serde_json::to_string(&keys).unwrap(), own])
        }
    };
    ledger.call(Some(SignerRole::SuperAdmin), function, &args)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// G4: any sequence of commands neither creates nor loses money, and no balance becomes
    /// negative (`Ledger::call` checks that after every transaction, and that two peers agree).
    /// PRJ-04: every event has a known name and can be read.
    #[test]
    fn g4_any_sequence_conserves_the_supply(steps in steps()) {
        let mut ledger = Ledger::default();
        for step in &steps {
            let response = play(&mut ledger, step);
            if response.status != Response::OK {
                continue;
            }
            for event in entries(&response).iter().flat_map(|entry| &entry.events) {
                prop_assert!(DomainEvent::NAMES.contains(&event.name().unwrap()));
                event.decode().unwrap();
            }
        }
    }

    /// G2: every command of a batch ends finally at most once. A repeated batch has only replays of
    /// final outcomes, and these write nothing.
    #[test]
    fn g2_a_batch_repeated_at_any_time_changes_nothing(steps in steps()) {
        let mut ledger = Ledger::default();
        for step in &steps {
            play(&mut ledger, step);
        }
        for step in &steps {
            let Step::Batch(commands) = step else { continue };
            let settled = commands.iter().filter(|(number, _)| {
                ledger.state.values.contains_key(&format!("cmd~{}", id(*number)))
            });
            let settled: Vec<_> = settled.cloned().collect();
            if settled.is_empty() {
                continue;
            }
            let response = play(&mut ledger, &Step::Batch(settled));
            prop_assert_eq!(&response.writes, &vec![]);
            for entry in entries(&response) {
                let harmless = matches!(
                    entry.outcome,
                    EntryOutcome::Replay { .. } | EntryOutcome::Mismatch { .. }
                );
                prop_assert!(harmless && entry.events.is_empty());
            }
        }
    }
}
