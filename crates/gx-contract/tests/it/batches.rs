//! Batches of commands, and commands that are repeated.

use gx_contract::Response;
use gx_model::{BatchCommand, CommandId, EntryOutcome, SignerRole};

use crate::ledger::{Ledger, entries};
use crate::table::{check, command, outcome};
use crate::tables::populated;

/// G2: a command in a batch sees the changes of the commands before it, and a refused command
/// changes nothing.
#[test]
fn a_batch_runs_in_order_and_a_refusal_harms_no_neighbour() {
    check(
        &mut Ledger::default(),
        "
        begin
            @early grant sarah       => deferred SYSTEM_NOT_BOOTSTRAPPED
            bootstrap                => applied
            countries MY:1000 SG:500 => applied
            countries XK:1 MY:1      => refused COUNTRY_EXISTS
            create sarah             => applied
            create ali               => applied
            @early grant sarah       => applied
            transfer sarah ali 400 - => applied
            transfer sarah ali 400 - => refused INSUFFICIENT_BALANCE
            transfer ali sarah 400 - => refused INSUFFICIENT_BALANCE
            transfer ali sarah 300 - => applied
            pause INCIDENT           => applied
            transfer ali sarah 1 -   => deferred SYSTEM_PAUSED
            resume                   => applied
            transfer ali sarah 1 -   => applied
            countries XK:1           => applied
        end
        balance sarah                => 400.6
        balance ali                  => 98.7
        balance OPERATIONS_FUND      => 18750000000.7
        ",
    );
}

/// G2: an id takes effect once: within a batch, across batches, and after a refusal.
#[test]
fn an_id_takes_effect_once() {
    check(
        &mut populated(),
        "
        @pay transfer sarah ali 5 -     => applied
        @pay transfer sarah ali 5 -     => replay applied
        @pay transfer sarah ali 5 P2P   => mismatch
        @much transfer sarah ali 5000 - => refused INSUFFICIENT_BALANCE
        transfer LOAN_POOL sarah 9000 - => applied
        @much transfer sarah ali 5000 - => replay refused INSUFFICIENT_BALANCE
        begin
            @twice transfer sarah ali 7 - => applied
            @twice transfer sarah ali 7 - => replay applied
            @twice transfer sarah ali 8 - => mismatch
        end
        balance ali                     => 512
        ",
    );
}

/// G2: a repeated batch writes nothing, whatever the outcomes of its commands were.
#[test]
fn a_repeated_batch_writes_nothing() {
    let mut ledger = populated();
    let commands: Vec<BatchCommand> = [
        ["transfer", "sarah", "ali", "5", "-"],
        ["transfer", "sarah", "ali", "5000", "-"],
        ["transfer", "ali", "bea", "5", "-"],
    ]
    .iter()
    .enumerate()
    .map(|(at, words)| BatchCommand::new(CommandId::derive(&[&at.to_string()]), &command(words)))
    .collect();
    let first = ledger.execute(&commands);
    let before = ledger.state.values.clone();
    let again = ledger.execute(&commands);
    assert_eq!(ledger.state.values, before);
    for (first, again) in first.iter().zip(&again) {
        assert_eq!(outcome(&again.outcome), format!("replay {}", outcome(&first.outcome)));
        assert!(again.events.is_empty());
    }
}

/// G2: a deferred command writes nothing, so it can take effect later.
#[test]
fn a_deferral_writes_nothing() {
    let mut ledger = Ledger::default();
    let before = ledger.state.values.clone();
    check(&mut ledger, "create sarah => deferred SYSTEM_NOT_BOOTSTRAPPED");
    assert_eq!(ledger.state.values, before);
}

/// The fees of a whole batch are written to one key, which the transaction did not read.
#[test]
fn all_fees_of_a_transaction_are_written_to_one_key() {
    let mut ledger = populated();
    check(
        &mut ledger,
        "
        begin
            transfer sarah ali 100 -  => applied
            transfer ali sarah 100 -  => applied
        end
        ",
    );
    let fees: Vec<_> =
        ledger.state.values.iter().filter(|(key, _)| key.starts_with("fee~")).collect();
    assert_eq!(fees, [(&gx_contract::fee_key("tx17"), &b"\"100000\"".to_vec())]);
}

#[test]
fn a_batch_above_a_limit_is_refused() {
    let mut ledger = populated();
    let one = BatchCommand::new(ledger.fresh_id(), &command(&["unfreeze", "sarah"]));
    let mut refused = |batch: String, why: &str| {
        let response = ledger.call(Some(SignerRole::SuperAdmin), BatchCommand::EXECUTE, &[batch]);
        assert_eq!(response.status, Response::REFUSED);
        assert!(response.message.contains(why), "{}", response.message);
    };
    refused("[]".to_owned(), "1 to 500 commands, not 0");
    let many = vec![one.clone(); 501];
    refused(serde_json::to_string(&many).unwrap(), "1 to 500 commands, not 501");
    let large = BatchCommand { args: vec!["x".repeat(BatchCommand::MAX_BYTES)], ..one.clone() };
    refused(serde_json::to_string(&[large]).unwrap(), "at most 1000000 bytes");
    refused("{}".to_owned(), "malformed");
    let unknown = serde_json::to_string(&[one]).unwrap().replace("\"args\"", "\"arguments\"");
    refused(unknown, "unknown field `arguments`");
}

/// A batch of 500 commands works.
#[test]
fn a_full_batch_is_executed() {
    let mut ledger = populated();
    let transfer = command(&["transfer", "LOAN_POOL", "ali", "1", "-"]);
    let full: Vec<BatchCommand> = (0..BatchCommand::MAX_COUNT)
        .map(|at| BatchCommand::new(CommandId::derive(&[&at.to_string()]), &transfer))
        .collect();
    let entries = ledger.execute(&full);
    assert!(entries.iter().all(|entry| entry.outcome == EntryOutcome::Applied {}));
    check(&mut ledger, "balance ali => 1000");
}

/// G2: a cancelled id never takes effect, and an id that took effect cannot be cancelled.
#[test]
fn a_cancelled_id_never_takes_effect() {
    let mut ledger = populated();
    check(&mut ledger, "@done transfer sarah ali 5 - => applied\npause INCIDENT => applied");
    let [done, waiting, own] = ["done", "waiting", "own"].map(table_id);
    let args = [serde_json::to_string(&[done, waiting]).unwrap(), own.to_string()];
    let mut cancel = || ledger.call(Some(SignerRole::Admin), BatchCommand::CANCEL, &args);
    let first = cancel();
    assert_eq!(first.status, Response::OK, "{}", first.message);
    let ended: Vec<_> =
        entries(&first).iter().map(|one| (one.command_id, outcome(&one.outcome))).collect();
    let expected = [(done, "replay applied"), (waiting, "cancelled"), (own, "applied")];
    assert_eq!(ended, expected.map(|(id, ended)| (id, ended.to_owned())));
    let event = entries(&first)[2].events[0].clone();
    assert_eq!(event.json()["data"]["commandIds"], serde_json::json!([waiting]));

    let again = cancel();
    assert!(again.writes.is_empty());
    assert_eq!(outcome(&entries(&again)[0].outcome), "replay applied");
    check(
        &mut ledger,
        "
        resume                            => applied
        @waiting transfer sarah ali 100 - => replay cancelled
        balance ali                       => 505
        ",
    );
}

fn table_id(name: &str) -> CommandId {
    CommandId::derive(&["table", name])
}
