//! A fixed story that makes the ledger emit every event and outcome, always with the same bytes.

use gx_model::{BatchCommand, BatchEntry, CommandId, SignerRole};

use crate::ledger::{Ledger, entries};
use crate::table::command;

/// Returns every entry that the story's transactions emit, and the ledger after the story.
pub(crate) fn tell() -> (Vec<BatchEntry>, Ledger) {
    let mut ledger = Ledger::default();
    let mut told = vec![];
    let story = [
        ("early", "grant sarah"),
        ("bootstrap", "bootstrap"),
        ("country", "countries MY:1000"),
        ("treasury", "activate MY"),
        ("sarah", "create sarah"),
        ("ali", "create ali"),
        ("baby", "create baby"),
        ("early", "grant sarah"),
        ("early", "grant sarah"),
        ("early", "grant ali"),
        ("baby grant", "grant baby"),
        ("pay", "transfer sarah ali 100 P2P"),
        ("pay again", "transfer sarah ali 1000 P2P"),
        ("tax", "transfer sarah treasury_MY 10 -"),
        ("freeze", "freeze sarah COURT_ORDER"),
        ("unfreeze", "unfreeze sarah"),
        ("pause", "pause INCIDENT"),
        ("resume", "resume"),
    ];
    for (name, line) in story {
        let words: Vec<&str> = line.split(' ').collect();
        told.extend(ledger.execute(&[BatchCommand::new(id(name), &command(&words))]));
    }
    let cancel = [serde_json::to_string(&[id("never")]).unwrap(), id("cancel").to_string()];
    told.extend(entries(&ledger.call(Some(SignerRole::Admin), BatchCommand::CANCEL, &cancel)));
    (told, ledger)
}

fn id(name: &str) -> CommandId {
    CommandId::derive(&["story", name])
}
