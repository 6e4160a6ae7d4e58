//! Tables of text: each line is a command and its expected outcome.
//!
//! ```text
//! bootstrap                      => applied
//! transfer sarah ali 5 P2P       => refused INSUFFICIENT_BALANCE
//! @pay transfer sarah ali 5 -    => replay
//! balance sarah                  => 500
//! ```
//!
//! `@name` sets a command id; other commands get a new one. Amounts are in GX. Commands between
//! `begin` and `end` are one batch. `raw FUNCTION a
//! b` passes arguments as text.

use gx_contract::AccountView;
use gx_model::{BatchCommand, Command, CommandId, EntryOutcome, Gx};

use crate::ledger::Ledger;
use crate::people::{account, biometric_hash, country, id};

/// Runs a table on the ledger and checks the outcome of every line.
pub(crate) fn check(ledger: &mut Ledger, table: &str) {
    let mut batch: Option<Vec<(BatchCommand, &str, &str)>> = None;
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line == "begin" {
            batch = Some(vec![]);
            continue;
        }
        if line == "end" {
            run(ledger, batch.take().unwrap());
            continue;
        }
        let (left, expected) = line.split_once("=>").unwrap();
        let (words, expected) = (left.trim(), expected.trim());
        if let Some(name) = words.strip_prefix("balance ") {
            assert_eq!(balance(ledger, name), expected, "in line `{line}`");
            continue;
        }
        let position = batch.as_ref().map_or(0, Vec::len);
        let command = (parse(ledger, words, position), line, expected);
        match &mut batch {
            Some(batch) => batch.push(command),
            None => run(ledger, vec![command]),
        }
    }
}

fn run(ledger: &mut Ledger, lines: Vec<(BatchCommand, &str, &str)>) {
    let commands: Vec<BatchCommand> = lines.iter().map(|(command, ..)| command.clone()).collect();
    let entries = ledger.execute(&commands);
    assert_eq!(entries.len(), commands.len());
    for (entry, (command, line, expected)) in entries.iter().zip(lines) {
        assert_eq!(entry.command_id, command.command_id);
        assert_eq!(outcome(&entry.outcome), expected, "in line `{line}`");
        let applied = entry.outcome == EntryOutcome::Applied {};
        assert_eq!(entry.events.len(), usize::from(applied), "in line `{line}`");
    }
}

/// Returns an outcome in the words of a table.
pub(crate) fn outcome(outcome: &EntryOutcome) -> String {
    match outcome {
        EntryOutcome::Applied {} => "applied".to_owned(),
        EntryOutcome::Refused { rejection } => format!("refused {}", rejection.code),
        EntryOutcome::Deferred { prerequisite } => format!("deferred {}", prerequisite.code()),
        EntryOutcome::Replay { first, .. } => format!("replay {}", self::outcome(first)),
        EntryOutcome::Mismatch { .. } => "mismatch".to_owned(),
        EntryOutcome::Cancelled {} => "cancelled".to_owned(),
    }
}

fn balance(ledger: &Ledger, name: &str) -> String {
    let id = account(name).to_string();
    let view: Option<AccountView> = ledger.query("TokenomicsContract:GetBalance", &[&id]);
    view.map_or("none".to_owned(), |view| Gx(view.balance).to_string())
}

fn parse(ledger: &Ledger, words: &str, position: usize) -> BatchCommand {
    let (name, words) = match words.strip_prefix('@') {
        Some(named) => named.split_once(' ').unwrap(),
        None => ("", words),
    };
    let command_id = match name {
        "" => CommandId::derive(&[&ledger.fresh_id().to_string(), &position.to_string()]),
        name => CommandId::derive(&["table", name]),
    };
    if let Some(raw) = words.trim().strip_prefix("raw ") {
        let (function, args) = raw.split_once(' ').unwrap_or((raw, ""));
        let args = args.split('|').map(|arg| arg.trim().to_owned()).filter(|arg| !arg.is_empty());
        return BatchCommand { command_id, function: function.to_owned(), args: args.collect() };
    }
    let words: Vec<&str> = words.split_whitespace().collect();
    BatchCommand::new(command_id, &command(&words))
}

/// Returns the command that these words describe.
pub(crate) fn command(words: &[&str]) -> Command {
    match *words {
        ["bootstrap"] => Command::BootstrapSystem {},
        ["countries", ref list @ ..] => {
            Command::InitializeCountryData { countries: list.iter().map(|c| country(c)).collect() }
        }
        ["pause", reason] => Command::PauseSystem { reason_code: reason.parse().unwrap() },
        ["resume"] => Command::ResumeSystem {},
        ["activate", code] => Command::ActivateTreasury { country_code: code.parse().unwrap() },
        ["create", name] => create(name, &id(name).country().to_string()),
        ["create", name, "of", code] => create(name, code),
        ["grant", name] => {
            Command::DistributeGenesis { user_id: id(name), nationality: id(name).country() }
        }
        ["grant", name, "of", code] => {
            Command::DistributeGenesis { user_id: id(name), nationality: code.parse().unwrap() }
        }
        ["transfer", from, to, amount, class] => Command::Transfer {
            from: account(from),
            to: account(to),
            amount: amount.parse::<Gx>().unwrap().0,
            tx_type: (class != "-").then(|| class.parse().unwrap()),
        },
        ["freeze", name, reason] => {
            Command::FreezeWallet { user_id: id(name), reason_code: reason.parse().unwrap() }
        }
        ["unfreeze", name] => Command::UnfreezeWallet { user_id: id(name) },
        _ => panic!("these words describe no command: {words:?}"),
    }
}

fn create(name: &str, code: &str) -> Command {
    Command::CreateUser {
        user_id: id(name),
        biometric_hash: biometric_hash(),
        nationality: code.parse().unwrap(),
        age: 33,
    }
}
