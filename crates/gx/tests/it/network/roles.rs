//! The contracts on the ledger decide which role may do what, and what a pause stops.

use gx_fabric_client::{Identity, LedgerError};
use gx_model::{
    AccountId, BatchCommand, Command, CommandKind, CountryList, FabricUserId, Qirat, SignerRole,
};
use gx_testkit::eventually;

use super::world::{World, fresh_id};
use super::{Direct, on_both_ledgers};
use crate::stack::BOUND;

/// Queries with their arguments.
const QUERIES: [(&str, &[&str]); 5] = [
    ("AdminContract:GetSystemStatus", &[]),
    ("AdminContract:GetCountryStats", &["MY"]),
    ("IdentityContract:UserExists", &["MY 463 AUN834 0QKZB 0000"]),
    ("TokenomicsContract:GetSupplyStatus", &[]),
    ("TokenomicsContract:GetPoolStatus", &[]),
];

on_both_ledgers! {
    /// FAB-09: every function accepts exactly its published roles, from certificates with the
    /// attribute, with the attribute in another case, and without it; the supply is created once.
    #[test]
    async fn every_function_accepts_its_roles_only(network) {
        let world = World::start(network).await;
        let direct = &world.direct;
        for (role, signer) in direct.signers() {
            for command in one_of_each(&world.people[0]) {
                let kind = command.kind();
                let refused = role_refused(&call(direct, signer, &command).await);
                assert_eq!(refused, role < Some(kind.role()), "{role:?} calls {kind}");
                let refused = role_refused(&execute(direct, signer, &command).await);
                assert_eq!(refused, role < Some(kind.role()), "{role:?} executes {kind}");
            }
            for (function, args) in [
                (BatchCommand::CANCEL, format!("[\"{}\"]", fresh_id())),
                ("TokenomicsContract:CompactFees", "[\"fee~1\"]".to_owned()),
            ] {
                let args = [args, fresh_id().to_string()];
                let refused = role_refused(&endorse(direct, signer, function, &args).await);
                assert_eq!(refused, role < Some(SignerRole::Admin), "{role:?} calls {function}");
            }
            for (function, args) in QUERIES {
                let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
                let answer = direct.ledger.evaluate_as(signer, function, &args).await;
                assert!(answer.is_ok(), "{role:?} asks {function}: {answer:?}");
            }
        }
        let again = call(direct, direct.signer(SignerRole::SuperAdmin), &Command::BootstrapSystem {});
        let refusal = again.await.unwrap_err();
        assert!(refusal.to_string().contains("ALREADY_BOOTSTRAPPED"), "{refusal}");
    }

    /// FAB-10: while the system is paused, every change except the resume is refused with one code;
    /// commands of the outbox wait and are sent after the resume.
    #[test]
    async fn a_pause_stops_every_change(network) {
        let world = World::start(network).await;
        world.enqueue(&Command::PauseSystem { reason_code: "DRILL".parse().unwrap() }).await;
        world.wait_until_settled(BOUND).await;
        let waiting = world.enqueue(&world.payment(0)).await;
        let status = format!(
            r#"SELECT status || coalesce(prerequisite::text, '') FROM "OutboxCommand"
               WHERE "commandId" = '{waiting}'"#
        );
        eventually("the payment waits for the resume", BOUND, async || {
            let status: String = world.query_one(status.clone()).await;
            (status.starts_with("BLOCKED") && status.contains("SYSTEM_RESUMED")).then_some(())
        })
        .await;

        let signer = world.direct.signer(SignerRole::SuperAdmin);
        for command in one_of_each(&world.people[0]) {
            let answer = call(&world.direct, signer, &command).await;
            let code = match command.kind() {
                CommandKind::ResumeSystem => {
                    assert!(answer.is_ok(), "{answer:?}");
                    continue;
                }
                CommandKind::PauseSystem => "ALREADY_PAUSED",
                _ => "SYSTEM_PAUSED",
            };
            let refusal = answer.unwrap_err();
            assert!(refusal.to_string().contains(code), "{}: {refusal}", command.kind());
        }
        world.enqueue(&Command::ResumeSystem {}).await;
        world.wait_until_settled(BOUND).await;
        world.assert_paid_once(1).await;
    }
}

impl Direct {
    /// Returns all identities, with the roles that the contracts see in them.
    fn signers(&self) -> Vec<(Option<SignerRole>, &Identity)> {
        let roles = self.identities.iter().map(|(role, identity)| (Some(*role), identity));
        let others = self.others.iter().map(|(role, identity)| (*role, identity));
        roles.chain(others).collect()
    }
}

/// Returns a command of each kind.
fn one_of_each(person: &FabricUserId) -> Vec<Command> {
    let (user_id, country) = (person.clone(), person.country());
    let account = AccountId::User(person.clone());
    vec![
        Command::BootstrapSystem {},
        Command::InitializeCountryData {
            countries: CountryList::embedded().iter().take(1).cloned().collect(),
        },
        Command::PauseSystem { reason_code: "DRILL".parse().unwrap() },
        Command::ResumeSystem {},
        Command::ActivateTreasury { country_code: country },
        Command::CreateUser {
            user_id: "MY 463 AUN834 0QKZB 9999".parse().unwrap(),
            biometric_hash: "0".repeat(64).parse().unwrap(),
            nationality: country,
            age: 34,
        },
        Command::DistributeGenesis { user_id: user_id.clone(), nationality: country },
        Command::Transfer {
            from: account.clone(),
            to: AccountId::Treasury(country),
            amount: Qirat::gx(1),
            tx_type: None,
        },
        Command::FreezeWallet {
            user_id: user_id.clone(),
            reason_code: "COURT_ORDER".parse().unwrap(),
        },
        Command::UnfreezeWallet { user_id },
    ]
}

/// Endorses the command as a call of its own function, and submits nothing.
async fn call(direct: &Direct, signer: &Identity, command: &Command) -> Result<(), LedgerError> {
    let call = command.call();
    let args = [&call.args[..], &[fresh_id().to_string()]].concat();
    endorse(direct, signer, &call.function, &args).await
}

/// Endorses the command in a batch, and submits nothing.
async fn execute(direct: &Direct, signer: &Identity, command: &Command) -> Result<(), LedgerError> {
    let batch = [BatchCommand::new(fresh_id(), command)];
    let args = [serde_json::to_string(&batch).unwrap()];
    endorse(direct, signer, BatchCommand::EXECUTE, &args).await
}

async fn endorse(
    direct: &Direct,
    signer: &Identity,
    function: &str,
    args: &[String],
) -> Result<(), LedgerError> {
    direct.ledger.endorse(signer, function, args).await.map(|_| ())
}

/// Returns whether a call was refused because of the signer's role.
fn role_refused(answer: &Result<(), LedgerError>) -> bool {
    answer.as_ref().is_err_and(|error| error.chaincode_status() == Some(403))
}
