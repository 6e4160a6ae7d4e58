//! The database stores every kind of command, and the ledger executes it.

use gx_model::{Command, CommandKind, CountryList};

use crate::chain::{Chain, create, grant, transfer};
use crate::desk::Desk;

/// OUT-02: each kind of the list is accepted by the database and executed by its function of the
/// development ledger; a name that is not in the list is rejected by the database.
#[tokio::test]
async fn every_listed_command_is_stored_and_carried_out() {
    let mut desk = Desk::at(Chain::start().await).await;
    let person = desk.chain.person(1).await;
    let my = "MY".parse().unwrap();
    let commands = [
        Command::BootstrapSystem {},
        Command::InitializeCountryData {
            countries: CountryList::embedded().iter().cloned().collect(),
        },
        Command::PauseSystem { reason_code: "DRILL".parse().unwrap() },
        Command::ResumeSystem {},
        Command::ActivateTreasury { country_code: my },
        create(&person),
        grant(&person),
        transfer(&person.id.to_string(), "treasury_MY", 1),
        Command::FreezeWallet {
            user_id: person.id.clone(),
            reason_code: "COURT_ORDER".parse().unwrap(),
        },
        Command::UnfreezeWallet { user_id: person.id.clone() },
    ];
    let kinds: Vec<_> = commands.iter().map(Command::kind).collect();
    assert_eq!(kinds, CommandKind::ALL);
    for command in &commands {
        let id = desk.enqueue_for(&person, command).await;
        desk.drain().await;
        assert_eq!(desk.status(id).await, "COMMITTED", "{:?}", command.kind());
    }

    let unlisted = sqlx::query(
        r#"INSERT INTO "OutboxCommand" ("commandId", kind, payload, "signerRole", "aggregateKey",
               lane, touches, "requestedBy", "nextAttemptAt", "createdAt", "updatedAt")
           VALUES ('x', 'PRINT_MONEY', '{}', 'ADMIN', 'SYSTEM', 0, '{}', 'x', now(), now(), now())"#,
    )
    .execute(desk.chain.db.pool())
    .await
    .unwrap_err();
    let constraint = unlisted.as_database_error().unwrap().constraint();
    assert_eq!(constraint, Some("OutboxCommand_kind_known"));
}
