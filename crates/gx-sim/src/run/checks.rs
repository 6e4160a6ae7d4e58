//! Checks at the end of a run: the guarantees G1 to G4, against the chain. The run calls [`check`]
//! last, and some checks earlier; an `Err` names the guarantee and what violates it.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use gx_db::Parsed;
use gx_model::{
    AccountId, Command, CommandKind, CommandStatus, DomainEvent, EntryOutcome, FabricUserId, Qirat,
};
use serde_json::Value;
use sqlx::PgPool;

use super::Run;
use super::people::{Owners, check_one_each, check_wallets, remember_owners};
use crate::chain::{Chain, FinalOutcome};
use crate::chain_replay::ChainReplay;
use crate::environment::Environment;
use crate::read_model::{self, Held, check_profiles, check_read_model};

/// Lease of a submitter, in seconds. A submitter that is silent for longer loses its lanes.
const LEASE_S: u64 = 30;

/// Checks all guarantees.
pub(crate) async fn check(run: &mut Run<'_>) -> Result<(), String> {
    remember_owners(run).await;
    let (env, chain) = (run.env, read_chain(run.env).await?);
    let commands = commands(&env.pool).await;
    check_answers(run, &commands)?;
    check_commands(run, &chain, &commands)?;
    if run.restores == 0 {
        check_order(&chain, &commands)?;
    }
    check_attempts(run, &chain).await?;
    check_read_model(&env.pool, &chain.replay, &Held::new()).await?;
    check_profiles(&env.pool, &chain.replay, true).await?;
    check_one_each(run, &chain.replay).await?;
    check_supply(env).await?;
    check_wallets(env, &chain.replay).await?;
    check_ledger(env, &chain.replay).await
}

/// Checks the state after the faults, before any repair: unknown people and dead letters hold back
/// nothing else.
pub(crate) async fn check_before_repair(run: &mut Run<'_>) -> Result<(), String> {
    let (env, pool) = (run.env, &run.env.pool);
    let chain = read_chain(env).await?;
    let held = read_model::held(pool).await;
    for place in &held {
        let record = chain.records.get(place).ok_or("a held event is not in the chain")?;
        if !run.rates.cannot_read(record) {
            return Err(format!("PRJ-15: an event that can be applied is held: {place:?}"));
        }
    }
    check_read_model(pool, &chain.replay, &held).await?;
    check_profiles(pool, &chain.replay, false).await?;
    check_one_each(run, &chain.replay).await
}

/// OUT-15, OUT-16: checks that a storm charged no command: none is dead or given up, and none
/// was interrupted more often than submitters died or were silent for longer than their lease.
pub(crate) async fn check_blameless(run: &Run<'_>) -> Result<(), String> {
    if run.rates.storms.is_empty() {
        return Ok(());
    }
    let stood_still = run.passed.as_secs() / LEASE_S;
    let interrupted = i64::from(run.interrupted) + i64::try_from(stood_still).unwrap();
    let charged: Option<String> = sqlx::query_scalar(
        r#"SELECT concat_ws(' ', kind, "commandId", status, failures, "giveUp", "lastError")
           FROM "OutboxCommand"
           WHERE (status = 'DEAD' OR "giveUp" ->> 'by' = 'submitter')
             AND coalesce((failures ->> 'INTERRUPTED')::int, 0) < $1
              OR coalesce((failures ->> 'INTERRUPTED')::int, 0) > $2
           ORDER BY number LIMIT 1"#,
    )
    .bind(i32::try_from(run.rates.retry.interrupted).unwrap())
    .bind(interrupted)
    .fetch_optional(&run.env.pool)
    .await
    .unwrap();
    charged.map_or(Ok(()), |command| {
        Err(format!("G2: the storms cost a command ({interrupted} interruptions): {command}"))
    })
}

/// Reads the whole chain.
async fn read_chain(env: &Environment) -> Result<Chain, String> {
    let mut chain = env.base.clone();
    chain.read_to(&env.ledger, env.height.load(Ordering::SeqCst)).await?;
    Ok(chain)
}

/// G4: checks the supply in the read model, unless there are dead letters, whose amounts are
/// missing.
pub(crate) async fn check_supply(env: &Environment) -> Result<(), String> {
    let (total, least, is_any_held): (i64, i64, bool) = sqlx::query_as(
        r#"SELECT ((SELECT sum(balance) FROM "Wallet") + (SELECT sum(balance) FROM "PoolBalance"))::bigint,
                  (SELECT min(balance) FROM "PoolBalance"),
                  EXISTS (SELECT FROM "EventDLQ" WHERE state = 'HELD')"#,
    )
    .fetch_one(&env.pool)
    .await
    .unwrap();
    if is_any_held || total == Qirat::SUPPLY.get() && least >= 0 {
        return Ok(());
    }
    Err(format!("G4: the read model holds {total} Qirat, a pool {least}"))
}

/// Checks that no two open attempts touch the same keys (rule 3 of the protocol), so that no
/// command is in two of them.
pub(crate) async fn check_open(env: &Environment) -> Result<(), String> {
    let overlapping: Option<String> = sqlx::query_scalar(
        r#"SELECT concat_ws(' and ', a."commandIds"::text, b."commandIds"::text)
           FROM "LedgerAttempt" a JOIN "LedgerAttempt" b ON a."txId" < b."txId"
           WHERE a.state = 'OPEN' AND b.state = 'OPEN' AND a.touches && b.touches LIMIT 1"#,
    )
    .fetch_optional(&env.pool)
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
    status: CommandStatus,
    tx_id: Option<String>,
    outcome: Option<Value>,
}

type Commands = BTreeMap<String, CommandRow>;

async fn commands(pool: &PgPool) -> Commands {
    type Row =
        (i64, String, String, String, Value, Parsed<CommandStatus>, Option<String>, Option<Value>);
    let rows: Vec<Row> = sqlx::query_as(
        r#"SELECT number, "aggregateKey", "commandId", kind, payload, status, "txId", outcome FROM "OutboxCommand""#,
    )
    .fetch_all(pool)
    .await
    .unwrap();
    rows.into_iter()
        .map(|(number, aggregate_key, id, kind, payload, Parsed(status), tx_id, outcome)| {
            (id, CommandRow { number, aggregate_key, kind, payload, status, tx_id, outcome })
        })
        .collect()
}

/// G1: checks that every command of an answer exists, unless a restore undid the answer.
fn check_answers(run: &Run<'_>, commands: &Commands) -> Result<(), String> {
    for entry in run.clients.entries.iter().filter(|entry| !entry.undone) {
        if let Some(id) = entry.promised.iter().find(|id| !commands.contains_key(*id)) {
            return Err(format!("G1: {} was answered with {id}, which is lost", entry.request));
        }
    }
    Ok(())
}

/// G2: checks that each command ended as on the chain, and that every command on the chain was
/// requested.
fn check_commands(run: &Run<'_>, chain: &Chain, commands: &Commands) -> Result<(), String> {
    for (id, row) in commands {
        let end = chain.outcomes.get(id);
        check_command(row, end, chain.mismatched.contains(id), &run.owners).map_err(|why| {
            let CommandRow { kind, status, tx_id, outcome, .. } = row;
            format!("G2: {kind} {id} is {status} ({tx_id:?}, {outcome:?}), but {why}")
        })?;
    }
    for (id, end) in &chain.outcomes {
        let is_executed = !matches!(end.outcome, EntryOutcome::Cancelled {});
        let is_own = |event: &DomainEvent| matches!(event, DomainEvent::CommandsCancelled { .. });
        // A cancellation has its own id, which no command has.
        let is_cancellation = !end.events.is_empty() && end.events.iter().all(is_own);
        if is_executed && !is_cancellation && !commands.contains_key(id) && run.restores == 0 {
            return Err(format!("G2: the chain executed {id}, which no command requests"));
        }
    }
    Ok(())
}

/// Checks that the commands of an aggregate took effect or were refused in order; a cancellation
/// need not wait. A restored database may have given numbers twice, so this is not checked after a
/// restore.
fn check_order(chain: &Chain, commands: &Commands) -> Result<(), String> {
    let in_order = |id: &String| {
        let end = chain.outcomes.get(id);
        end.filter(|end| end.outcome != EntryOutcome::Cancelled {})
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

/// Checks that a command ended as on the chain.
fn check_command(
    row: &CommandRow,
    end: Option<&FinalOutcome>,
    is_mismatched: bool,
    owners: &Owners,
) -> Result<(), String> {
    let outcome = end.map(|end| &end.outcome);
    let agrees = match row.status {
        CommandStatus::Committed | CommandStatus::CommittedUnverified => {
            matches!(outcome, Some(EntryOutcome::Applied {}))
        }
        CommandStatus::Refused => {
            let because = row.outcome.as_ref().and_then(|outcome| outcome.get("because"));
            match outcome {
                Some(EntryOutcome::Refused { .. }) => true,
                Some(EntryOutcome::Applied {}) => is_mismatched,
                // A dead command is refused, too, if an earlier one of its aggregate is given up.
                _ => is_mismatched || because.is_some(),
            }
        }
        CommandStatus::Discarded => matches!(outcome, Some(EntryOutcome::Cancelled {})),
        _ => false,
    };
    if !agrees {
        return Err(format!("the chain says {outcome:?}"));
    }
    let Some(end) = end.filter(|_| row.status == CommandStatus::Committed) else { return Ok(()) };
    if row.tx_id.as_deref() != Some(&end.tx_id) {
        return Err(format!("it took effect in {}", end.tx_id));
    }
    check_effect(row, &end.events, owners)
}

/// Checks that the events are those that the command asked for. An approval that is repeated after
/// a restore, with another e-mail address, asks for another id than the ledger has given the
/// person.
fn check_effect(row: &CommandRow, events: &[DomainEvent], owners: &Owners) -> Result<(), String> {
    let is_same_person = |asked: &FabricUserId, got: &FabricUserId| {
        let owner = |id: &FabricUserId| owners.get(id.as_str());
        asked == got || owner(asked).is_some_and(|person| owner(got) == Some(person))
    };
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
        ) => is_same_person(user_id, id),
        (
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

/// Checks that every transaction on the chain was stored before it was sent, and that each attempt
/// has the result of its transaction.
async fn check_attempts(run: &mut Run<'_>, chain: &Chain) -> Result<(), String> {
    let pool = &run.env.pool;
    run.old_envelopes.collect(&mut *run.env.conn().await).await;
    let mut codes: BTreeMap<&str, &str> = BTreeMap::new();
    for transaction in &chain.transactions {
        if !run.old_envelopes.knows(&transaction.id) {
            return Err(format!("G2: transaction {} was sent and never stored", transaction.id));
        }
        // A second transaction with the same bytes says nothing.
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
            // No orderer of a run refuses an envelope for good, so no attempt is abandoned.
            _ => false,
        };
        if !agrees {
            let code = codes.get(tx_id.as_str());
            return Err(format!("attempt {tx_id} is {state}, its transaction {code:?}"));
        }
    }
    Ok(())
}

/// Checks that the ledger's state equals the replay of its events.
async fn check_ledger(env: &Environment, replay: &ChainReplay) -> Result<(), String> {
    let pools = ask(env, "TokenomicsContract:GetPoolStatus", &[]).await?;
    for pool in pools.as_array().ok_or("no list of pools")? {
        let id = pool["poolId"].as_str().unwrap_or_default();
        expect_balance(replay, id, &pool["balance"])?;
    }
    let people = replay.people.keys().cloned();
    for account in people.chain([AccountId::Treasury("MY".parse().unwrap()).to_string()]) {
        let view =
            ask(env, "TokenomicsContract:GetBalance", std::slice::from_ref(&account)).await?;
        expect_balance(replay, &account, &view["balance"])?;
    }
    Ok(())
}

fn expect_balance(replay: &ChainReplay, account: &str, found: &Value) -> Result<(), String> {
    let expected = replay.balances.get(account).map(i64::to_string);
    if found.as_str() == expected.as_deref() {
        return Ok(());
    }
    Err(format!("G4: the ledger holds {found} for {account}, its events leave {expected:?}"))
}

async fn ask(env: &Environment, function: &str, args: &[String]) -> Result<Value, String> {
    let answer = env.ledger.evaluate(function, args).await.map_err(|why| why.to_string())?;
    serde_json::from_slice(&answer).map_err(|why| why.to_string())
}
