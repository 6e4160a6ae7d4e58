//! Commands: payloads, calls and ids.

use std::collections::BTreeSet;

use gx_model::{
    AccountId, BatchCommand, Command, CommandCall, CommandId, CommandKind, CountryList,
    InvalidCommand, Pool, Qirat, SignerRole, TxType,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn one_of_each() -> Vec<Command> {
    let user_id = "MY 463 AUN834 0QKZB 5821".parse().unwrap();
    let nationality = "MY".parse().unwrap();
    let countries = CountryList::embedded().iter().take(2).cloned().collect();
    let commands = vec![
        Command::BootstrapSystem {},
        Command::InitializeCountryData { countries },
        Command::PauseSystem { reason_code: "INCIDENT".parse().unwrap() },
        Command::ResumeSystem {},
        Command::ActivateTreasury { country_code: nationality },
        Command::CreateUser {
            user_id,
            biometric_hash: "5f".repeat(32).parse().unwrap(),
            nationality,
            age: 33,
        },
        Command::DistributeGenesis { user_id: user(), nationality },
        Command::Transfer {
            from: AccountId::User(user()),
            to: "treasury_MY".parse().unwrap(),
            amount: Qirat::SUPPLY,
            tx_type: Some(TxType::P2p),
        },
        Command::FreezeWallet { user_id: user(), reason_code: "FRAUD".parse().unwrap() },
        Command::UnfreezeWallet { user_id: user() },
    ];
    assert!(commands.iter().map(Command::kind).eq(CommandKind::ALL), "one of each, in order");
    commands
}

fn user() -> gx_model::FabricUserId {
    "MY 463 AUN834 0QKZB 5821".parse().unwrap()
}

/// OUT-01: a payload without one of its fields is refused and the error names the field. A payload
/// with an unknown or misspelt field is refused, too.
#[test]
fn out_01_an_incomplete_payload_is_refused_by_name() {
    for command in one_of_each() {
        let (kind, payload) = (command.kind(), command.payload());
        assert_eq!(Command::from_payload(kind, &payload).unwrap(), command);
        let fields = payload.as_object().unwrap();
        let optional = |field: &str| field == "txType";
        for field in fields.keys() {
            let mut lacking = fields.clone();
            let value = lacking.remove(field).unwrap();
            let why =
                Command::from_payload(kind, &lacking.clone().into()).map_err(|w| w.to_string());
            match why {
                Err(why) => assert_eq!(why, format!("missing field `{field}`"), "{kind}"),
                Ok(_) => assert!(optional(field), "{kind} without {field}"),
            }
            lacking.insert(field.to_uppercase(), value);
            assert!(Command::from_payload(kind, &lacking.into()).is_err(), "{kind} {field}");
        }
        let mut more = fields.clone();
        more.insert("remark".to_owned(), json!("free text"));
        let why = Command::from_payload(kind, &more.into()).unwrap_err().to_string();
        assert!(why.contains("remark"), "{kind}: {why}");
    }
}

/// OUT-01: values of the wrong form are refused.
#[test]
fn out_01_malformed_values_are_refused() {
    let wrong: [(CommandKind, &str, Value); 9] = [
        (CommandKind::CreateUser, "age", json!(151)),
        (CommandKind::CreateUser, "age", json!("33")),
        (CommandKind::CreateUser, "userId", json!("MY463AUN8340QKZB5821")),
        (CommandKind::CreateUser, "biometricHash", json!("$2b$10$N9qo8uLOickgx2ZMRZoMye")),
        (CommandKind::CreateUser, "nationality", json!("Malaysia")),
        (CommandKind::Transfer, "amount", json!(5)),
        (CommandKind::Transfer, "from", json!("SYSTEM_POOL")),
        (CommandKind::Transfer, "txType", json!("p2p")),
        (CommandKind::PauseSystem, "reasonCode", json!("the network is down")),
    ];
    for (kind, field, value) in wrong {
        let command = one_of_each().into_iter().find(|one| one.kind() == kind).unwrap();
        let mut payload = command.payload();
        payload[field] = value;
        assert!(Command::from_payload(kind, &payload).is_err(), "{kind} {payload}");
    }
}

/// OUT-02: every kind has a name, its own function and arguments, and every call parses back to its
/// command.
#[test]
fn out_02_every_command_reads_back_from_its_call() {
    let functions: BTreeSet<&str> = CommandKind::ALL.map(CommandKind::function).into();
    assert_eq!(functions.len(), CommandKind::ALL.len());
    for command in one_of_each() {
        let kind = command.kind();
        assert_eq!(CommandKind::from_name(kind.name()), Some(kind));
        assert_eq!(CommandKind::from_function(kind.function()), Some(kind));
        assert_eq!(serde_json::to_value(kind).unwrap(), json!(kind.name()));
        assert!(kind.signer() >= SignerRole::Admin);
        assert!(kind.signer() >= kind.role());
        let call = command.call();
        assert_eq!(call.args.len(), kind.arguments().len(), "{kind}");
        assert_eq!(Command::try_from(&call).unwrap(), command);
        let one = BatchCommand::new(CommandId::derive(&["x"]), &command);
        let json = serde_json::to_value(&one).unwrap();
        assert_eq!(serde_json::from_value::<BatchCommand>(json).unwrap(), one);
    }
    let none = CommandCall { function: "AdminContract:Mint".to_owned(), args: vec![] };
    assert_eq!(Command::try_from(&none), Err(InvalidCommand::UnknownFunction(none.function)));
}

/// OUT-01: the error for a malformed call names the function and the wrong argument.
#[test]
fn out_01_a_malformed_call_is_refused_by_name() {
    for command in one_of_each() {
        let call = command.call();
        let mut longer = call.clone();
        longer.args.push(String::new());
        let why = Command::try_from(&longer).unwrap_err();
        let (function, expected) = (command.kind().function(), call.args.len());
        let given = expected + 1;
        assert_eq!(why, InvalidCommand::ArgumentCount { function, expected, given });
        for (at, name) in command.kind().arguments().iter().enumerate() {
            let mut wrong = call.clone();
            wrong.args[at] = "no such thing".to_owned();
            match Command::try_from(&wrong) {
                Err(InvalidCommand::Argument { argument, .. }) => assert_eq!(argument, *name),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}

/// OUT-12, G5: no field of a payload, at any depth, can hold a person's name, an address or a
/// credential. The field `name` is a country's.
#[test]
fn out_12_payloads_hold_no_personal_data() {
    fn keys(value: &Value, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(key, value)| {
                into.insert(key.clone());
                keys(value, into);
            }),
            Value::Array(values) => values.iter().for_each(|value| keys(value, into)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    one_of_each().iter().for_each(|command| keys(&command.payload(), &mut found));
    let expected = [
        "age",
        "amount",
        "biometricHash",
        "countries",
        "countryCode",
        "from",
        "name",
        "nationality",
        "reasonCode",
        "sharePpb",
        "to",
        "txType",
        "userId",
    ];
    assert_eq!(found, expected.map(str::to_owned).into());
}

#[test]
fn a_command_lists_the_accounts_it_touches() {
    let touches: Vec<(String, Vec<String>)> =
        one_of_each().iter().map(|one| (one.aggregate_key(), one.touches())).collect();
    let (sarah, treasury, system) = (user().to_string(), "treasury_MY", "SYSTEM");
    let pause = "SYSTEM_PAUSE";
    let expected: [(&str, &[&str]); 10] = [
        (system, &[system]),
        (system, &[system]),
        (pause, &[pause]),
        (pause, &[pause]),
        (treasury, &[treasury]),
        (&sarah, &[&sarah]),
        (&sarah, &[&sarah, treasury]),
        (&sarah, &[&sarah, treasury]),
        (&sarah, &[&sarah]),
        (&sarah, &[&sarah]),
    ];
    let expected =
        expected.map(|(key, all)| (key.to_owned(), all.iter().map(ToString::to_string).collect()));
    assert_eq!(touches, expected);
}

/// G2: the same parts give the same id. Other parts, or the same text divided differently, give
/// another id.
#[test]
fn g2_command_ids_are_derived_from_their_parts() {
    let id = CommandId::derive(&["profile", "CREATE_USER", "1"]);
    assert_eq!(id, CommandId::derive(&["profile", "CREATE_USER", "1"]));
    assert_ne!(id, CommandId::derive(&["profile", "CREATE_USER", "2"]));
    assert_ne!(CommandId::derive(&["ab", "c"]), CommandId::derive(&["a", "bc"]));
    assert_ne!(CommandId::derive(&["1:a"]), CommandId::derive(&["1", "a"]));
    assert_eq!(id.to_string().parse(), Ok(id));
    let upper = id.to_string().to_uppercase();
    assert!(upper.parse::<CommandId>().is_err(), "one id has one text");
    assert!(id.to_string().replace('-', "").parse::<CommandId>().is_err());
}

#[test]
fn account_ids_parse_back_and_other_texts_are_refused() {
    for pool in Pool::ALL {
        let account = AccountId::Pool(pool);
        assert_eq!(account.to_string().parse(), Ok(account));
    }
    for text in ["treasury_MY", "MY 463 AUN834 0QKZB 5821"] {
        assert_eq!(text.parse::<AccountId>().unwrap().to_string(), text);
    }
    for text in ["", "treasury_", "treasury_my", "treasury_MYS", "SYSTEM_POOL", "sarah"] {
        assert!(text.parse::<AccountId>().is_err(), "{text}");
    }
}

/// FAB-08: a biometric hash is 64 lower-case hex digits by type.
#[test]
fn fab_08_only_hex_digits_are_a_biometric_hash() {
    use gx_model::BiometricHash;
    let hash = "0123456789abcdef".repeat(4);
    assert_eq!(hash.parse::<BiometricHash>().unwrap().to_string(), hash);
    let bcrypt = "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";
    let (short, long, upper) = (&hash[1..], format!("{hash}0"), hash.to_uppercase());
    let broken = format!("g{short}");
    for wrong in ["", bcrypt, short, &long, &upper, &broken] {
        assert!(wrong.parse::<BiometricHash>().is_err(), "{wrong}");
        assert!(serde_json::from_value::<BiometricHash>(json!(wrong)).is_err(), "{wrong}");
    }
}

proptest! {
    /// OUT-01: a command parsed from its call equals the command parsed from its payload.
    #[test]
    fn out_01_calls_and_payloads_agree(age in 0..=150_u8, amount in 0..=Qirat::SUPPLY.get()) {
        let create = Command::CreateUser {
            user_id: user(),
            biometric_hash: "5f".repeat(32).parse().unwrap(),
            nationality: "MY".parse().unwrap(),
            age,
        };
        let transfer = Command::Transfer {
            from: AccountId::User(user()),
            to: AccountId::Pool(Pool::Loan),
            amount: Qirat::new(amount).unwrap(),
            tx_type: None,
        };
        for command in [create, transfer] {
            prop_assert_eq!(&Command::try_from(&command.call()).unwrap(), &command);
            let payload = command.payload();
            prop_assert_eq!(&Command::from_payload(command.kind(), &payload).unwrap(), &command);
        }
    }
}
