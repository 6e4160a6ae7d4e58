//! The ledger's words: contract functions, commands, state keys and records, events, answers,
//! and the closed lists of names.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::ops::Bound;

use gx_contract::{COMPACT_FEES, Caller, Invocation, QUERIES, Response, State, StateError, invoke};
use gx_model::{
    AccountId, AccountStatus, AttemptState, BatchCommand, BatchEvent, Command, CommandId,
    CommandKind, CommandStatus, Country, CountryCode, DenialFinality, DomainEvent, FabricUserId,
    Gender, GrantRefusal, Gx, OnchainStatus, Pool, Prerequisite, Qirat, RejectionCode, SignerRole,
    TxType,
};
use serde_json::{Value, json};
use time::macros::datetime;

use super::check;

#[test]
fn contract_functions_and_payloads_are_those_of_the_golden_file() {
    let mut text = String::new();
    for kind in CommandKind::ALL {
        let (function, role) = (kind.function(), kind.role().attribute());
        writeln!(text, "{kind}: {function}({}), {role}", kind.arguments().join(", ")).unwrap();
    }
    for function in [BatchCommand::EXECUTE, BatchCommand::CANCEL, COMPACT_FEES] {
        writeln!(text, "transaction {function}").unwrap();
    }
    QUERIES.iter().for_each(|query| writeln!(text, "query {query}").unwrap());
    for command in Story::default().commands() {
        let one = BatchCommand::new(CommandId::derive(&["golden"]), &command);
        writeln!(text, "\n{}", command.kind()).unwrap();
        writeln!(text, "  json {}", json!(command)).unwrap();
        writeln!(text, "  payload {}", command.payload()).unwrap();
        writeln!(text, "  call {}", json!(one)).unwrap();
        writeln!(text, "  aggregate key {}", command.aggregate_key()).unwrap();
        writeln!(text, "  touches {}", command.touches().join(", ")).unwrap();
    }
    check("contract-calls.txt", &text);
}

#[test]
fn chain_records_and_events_are_those_of_the_golden_file() {
    let mut story = Story::default();
    let commands = story.commands();
    let grant = Command::DistributeGenesis { user_id: person(1), nationality: malaysia() };
    story.execute("a grant before the bootstrap", &grant);
    for (number, command) in commands.iter().enumerate() {
        story.execute(&format!("step {number}"), command);
    }
    story.execute("step 0", &commands[0]);
    story.execute("step 0", &commands[1]);
    story.execute("a second bootstrap", &commands[0]);
    story.cancel();
    let freeze =
        Command::FreezeWallet { user_id: person(1), reason_code: "FRAUD".parse().unwrap() };
    story.execute("a freeze that stays", &freeze);
    let pause = Command::PauseSystem { reason_code: "INCIDENT".parse().unwrap() };
    story.execute("a pause that stays", &pause);
    story.execute("a grant during the pause", &grant);
    let mut text = format!("event {} version {}\n", BatchEvent::NAME, BatchEvent::VERSION);
    DomainEvent::NAMES.iter().for_each(|name| writeln!(text, "event {name}").unwrap());
    text.push_str(&story.told);
    text.push_str("\nThe state afterwards:\n");
    for (key, value) in &story.state.0 {
        writeln!(text, "{key} = {}", String::from_utf8_lossy(value)).unwrap();
    }
    text.push_str("\nAnswers of the queries:\n");
    QUERIES.iter().for_each(|query| writeln!(text, "{query}: {}", story.query(query)).unwrap());
    check("chain.txt", &text);
}

#[test]
fn closed_lists_of_names_are_those_of_the_golden_file() {
    let pools = Pool::ALL.map(Pool::name);
    let prerequisites = [
        Prerequisite::SystemBootstrapped {},
        Prerequisite::SystemResumed {},
        Prerequisite::Country { country_code: malaysia() },
    ];
    let waits: Vec<String> =
        prerequisites.iter().map(|one| format!("{} {}", one.code(), json!(one))).collect();
    let lines = [
        list("status of an account", AccountStatus::ALL),
        list("finality of a denial", DenialFinality::ALL),
        list("status on the ledger", OnchainStatus::ALL),
        list("status of a command", CommandStatus::ALL),
        list("state of an attempt", AttemptState::ALL),
        list("kind of a command", CommandKind::ALL),
        list("signer", SignerRole::ALL),
        list("role attribute", SignerRole::ALL.map(SignerRole::attribute)),
        list("rejection", RejectionCode::ALL),
        list("class of a transfer", TxType::ALL),
        list("refused grant", GrantRefusal::ALL),
        list("gender", Gender::ALL),
        list("pool", pools),
        list("prerequisite", waits),
    ];
    check("names.txt", &lines.concat());
}

fn list<T: Display>(title: &str, names: impl IntoIterator<Item = T>) -> String {
    names.into_iter().fold(format!("{title}:\n"), |text, name| format!("{text}  {name}\n"))
}

fn malaysia() -> CountryCode {
    "MY".parse().unwrap()
}

/// Returns the id of a person of Malaysia.
fn person(number: usize) -> FabricUserId {
    ["MY 463 AUN834 0QKZB 5821", "MY 463 AUN834 0QKZC 5822"][number - 1].parse().unwrap()
}

/// A ledger of one peer in memory, and a log of what its transactions said.
#[derive(Default)]
struct Story {
    state: Memory,
    told: String,
    transactions: u32,
}

impl Story {
    /// Returns one command of each kind, in an order in which the ledger takes them all, with a
    /// second person to pay.
    fn commands(&self) -> Vec<Command> {
        let create = |number| Command::CreateUser {
            user_id: person(number),
            biometric_hash: "5f".repeat(32).parse().unwrap(),
            nationality: malaysia(),
            age: 33,
        };
        let grant = |number| Command::DistributeGenesis {
            user_id: person(number),
            nationality: malaysia(),
        };
        let country =
            Country { country_code: malaysia(), name: "Malaysia".to_owned(), share_ppb: 4_000_000 };
        vec![
            Command::BootstrapSystem {},
            Command::InitializeCountryData { countries: vec![country] },
            Command::ActivateTreasury { country_code: malaysia() },
            create(1),
            create(2),
            grant(1),
            grant(2),
            Command::Transfer {
                from: AccountId::User(person(1)),
                to: AccountId::User(person(2)),
                amount: "100".parse::<Gx>().unwrap().0,
                tx_type: Some(TxType::P2p),
            },
            Command::FreezeWallet { user_id: person(1), reason_code: "FRAUD".parse().unwrap() },
            Command::UnfreezeWallet { user_id: person(1) },
            Command::PauseSystem { reason_code: "INCIDENT".parse().unwrap() },
            Command::ResumeSystem {},
        ]
    }

    /// Executes a command in a transaction of its own, under an id made from `name`.
    fn execute(&mut self, name: &str, command: &Command) {
        let one = BatchCommand::new(CommandId::derive(&["golden", name]), command);
        self.transact(BatchCommand::EXECUTE, &[json!([one]).to_string()]);
    }

    fn cancel(&mut self) {
        let ids = json!([CommandId::derive(&["golden", "never"])]).to_string();
        let id = CommandId::derive(&["golden", "cancel"]).to_string();
        self.transact(BatchCommand::CANCEL, &[ids, id]);
    }

    fn transact(&mut self, function: &str, args: &[String]) {
        self.transactions += 1;
        let tx_id = format!("tx{}", self.transactions);
        let response = self.call(&tx_id, function, args);
        assert_eq!(response.status, Response::OK, "{}", response.message);
        let (name, payload) = response.event.unwrap();
        writeln!(self.told, "\n{tx_id} {name} {}", String::from_utf8_lossy(&payload)).unwrap();
        for (key, value) in response.writes {
            let shown = value.as_deref().map_or("deleted".into(), String::from_utf8_lossy);
            writeln!(self.told, "  {key} = {shown}").unwrap();
            match value {
                Some(value) => self.state.0.insert(key, value),
                None => self.state.0.remove(&key),
            };
        }
    }

    fn query(&mut self, function: &str) -> Value {
        let user = person(1).to_string();
        let args: Vec<String> = match function {
            "AdminContract:GetCountryStats" => vec!["MY".to_owned()],
            "IdentityContract:GetUser"
            | "IdentityContract:UserExists"
            | "TokenomicsContract:GetBalance" => vec![user],
            "TokenomicsContract:CalculateTransactionFee" => {
                let amount = Qirat::PER_GX.to_string();
                vec![user, person(2).to_string(), amount, String::new()]
            }
            "BatchContract:GetCommand" => {
                vec![CommandId::derive(&["golden", "step 0"]).to_string()]
            }
            _ => vec![],
        };
        let response = self.call("evaluation", function, &args);
        assert_eq!(response.status, Response::OK, "{function}: {}", response.message);
        serde_json::from_slice(&response.payload).unwrap()
    }

    fn call(&mut self, tx_id: &str, function: &str, args: &[String]) -> Response {
        let call = Invocation {
            function,
            args,
            tx_id,
            timestamp: datetime!(2026-03-01 12:00 UTC),
            caller: Caller { role: Some(SignerRole::SuperAdmin) },
            chaincode_named_in_proposal: "gx",
            own_name: "gx",
        };
        invoke(&mut self.state, &call).unwrap()
    }
}

#[derive(Default)]
struct Memory(BTreeMap<String, Vec<u8>>);

impl State for Memory {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.0.get(key).cloned())
    }

    fn range(&mut self, start: &str, end: &str) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        let bounds = (Bound::Included(start.to_owned()), Bound::Excluded(end.to_owned()));
        Ok(self.0.range(bounds).map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}
