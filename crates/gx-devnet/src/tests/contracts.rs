//! The GX contracts over the wire: every function, its role and its answer.

use gx_contract::{
    AccountView, COMPACT_FEES, CommandRecord, CountryView, FeeView, PoolView, QUERIES, SupplyView,
    SystemView, UserView, fee_key,
};
use gx_fabric_proto::protos::TxValidationCode;
use gx_model::{BatchCommand, Command, CommandId, Country, FabricUserId, Qirat, SignerRole};
use serde::de::DeserializeOwned;

use super::Ledger;
use super::client::{Client, direct_call, said};

/// The published example.
pub(super) const SARAH: &str = "MY 463 AUN834 0QKZB 5821";
pub(super) const ALI: &str = "MY 111 ABG641 0ALIX 0001";
const BEA: &str = "SG 222 AUM641 0BEAX 0002";

/// Returns a ledger with its supply, Malaysia and Singapore.
pub(super) async fn bootstrap(client: &Client) {
    client.carry_out(&Command::BootstrapSystem {}).await.unwrap();
    let countries = [("MY", 600_000_000), ("SG", 400_000_000)].map(|(code, share_ppb)| Country {
        country_code: code.parse().unwrap(),
        name: code.to_owned(),
        share_ppb,
    });
    let command = Command::InitializeCountryData { countries: countries.into() };
    client.carry_out(&command).await.unwrap();
}

pub(super) async fn create_person(client: &Client, id: &FabricUserId) {
    let committed = client.carry_out(&creation(id)).await.unwrap();
    assert_eq!(committed.code, TxValidationCode::Valid);
}

fn creation(id: &FabricUserId) -> Command {
    Command::CreateUser {
        user_id: id.clone(),
        biometric_hash: "5f".repeat(32).parse().unwrap(),
        nationality: id.country(),
        age: 36,
    }
}

pub(super) fn grant(id: &FabricUserId) -> Command {
    Command::DistributeGenesis { user_id: id.clone(), nationality: id.country() }
}

/// Returns the balance of an account, or `None` if it does not exist.
pub(super) async fn balance(client: &Client, id: &FabricUserId) -> Option<Qirat> {
    balance_of(client, id.as_str()).await
}

async fn balance_of(client: &Client, account: &str) -> Option<Qirat> {
    let view: Option<AccountView> = ask(client, "TokenomicsContract:GetBalance", &[account]).await;
    view.map(|view| view.balance)
}

async fn ask<T: DeserializeOwned>(client: &Client, function: &str, args: &[&str]) -> T {
    let answer = client.evaluate(function, args).await.unwrap();
    serde_json::from_slice(&answer).unwrap_or_else(|error| {
        panic!("{function}: {error} in {}", String::from_utf8_lossy(&answer))
    })
}

/// G4: after the bootstrap the pools hold the whole supply. After grants and a transfer, pools and
/// circulation sum to it.
#[tokio::test(flavor = "multi_thread")]
async fn g4_the_supply_is_whole_after_bootstrap_grants_and_a_transfer() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    bootstrap(&admin).await;
    let all: SupplyView = ask(&admin, "TokenomicsContract:GetSupplyStatus", &[]).await;
    assert_eq!((all.supply, all.in_pools), (Qirat::SUPPLY, Qirat::SUPPLY));
    assert_eq!((all.in_circulation, all.users), (Qirat::ZERO, 0));

    let [sarah, bea]: [FabricUserId; 2] = [SARAH, BEA].map(|id| id.parse().unwrap());
    for person in [&sarah, &bea] {
        create_person(&admin, person).await;
        admin.carry_out(&grant(person)).await.unwrap();
    }
    admin.carry_out(&transfer(&sarah, &bea)).await.unwrap();
    let all: SupplyView = ask(&admin, "TokenomicsContract:GetSupplyStatus", &[]).await;
    assert_eq!(all.users, 2);
    let pools: Vec<PoolView> = ask(&admin, "TokenomicsContract:GetPoolStatus", &[]).await;
    let mut held: i64 = pools.iter().map(|pool| pool.balance.get()).sum();
    assert_eq!(held, all.in_pools.get());
    for account in [SARAH, BEA, "treasury_MY", "treasury_SG"] {
        held += balance_of(&admin, account).await.unwrap().get();
    }
    assert_eq!(held, Qirat::SUPPLY.get());
}

pub(super) fn transfer(from: &FabricUserId, to: &FabricUserId) -> Command {
    Command::Transfer {
        from: gx_model::AccountId::User(from.clone()),
        to: gx_model::AccountId::User(to.clone()),
        amount: "5000000".parse().unwrap(),
        tx_type: None,
    }
}

/// FAB-05: every function of every contract is called by its full name over the wire, and every
/// answer decodes, also for things that do not exist.
#[tokio::test(flavor = "multi_thread")]
async fn fab_05_every_function_is_called_and_every_answer_decodes() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    every_query_decodes(&admin, SARAH).await;
    bootstrap(&admin).await;
    every_query_decodes(&admin, SARAH).await;

    let [sarah, bea]: [FabricUserId; 2] = [SARAH, BEA].map(|id| id.parse().unwrap());
    create_person(&admin, &sarah).await;
    every_query_decodes(&admin, SARAH).await;
    create_person(&admin, &bea).await;
    let reason_code = "TEST".parse().unwrap();
    let fee_transaction = {
        admin.carry_out(&grant(&sarah)).await.unwrap();
        admin.carry_out(&transfer(&sarah, &bea)).await.unwrap().tx_id
    };
    for command in [
        grant(&bea),
        Command::ActivateTreasury { country_code: sarah.country() },
        Command::FreezeWallet { user_id: bea.clone(), reason_code },
        Command::UnfreezeWallet { user_id: bea.clone() },
        Command::PauseSystem { reason_code: "TEST".parse().unwrap() },
        Command::ResumeSystem {},
    ] {
        let committed = admin.carry_out(&command).await.unwrap();
        assert_eq!(committed.code, TxValidationCode::Valid, "{command:?}");
    }
    let ali: FabricUserId = ALI.parse().unwrap();
    let batch = [BatchCommand::new(CommandId::derive(&["batch"]), &creation(&ali))];
    let batch = serde_json::to_string(&batch).unwrap();
    admin.invoke(BatchCommand::EXECUTE, &[&batch]).await.unwrap();
    assert_eq!(balance(&admin, &ali).await, Some(Qirat::ZERO));
    let ids = serde_json::to_string(&[CommandId::derive(&["fenced"])]).unwrap();
    let id = CommandId::derive(&["cancel"]).to_string();
    admin.invoke(BatchCommand::CANCEL, &[&ids, &id]).await.unwrap();
    let keys = serde_json::to_string(&[fee_key(&fee_transaction)]).unwrap();
    let id = CommandId::derive(&["compact"]).to_string();
    admin.invoke(COMPACT_FEES, &[&keys, &id]).await.unwrap();
    every_query_decodes(&admin, SARAH).await;
}

async fn decodes<T: DeserializeOwned>(client: &Client, function: &str, args: &[&str]) {
    let _answer: T = ask(client, function, args).await;
}

async fn every_query_decodes(client: &Client, person: &str) {
    for function in QUERIES {
        match function {
            "AdminContract:GetSystemStatus" => decodes::<SystemView>(client, function, &[]).await,
            "AdminContract:GetCountryStats" => {
                decodes::<Option<CountryView>>(client, function, &["MY"]).await;
                decodes::<Option<CountryView>>(client, function, &["ZZ"]).await;
            }
            "IdentityContract:GetUser" => {
                decodes::<Option<UserView>>(client, function, &[person]).await;
            }
            "IdentityContract:UserExists" => {
                decodes::<bool>(client, function, &[person]).await;
            }
            "TokenomicsContract:GetBalance" => {
                decodes::<Option<AccountView>>(client, function, &[person]).await;
                decodes::<Option<AccountView>>(client, function, &["treasury_MY"]).await;
            }
            "TokenomicsContract:GetSupplyStatus" => {
                decodes::<SupplyView>(client, function, &[]).await;
            }
            "TokenomicsContract:GetPoolStatus" => {
                decodes::<Vec<PoolView>>(client, function, &[]).await;
            }
            "TokenomicsContract:CalculateTransactionFee" => {
                decodes::<FeeView>(client, function, &[person, BEA, "5000000", ""]).await;
            }
            "BatchContract:GetCommand" => {
                let id = CommandId::derive(&["nothing"]).to_string();
                decodes::<Option<CommandRecord>>(client, function, &[&id]).await;
            }
            other => panic!("no test asks {other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_in_the_certificate_decides_what_its_holder_may_do() {
    let ledger = Ledger::start().await;
    let (function, args) = direct_call(&Command::BootstrapSystem {});
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    for role in [SignerRole::PartnerApi, SignerRole::Admin] {
        let refused = ledger.client(role).endorse(&function, &args).await.err().unwrap();
        let (_, _, detail) = said(&refused);
        assert!(detail.unwrap().starts_with("chaincode response 403, ROLE_REQUIRED"));
    }
    let committed = ledger.admin().invoke(&function, &args).await.unwrap();
    assert_eq!(committed.code, TxValidationCode::Valid);
}
