//! What must hold at the end: the promises G1 to G4, against the chain.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use gx_model::{AccountId, Command, CommandKind, DomainEvent, EntryOutcome, Qirat};
use serde_json::Value;
use sqlx::PgPool;

use crate::chain::{Chain, Verdict};
use crate::mirror::Mirror;
use crate::play::Play;
use crate::read_model::check_read_model;
use crate::stage::Stage;

/// Checks everything.
pub(crate) async fn check(play: &mut Play<'_>) -> Result<(), String> {
    let stage = play.stage;
    let mut chain = stage.base.clone();
    chain.read_to(&stage.ledger, stage.height.load(Ordering::SeqCst)).await?;
    let commands = commands(stage.database.pool()).await;
    check_answers(play, &commands)?;
    check_commands(play, &chain, &commands)?;
    if play.restores == 0 {
        check_order(&chain, &commands)?;
    }
    check_attempts(play, &chain).await?;
    check_read_model(stage.database.pool(), &chain.mirror).await?;
    check_supply(stage).await?;
    check_ledger(stage, &chain.mirror).await
}

/// G4 in the read model, at this moment.
pub(crate) async fn check_supply(stage: &Stage) -> Result<(), String> {
    let (total, least): (i64, i64) = sqlx::query_as(
        r#"SELECT ((SELECT sum(balance) FROM "Wallet") + (SELECT sum(balance) FROM "PoolBalance"))::bigint,
                  (SELECT min(balance) FROM "PoolBalance")"#,
    )
    .fetch_one(stage.database.pool())
    .await
    .unwrap();
    if total == Qirat::SUPPLY.get() && least >= 0 {
        return Ok(());
    }
    Err(format!("G4: the read model holds {total} Qirat, a pool {least}"))
}

/// No two envelopes under way touch the same, whatever their commands (rule 3 of the protocol),
/// so that none carries a command a second time.
pub(crate) async fn check_open(stage: &Stage) -> Result<(), String> {
    let overlapping: Option<String> = sqlx::query_scalar(
        r#"SELECT concat_ws(' and ', a."commandIds"::text, b."commandIds"::text)
           FROM "LedgerAttempt" a JOIN "LedgerAttempt" b ON a."txId" < b."txId"
           WHERE a.state = 'OPEN' AND b.state = 'OPEN' AND a.touches && b.touches LIMIT 1"#,
    )
    .fetch_optional(stage.database.pool())
    .await
    .unwrap();
    overlapping.map_or(Ok(()), |both| Err(format!("two open envelopes touch the same: {both}")))
}

/// A command as the outbox has it.
struct CommandRow {
    number: i64,
    aggregate_key: String,
    kind: String,
    payload: Value,
    status: String,
    tx_id: Option<String>,
    outcome: Option<Value>,
}

type Commands = BTreeMap<String, CommandRow>;

async fn commands(pool: &PgPool) -> Commands {
    type Row = (i64, String, String, String, Value, String, Option<String>, Option<Value>);
    let rows: Vec<Row> = sqlx::query_as(
        r#"SELECT number, "aggregateKey", "commandId", kind, payload, status, "txId", outcome FROM "OutboxCommand""#,
    )
    .fetch_all(pool)
    .await
    .unwrap();
    rows.into_iter()
        .map(|(number, aggregate_key, id, kind, payload, status, tx_id, outcome)| {
            (id, CommandRow { number, aggregate_key, kind, payload, status, tx_id, outcome })
        })
        .collect()
}

/// G1: what was answered is there, unless a restore undid the answer.
fn check_answers(play: &Play<'_>, commands: &Commands) -> Result<(), String> {
    for entry in play.book.entries.iter().filter(|entry| !entry.undone) {
        if let Some(id) = entry.promised.iter().find(|id| !commands.contains_key(*id)) {
            return Err(format!("G1: {} was answered with {id}, which is lost", entry.want));
        }
    }
    Ok(())
}

/// G2: each command ended as the chain says, and what the chain did was wanted.
fn check_commands(play: &Play<'_>, chain: &Chain, commands: &Commands) -> Result<(), String> {
    for (id, row) in commands {
        let verdict = chain.verdicts.get(id);
        check_command(row, verdict, chain.mismatched.contains(id)).map_err(|why| {
            let CommandRow { kind, status, tx_id, outcome, .. } = row;
            format!("G2: {kind} {id} is {status} ({tx_id:?}, {outcome:?}), but {why}")
        })?;
    }
    for (id, verdict) in &chain.verdicts {
        let carried = !matches!(verdict.outcome, EntryOutcome::Cancelled {});
        let is_own = |event: &DomainEvent| matches!(event, DomainEvent::CommandsCancelled { .. });
        // A cancellation has an id of its own, which no command has.
        let is_cancellation = !verdict.events.is_empty() && verdict.events.iter().all(is_own);
        if carried && !is_cancellation && !commands.contains_key(id) && play.restores == 0 {
            return Err(format!("G2: the chain carries out {id}, which nobody wants"));
        }
    }
    Ok(())
}

/// Commands of one aggregate took effect, or were refused, in their order; a cancellation need
/// not wait. A database that was put back may have given numbers anew.
fn check_order(chain: &Chain, commands: &Commands) -> Result<(), String> {
    let in_order = |id: &String| {
        let verdict = chain.verdicts.get(id);
        verdict.filter(|verdict| verdict.outcome != EntryOutcome::Cancelled {})
    };
    let mut ended: Vec<_> = commands
        .iter()
        .filter_map(|(id, row)| Some((&row.aggregate_key, row.number, in_order(id)?)))
        .collect();
    ended.sort_by_key(|(key, number, _)| (*key, *number));
    for pair in ended.windows(2) {
        let [(key, first, before), (other, second, after)] = pair else { continue };
        if key == other && before.place > after.place {
            return Err(format!("command {second} of {key} overtook {first}"));
        }
    }
    Ok(())
}

fn check_command(
    row: &CommandRow,
    verdict: Option<&Verdict>,
    is_mismatched: bool,
) -> Result<(), String> {
    let outcome = verdict.map(|verdict| &verdict.outcome);
    let agrees = match row.status.as_str() {
        "COMMITTED" | "COMMITTED_UNVERIFIED" => matches!(outcome, Some(EntryOutcome::Applied {})),
        "REFUSED" => {
            let because = row.outcome.as_ref().and_then(|outcome| outcome.get("because"));
            match outcome {
                Some(EntryOutcome::Refused { .. }) => true,
                Some(EntryOutcome::Applied {}) => is_mismatched,
                // A dead one, too, is refused when its predecessor is given up.
                _ => is_mismatched || because.is_some(),
            }
        }
        "DISCARDED" => matches!(outcome, Some(EntryOutcome::Cancelled {})),
        _ => false,
    };
    if !agrees {
        return Err(format!("the chain says {outcome:?}"));
    }
    let Some(verdict) = verdict.filter(|_| row.status == "COMMITTED") else { return Ok(()) };
    if row.tx_id.as_deref() != Some(&verdict.tx_id) {
        return Err(format!("it took effect in {}", verdict.tx_id));
    }
    check_effect(row, &verdict.events)
}

/// What was done is what was wanted.
fn check_effect(row: &CommandRow, events: &[DomainEvent]) -> Result<(), String> {
    let kind = CommandKind::from_name(&row.kind).ok_or("its kind is unknown")?;
    let command = Command::from_payload(kind, &row.payload).map_err(|why| why.to_string())?;
    let is_same = match (&command, events) {
        (
            Command::Transfer { from, to, amount, .. },
            [DomainEvent::TransferCompleted { from: payer, to: payee, amount: moved, .. }],
        ) => (from, to, amount) == (payer, payee, moved),
        (Command::CreateUser { user_id, .. }, [DomainEvent::UserCreated { user_id: id, .. }])
        | (
            Command::DistributeGenesis { user_id, .. },
            [DomainEvent::GenesisDistributed { user_id: id, .. }],
        )
        | (
            Command::FreezeWallet { user_id, .. },
            [DomainEvent::WalletFrozen { user_id: id, .. }],
        )
        | (Command::UnfreezeWallet { user_id }, [DomainEvent::WalletUnfrozen { user_id: id }]) => {
            user_id == id
        }
        (Command::Transfer { .. } | Command::CreateUser { .. }, _)
        | (Command::DistributeGenesis { .. } | Command::FreezeWallet { .. }, _)
        | (Command::UnfreezeWallet { .. }, _) => false,
        (_, events) => events.len() == 1,
    };
    if is_same { Ok(()) } else { Err(format!("the chain did {events:?}")) }
}

/// Nothing reached the chain that was not stored before, and each attempt ended as its
/// transaction did.
async fn check_attempts(play: &mut Play<'_>, chain: &Chain) -> Result<(), String> {
    let pool = play.stage.database.pool();
    play.post.collect(&mut *play.stage.conn().await).await;
    let mut codes: BTreeMap<&str, &str> = BTreeMap::new();
    for transaction in &chain.transactions {
        if !play.post.knows(&transaction.id) {
            return Err(format!("G2: transaction {} was sent and never stored", transaction.id));
        }
        // A later place of the same bytes says nothing.
        codes.entry(&transaction.id).or_insert(&transaction.code);
    }
    let attempts: Vec<(String, String)> =
        sqlx::query_as(r#"SELECT "txId", state FROM "LedgerAttempt""#)
            .fetch_all(pool)
            .await
            .unwrap();
    for (tx_id, state) in attempts {
        let agrees = match (state.as_str(), codes.get(tx_id.as_str())) {
            ("VALID", Some(code)) => *code == "VALID",
            ("INVALID", Some(code)) => *code != "VALID",
            // No orderer of a run refuses an envelope for good: none is given up.
            _ => false,
        };
        if !agrees {
            let code = codes.get(tx_id.as_str());
            return Err(format!("attempt {tx_id} is {state}, its transaction {code:?}"));
        }
    }
    Ok(())
}

/// The ledger's own state is what its events say.
async fn check_ledger(stage: &Stage, mirror: &Mirror) -> Result<(), String> {
    let pools = ask(stage, "TokenomicsContract:GetPoolStatus", &[]).await?;
    for pool in pools.as_array().ok_or("no list of pools")? {
        let id = pool["poolId"].as_str().unwrap_or_default();
        expect_balance(mirror, id, &pool["balance"])?;
    }
    let people = mirror.people.keys().cloned();
    for account in people.chain([AccountId::Treasury("MY".parse().unwrap()).to_string()]) {
        let view =
            ask(stage, "TokenomicsContract:GetBalance", std::slice::from_ref(&account)).await?;
        expect_balance(mirror, &account, &view["balance"])?;
    }
    Ok(())
}

fn expect_balance(mirror: &Mirror, account: &str, found: &Value) -> Result<(), String> {
    let expected = mirror.balances.get(account).map(i64::to_string);
    if found.as_str() == expected.as_deref() {
        return Ok(());
    }
    Err(format!("G4: the ledger holds {found} for {account}, its events leave {expected:?}"))
}

async fn ask(stage: &Stage, function: &str, args: &[String]) -> Result<Value, String> {
    let answer = stage.ledger.evaluate(function, args).await.map_err(|why| why.to_string())?;
    serde_json::from_slice(&answer).map_err(|why| why.to_string())
}
