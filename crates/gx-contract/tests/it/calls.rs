//! Direct calls, roles, and calls that are refused as a whole.

use gx_contract::{COMPACT_FEES, Caller, Invocation, QUERIES, Response, fee_key, invoke};
use gx_model::{BatchCommand, Command, CommandKind, SignerRole};

use crate::ledger::{CHAINCODE, Ledger, entries};
use crate::table::{check, command, outcome};
use crate::tables::populated;

/// One well-formed command of every kind.
fn one_of_each() -> Vec<Command> {
    let lines = [
        "bootstrap",
        "countries XK:1",
        "pause INCIDENT",
        "resume",
        "activate MY",
        "create baby",
        "grant sarah",
        "transfer sarah ali 5 -",
        "freeze sarah FRAUD",
        "unfreeze sarah",
    ];
    let commands: Vec<Command> =
        lines.iter().map(|line| command(&line.split(' ').collect::<Vec<_>>())).collect();
    let kinds: Vec<CommandKind> = commands.iter().map(Command::kind).collect();
    assert_eq!(kinds, CommandKind::ALL);
    commands
}

fn direct(ledger: &mut Ledger, role: Option<SignerRole>, command: &Command) -> Response {
    let mut call = command.call();
    call.args.push(ledger.fresh_id().to_string());
    ledger.call(role, &call.function, &call.args)
}

fn code(response: &Response) -> &str {
    response.message.split(':').next().unwrap()
}

/// OUT-02: the contract has a function for every command kind, both as a direct call and in a
/// batch, and no other mutating function.
#[test]
fn out_02_every_command_has_its_function() {
    for command in one_of_each() {
        let response = direct(&mut populated(), Some(SignerRole::SuperAdmin), &command);
        assert_ne!(code(&response), "UNKNOWN_FUNCTION", "{:?}", command.kind());
        let entry = populated().run(&command);
        assert_ne!(outcome(&entry.outcome), "refused INVALID_COMMAND", "{:?}", command.kind());
    }
    let args = [populated().fresh_id().to_string()];
    let response = populated().call(Some(SignerRole::SuperAdmin), "AdminContract:Mint", &args);
    assert_eq!((response.status, code(&response)), (Response::REFUSED, "UNKNOWN_FUNCTION"));
}

/// OUT-01: a call with an argument too few or too many is refused, and the error names the
/// function.
#[test]
fn out_01_a_call_of_the_wrong_number_of_arguments_is_refused() {
    for command in one_of_each() {
        let call = command.call();
        let shorter = call.args.len().checked_sub(1).map(|len| call.args[..len].to_vec());
        let longer = [&call.args[..], &["more".to_owned()]].concat();
        for mut args in shorter.into_iter().chain([longer]) {
            let mut ledger = populated();
            args.push(ledger.fresh_id().to_string());
            let response = ledger.call(Some(SignerRole::SuperAdmin), &call.function, &args);
            assert_eq!((response.status, code(&response)), (Response::REFUSED, "INVALID_COMMAND"));
            assert!(response.message.contains(&call.function), "{}", response.message);
        }
    }
}

/// FAB-10: during a pause every mutating function except the resume is refused with the same code,
/// and works again after the resume.
#[test]
fn fab_10_a_pause_refuses_every_direct_change_but_the_resume() {
    let mut ledger = populated();
    check(&mut ledger, "transfer sarah ali 100 - => applied\npause INCIDENT => applied");
    for command in one_of_each() {
        let kind = command.kind();
        let mut ledger = ledger.clone();
        let response = direct(&mut ledger, Some(SignerRole::SuperAdmin), &command);
        match kind {
            CommandKind::ResumeSystem => assert_eq!(response.status, Response::OK),
            CommandKind::PauseSystem => assert_eq!(code(&response), "ALREADY_PAUSED"),
            _ => assert_eq!(code(&response), "SYSTEM_PAUSED", "{kind}"),
        }
    }
    let args = [format!("[\"{}\"]", fee_key("tx17")), ledger.fresh_id().to_string()];
    let response = ledger.call(Some(SignerRole::Admin), COMPACT_FEES, &args);
    assert_eq!(code(&response), "SYSTEM_PAUSED");
    check(&mut ledger, "resume => applied");
    let response = ledger.call(Some(SignerRole::Admin), COMPACT_FEES, &args);
    assert_eq!(response.status, Response::OK, "{}", response.message);
}

/// A direct call emits an event with one entry and takes effect once. If it is refused, there is no
/// transaction.
#[test]
fn a_direct_call_is_a_batch_of_one_or_no_transaction() {
    let mut ledger = populated();
    let pay = command(&["transfer", "sarah", "ali", "5", "-"]).call();
    let id = ledger.fresh_id();
    let args = [&pay.args[..], &[id.to_string()]].concat();
    let first = ledger.call(Some(SignerRole::PartnerApi), &pay.function, &args);
    assert_eq!(entries(&first).len(), 1);
    assert_eq!(first.payload, serde_json::to_vec(&entries(&first)[0]).unwrap());
    assert_eq!(entries(&first)[0].command_id, id);

    let again = ledger.call(Some(SignerRole::PartnerApi), &pay.function, &args);
    assert_eq!(outcome(&entries(&again)[0].outcome), "replay applied");
    assert!(again.writes.is_empty());

    let other = args.iter().map(|arg| arg.replace("5000000", "6000000")).collect::<Vec<_>>();
    let reused = ledger.call(Some(SignerRole::PartnerApi), &pay.function, &other);
    assert_eq!((reused.status, code(&reused)), (Response::REFUSED, "COMMAND_ID_REUSED"));

    let much = command(&["transfer", "sarah", "ali", "5000", "-"]);
    let refused = direct(&mut ledger, Some(SignerRole::PartnerApi), &much);
    assert_eq!((refused.status, code(&refused)), (Response::REFUSED, "INSUFFICIENT_BALANCE"));

    let malformed = [&pay.args[..], &["no-uuid".to_owned()]].concat();
    let refused = ledger.call(Some(SignerRole::PartnerApi), &pay.function, &malformed);
    assert_eq!((refused.status, code(&refused)), (Response::REFUSED, "INVALID_COMMAND"));
}

/// Each role allows its own functions and those of the lower roles. A batch needs the highest role
/// of its commands, and a batch that is refused for its role records nothing.
#[test]
fn a_role_allows_its_functions_and_those_of_lower_roles() {
    let roles = [None].into_iter().chain(SignerRole::ALL.map(Some));
    for (command, role) in
        roles.flat_map(|role| one_of_each().into_iter().map(move |command| (command, role)))
    {
        let reaches = role >= Some(command.kind().role());
        let response = direct(&mut populated(), role, &command);
        assert_eq!(response.status != Response::FORBIDDEN, reaches, "{role:?} {command:?}");
        let mut ledger = populated();
        let batch = [
            BatchCommand::new(ledger.fresh_id(), &command),
            BatchCommand { function: "NoContract:None".to_owned(), ..batch_command(&ledger) },
        ];
        let args = [serde_json::to_string(&batch).unwrap()];
        let response = ledger.call(role, BatchCommand::EXECUTE, &args);
        assert_eq!(response.status == Response::OK, reaches, "{role:?} {command:?}");
        assert_eq!(code(&response) == "ROLE_REQUIRED", !reaches);
    }
    for (function, role) in [(BatchCommand::CANCEL, "gx_admin"), (COMPACT_FEES, "gx_admin")] {
        let response = populated().call(Some(SignerRole::PartnerApi), function, &[]);
        assert_eq!(response.status, Response::FORBIDDEN);
        assert!(response.message.contains(role), "{}", response.message);
    }
}

fn batch_command(ledger: &Ledger) -> BatchCommand {
    let id = gx_model::CommandId::derive(&["other", &ledger.fresh_id().to_string()]);
    BatchCommand { command_id: id, function: String::new(), args: vec![] }
}

#[test]
fn a_role_comes_from_the_attribute_or_the_admin_unit() {
    let role = |attribute, units: &[&str]| Caller::from_attributes(attribute, units).role;
    assert_eq!(role(Some("gx_partner_api"), &["client"]), Some(SignerRole::PartnerApi));
    assert_eq!(role(Some("gx_admin"), &[]), Some(SignerRole::Admin));
    assert_eq!(role(Some("gx_super_admin"), &[]), Some(SignerRole::SuperAdmin));
    assert_eq!(role(Some("gx_partner_api"), &["admin"]), Some(SignerRole::PartnerApi));
    assert_eq!(role(Some("root"), &["admin"]), None);
    assert_eq!(role(None, &["client", "admin"]), Some(SignerRole::SuperAdmin));
    assert_eq!(role(None, &["client"]), None);
}

/// A call through another chaincode is refused, because Fabric would drop the event.
#[test]
fn a_proposal_that_names_another_chaincode_is_refused() {
    let mut ledger = populated();
    let bootstrap = [ledger.fresh_id().to_string()];
    let call = Invocation {
        function: "AdminContract:BootstrapSystem",
        args: &bootstrap,
        tx_id: "tx",
        timestamp: ledger.now,
        caller: Caller { role: Some(SignerRole::SuperAdmin) },
        chaincode_named_in_proposal: "other",
        own_name: CHAINCODE,
    };
    let response = invoke(&mut ledger.state, &call).unwrap();
    assert_eq!((response.status, code(&response)), (Response::REFUSED, "WRONG_CHAINCODE"));
    assert!(response.writes.is_empty());
    assert!(response.event.is_none());
}

/// A value that this contract does not write ends the call and is not treated as absent.
#[test]
fn a_damaged_state_is_an_error() {
    let mut ledger = populated();
    ledger.state.values.insert("system".to_owned(), b"{\"Bootstrapped\":true}".to_vec());
    let response = ledger.propose(None, "tx", QUERIES[0], &[]);
    assert_eq!((response.status, code(&response)), (Response::DAMAGED, "STATE_DAMAGED"));
}

/// G4: folded fees can be spent and other fees cannot; each fee is folded once.
#[test]
fn fees_are_folded_once_and_then_spent() {
    let mut ledger = populated();
    check(
        &mut ledger,
        "
        transfer sarah ali 100 - => applied
        transfer sarah bea 101 - => applied
        balance OPERATIONS_FUND  => 18750000000.3025
        ",
    );
    let [first, second] = ["tx17", "tx18"].map(fee_key);
    let mut fold = |keys: &[&str], id: &str| {
        let args = [serde_json::to_string(keys).unwrap(), id.to_owned()];
        let response = ledger.call(Some(SignerRole::Admin), COMPACT_FEES, &args);
        (response.status, code(&response).to_owned(), response.writes.len())
    };
    let id = gx_model::CommandId::derive(&["fold"]).to_string();
    let other = gx_model::CommandId::derive(&["fold", "other"]).to_string();
    let invalid = (Response::REFUSED, "INVALID_COMMAND".to_owned(), 0);
    assert_eq!(fold(&[], &id), invalid);
    assert_eq!(fold(&["account~SYSTEM_LOAN_POOL"], &id), invalid);
    assert_eq!(fold(&[&first, &first], &id), invalid);
    assert_eq!(fold(&[&first], &id), (Response::OK, String::new(), 3));
    assert_eq!(fold(&[&first], &id), (Response::OK, String::new(), 0));
    assert_eq!(fold(&[&first], &other), invalid);
    check(
        &mut ledger,
        "
        balance OPERATIONS_FUND                         => 18750000000.3025
        transfer OPERATIONS_FUND ali 18750000000.051 -  => refused INSUFFICIENT_BALANCE
        transfer OPERATIONS_FUND ali 18750000000.05 -   => applied
        balance OPERATIONS_FUND                         => 0.2525
        ",
    );
    let other_id = gx_model::CommandId::derive(&["fold", "second"]).to_string();
    let args = [serde_json::to_string(&[second]).unwrap(), other_id];
    assert_eq!(ledger.call(Some(SignerRole::Admin), COMPACT_FEES, &args).status, Response::OK);
    check(&mut ledger, "transfer OPERATIONS_FUND ali 0.2525 - => applied");
}
