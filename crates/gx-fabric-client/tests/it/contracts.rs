//! Calls every function of the contracts as clients do.

use std::collections::BTreeSet;

use gx_contract::{
    AccountView, COMPACT_FEES, CommandRecord, CountryView, FeeView, PoolView, QUERIES, SupplyView,
    SystemView, UserView, fee_key,
};
use gx_fabric_client::{Ledger, OutcomeClass};
use gx_model::{
    AccountId, AccountType, BatchCommand, BatchEvent, BiometricHash, Command, CommandId,
    CommandKind, Country, CountryCode, EntryOutcome, FabricUserId, Gender, IdSubject, Qirat,
    SignerRole,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::de::DeserializeOwned;
use time::macros::date;

use crate::world::{World, strings};

pub(crate) const EXECUTE: &str = BatchCommand::EXECUTE;

pub(crate) fn malaysia() -> CountryCode {
    "MY".parse().unwrap()
}

/// Returns a person of 34 years with other random parts for each number.
pub(crate) fn person(number: u64) -> FabricUserId {
    let subject = IdSubject {
        email: format!("person{number}@example.com"),
        birth_date: date!(1992 - 08 - 20),
        country: malaysia(),
        gender: Gender::Female,
        account_type: AccountType::Individual,
    };
    FabricUserId::generate(&subject, &mut StdRng::seed_from_u64(number)).unwrap()
}

fn id(name: &str) -> CommandId {
    CommandId::derive(&["client test", name])
}

pub(crate) fn fresh_id() -> CommandId {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    id(&COUNT.fetch_add(1, Ordering::Relaxed).to_string())
}

/// Returns the one argument of a batch that carries these commands under new ids.
pub(crate) fn batch(commands: &[Command]) -> Vec<String> {
    let commands: Vec<_> =
        commands.iter().map(|command| BatchCommand::new(fresh_id(), command)).collect();
    vec![serde_json::to_string(&commands).unwrap()]
}

pub(crate) fn transfer(from: &FabricUserId, to: &FabricUserId, amount: i64) -> Command {
    Command::Transfer {
        from: AccountId::User(from.clone()),
        to: AccountId::User(to.clone()),
        amount: Qirat::new(amount).unwrap(),
        tx_type: None,
    }
}

pub(crate) fn create(person: &FabricUserId) -> Command {
    Command::CreateUser {
        user_id: person.clone(),
        biometric_hash: "ab".repeat(32).parse::<BiometricHash>().unwrap(),
        nationality: malaysia(),
        age: 34,
    }
}

fn countries() -> Command {
    let country =
        Country { country_code: malaysia(), name: "Malaysia".to_owned(), share_ppb: 4_200_000 };
    Command::InitializeCountryData { countries: vec![country] }
}

fn grant(person: &FabricUserId) -> Command {
    Command::DistributeGenesis { user_id: person.clone(), nationality: malaysia() }
}

/// Returns a ledger with two people who have their grants, created in two blocks.
pub(crate) async fn bootstrapped_with_two_people(
    world: &World,
    ledger: &Ledger,
) -> [FabricUserId; 2] {
    bootstrap(world, ledger).await;
    let people = [person(1), person(2)];
    let commands = [create(&people[0]), create(&people[1]), grant(&people[0]), grant(&people[1])];
    execute(world, ledger, &commands).await;
    people
}

/// Creates the supply and a country in one block.
pub(crate) async fn bootstrap(world: &World, ledger: &Ledger) {
    execute(world, ledger, &[Command::BootstrapSystem {}, countries()]).await;
}

async fn execute(world: &World, ledger: &Ledger, commands: &[Command]) {
    let args = batch(commands);
    let (_, status) = world.transact(ledger, SignerRole::SuperAdmin, EXECUTE, &args).await;
    assert!(status.code.is_valid());
    let event = event_in(ledger, status.block).await;
    assert!(event.entries.iter().all(|e| e.outcome == EntryOutcome::Applied {}), "{event:?}");
}

async fn event_in(ledger: &Ledger, block: u64) -> BatchEvent {
    let block = ledger.block(block).await.unwrap();
    let event = block.transactions[0].event.as_ref().unwrap();
    serde_json::from_slice(&event.payload).unwrap()
}

async fn ask<T: DeserializeOwned>(ledger: &Ledger, function: &str, args: &[&str]) -> T {
    assert!(QUERIES.contains(&function), "{function}");
    let answer = ledger.evaluate(function, &strings(args)).await.unwrap();
    serde_json::from_slice(&answer)
        .unwrap_or_else(|why| panic!("{function}: {why} in {}", String::from_utf8_lossy(&answer)))
}

/// FAB-05: every mutating function and every query is called by contract and function on the
/// development ledger, and every result decodes, also for absent things, empty lists and a person
/// who has just been created.
#[tokio::test]
async fn fab_05_every_function_is_named_with_its_contract_and_decodes() {
    let world = World::start().await;
    let ledger = world.ledger();
    let (alice, bob) = (person(1), person(2));

    before_anything_exists(&ledger, &alice).await;

    let mut called = BTreeSet::new();
    let commands = [
        Command::BootstrapSystem {},
        countries(),
        Command::ActivateTreasury { country_code: malaysia() },
        create(&alice),
        create(&bob),
        grant(&alice),
        transfer(&alice, &bob, 100_000_000),
        Command::FreezeWallet { user_id: bob.clone(), reason_code: "REVIEW".parse().unwrap() },
        Command::UnfreezeWallet { user_id: bob.clone() },
        Command::PauseSystem { reason_code: "REVIEW".parse().unwrap() },
        Command::ResumeSystem {},
    ];
    let mut fees = String::new();
    for command in commands {
        called.insert(command.kind().function());
        let call = command.call();
        let command_id = fresh_id();
        let mut args = call.args;
        args.push(command_id.to_string());
        let (endorsed, status) =
            world.transact(&ledger, SignerRole::SuperAdmin, &call.function, &args).await;
        assert!(status.code.is_valid(), "{}", call.function);
        let event = event_in(&ledger, status.block).await;
        assert_eq!(event.entries[0].command_id, command_id);
        assert_eq!(event.entries[0].outcome, EntryOutcome::Applied {}, "{}", call.function);
        if command.kind() == CommandKind::CreateUser {
            a_brand_new_person(&ledger, if called.len() == 4 { &alice } else { &bob }).await;
        }
        if command.kind() == CommandKind::Transfer {
            fees = fee_key(&endorsed.tx_id);
        }
        let record: Option<CommandRecord> =
            ask(&ledger, "BatchContract:GetCommand", &[&command_id.to_string()]).await;
        assert_eq!(record.unwrap().tx_id, endorsed.tx_id);
    }
    let all: BTreeSet<_> = CommandKind::ALL.into_iter().map(CommandKind::function).collect();
    assert_eq!(called, all, "every command was called");

    for (function, args) in [
        (EXECUTE, batch(&[transfer(&alice, &bob, 1_000_000)])),
        (BatchCommand::CANCEL, vec![format!("[\"{}\"]", fresh_id()), fresh_id().to_string()]),
        (COMPACT_FEES, vec![format!("[\"{fees}\"]"), fresh_id().to_string()]),
    ] {
        let (_, status) = world.transact(&ledger, SignerRole::Admin, function, &args).await;
        assert!(status.code.is_valid(), "{function}");
    }
    after_everything(&ledger, &alice, &bob).await;
}

async fn before_anything_exists(ledger: &Ledger, nobody: &FabricUserId) {
    let nobody = nobody.to_string();
    let system: SystemView = ask(ledger, "AdminContract:GetSystemStatus", &[]).await;
    assert!(!system.bootstrapped);
    let country: Option<CountryView> = ask(ledger, "AdminContract:GetCountryStats", &["MY"]).await;
    assert_eq!(country, None);
    let user: Option<UserView> = ask(ledger, "IdentityContract:GetUser", &[&nobody]).await;
    assert_eq!(user, None);
    assert!(!ask::<bool>(ledger, "IdentityContract:UserExists", &[&nobody]).await);
    let balance: Option<AccountView> =
        ask(ledger, "TokenomicsContract:GetBalance", &[&nobody]).await;
    assert_eq!(balance, None);
    let supply: SupplyView = ask(ledger, "TokenomicsContract:GetSupplyStatus", &[]).await;
    assert_eq!(supply.users, 0);
    let pools: Vec<PoolView> = ask(ledger, "TokenomicsContract:GetPoolStatus", &[]).await;
    assert_eq!(pools, []);
    let record: Option<CommandRecord> =
        ask(ledger, "BatchContract:GetCommand", &[&id("never used").to_string()]).await;
    assert_eq!(record, None);
}

async fn a_brand_new_person(ledger: &Ledger, person: &FabricUserId) {
    let name = person.to_string();
    let user: Option<UserView> = ask(ledger, "IdentityContract:GetUser", &[&name]).await;
    let user = user.unwrap();
    assert_eq!((&user.user_id, user.grant), (person, None));
    assert!(ask::<bool>(ledger, "IdentityContract:UserExists", &[&name]).await);
    let account: Option<AccountView> = ask(ledger, "TokenomicsContract:GetBalance", &[&name]).await;
    assert_eq!(account.unwrap().balance, Qirat::new(0).unwrap());
}

async fn after_everything(ledger: &Ledger, alice: &FabricUserId, bob: &FabricUserId) {
    let pools: Vec<PoolView> = ask(ledger, "TokenomicsContract:GetPoolStatus", &[]).await;
    assert_eq!(pools.len(), 6);
    let country: Option<CountryView> = ask(ledger, "AdminContract:GetCountryStats", &["MY"]).await;
    assert!(country.unwrap().treasury_active);
    let supply: SupplyView = ask(ledger, "TokenomicsContract:GetSupplyStatus", &[]).await;
    assert_eq!(supply.users, 1);
    let (from, to) = (alice.to_string(), bob.to_string());
    let fee: FeeView =
        ask(ledger, "TokenomicsContract:CalculateTransactionFee", &[&from, &to, "5000000", ""])
            .await;
    assert!(fee.tx_type.is_some());
}

/// FAB-05: the client refuses a function without its contract and sends nothing.
#[tokio::test]
async fn fab_05_a_function_without_a_contract_is_refused() {
    let world = World::start().await;
    let ledger = world.ledger();
    let error = ledger.evaluate("GetSystemStatus", &[]).await.unwrap_err();
    assert_eq!(error.class, OutcomeClass::Misconfigured);
    let signer = world.identity(SignerRole::Admin);
    let error = ledger.endorse(&signer, "BootstrapSystem", &[]).await.unwrap_err();
    assert!(error.message.contains("Contract:Function"), "{error}");
}
