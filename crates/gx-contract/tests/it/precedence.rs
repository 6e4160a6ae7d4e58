//! The order of the rules. Each line breaks the rule of its outcome, no earlier rule, and as many
//! later rules as can be broken together.

use gx_contract::{Caller, Invocation, Response, invoke};
use gx_model::{BatchCommand, RejectionCode, SignerRole};

use crate::ledger::{CHAINCODE, Ledger};
use crate::table::{check, command};
use crate::tables::populated;

/// A known id is answered first. Then come pause, malformed command, bootstrap and the rules of
/// the command.
#[test]
fn a_known_id_comes_before_the_pause_and_the_pause_before_all_rules() {
    check(
        &mut Ledger::default(),
        "
        @known countries MY:1000          => applied
        pause INCIDENT                    => applied
        @known countries MY:1000          => replay applied
        @known countries MY:2000          => mismatch
        @known raw NoContract:None        => mismatch
        raw NoContract:None               => deferred SYSTEM_PAUSED
        countries MY:1000                 => deferred SYSTEM_PAUSED
        create sarah of XK                => deferred SYSTEM_PAUSED
        resume                            => applied
        raw NoContract:None               => refused INVALID_COMMAND
        raw IdentityContract:CreateUser x => refused INVALID_COMMAND
        create sarah of XK                => deferred SYSTEM_NOT_BOOTSTRAPPED
        grant sarah of XK                 => deferred SYSTEM_NOT_BOOTSTRAPPED
        transfer sarah sarah 0 -          => deferred SYSTEM_NOT_BOOTSTRAPPED
        freeze sarah FRAUD                => deferred SYSTEM_NOT_BOOTSTRAPPED
        unfreeze sarah                    => deferred SYSTEM_NOT_BOOTSTRAPPED
        activate XK                       => deferred SYSTEM_NOT_BOOTSTRAPPED
        ",
    );
}

#[test]
fn a_known_country_comes_before_the_sum_of_shares() {
    check(
        &mut Ledger::default(),
        "
        countries MY:600000000               => applied
        countries MY:600000000               => refused COUNTRY_EXISTS
        countries SG:600000000 SG:600000000  => refused COUNTRY_EXISTS
        countries SG:600000000               => refused SHARES_EXCEED_TOTAL
        ",
    );
}

/// A person exists only in a known country, so that USER_EXISTS and GENESIS_DONE cannot be
/// combined with the rules before them.
#[test]
fn the_nationality_comes_before_the_country_and_the_country_before_the_person() {
    check(
        &mut Ledger::default(),
        "
        bootstrap          => applied
        countries MY:1000  => applied
        create sarah       => applied
        create sarah of XK => refused NATIONALITY_MISMATCH
        create bea of XK   => refused NATIONALITY_MISMATCH
        create bea         => deferred COUNTRY_UNKNOWN
        create sarah       => refused USER_EXISTS
        grant sarah        => applied
        grant sarah of XK  => refused NATIONALITY_MISMATCH
        grant bea of XK    => refused NATIONALITY_MISMATCH
        grant bea          => deferred COUNTRY_UNKNOWN
        grant baby         => refused ACCOUNT_UNKNOWN
        grant sarah        => refused GENESIS_DONE
        ",
    );
}

/// The rules of a transfer: parties, amount, payer, receiver, class, standing, balance.
#[test]
fn a_transfer_is_refused_by_its_first_broken_rule() {
    check(
        &mut populated(),
        "
        freeze sarah FRAUD                                 => applied
        transfer USER_GENESIS_POOL USER_GENESIS_POOL 0 P2P => refused SELF_TRANSFER
        transfer baby baby 0 MERCHANT                      => refused SELF_TRANSFER
        transfer sarah sarah 9999 MERCHANT                 => refused SELF_TRANSFER
        transfer baby GOVT_GENESIS_POOL 0 P2P              => refused POOL_RESERVED
        transfer USER_GENESIS_POOL baby 0 P2P              => refused POOL_RESERVED
        transfer sarah USER_GENESIS_POOL 9999 P2P          => refused POOL_RESERVED
        transfer baby treasury_XK 0 P2P                    => refused INVALID_AMOUNT
        transfer treasury_XK baby 0 P2P                    => refused INVALID_AMOUNT
        transfer sarah ali 0 MERCHANT                      => refused INVALID_AMOUNT
        transfer baby treasury_XK 9999 P2P                 => refused ACCOUNT_UNKNOWN
        transfer treasury_XK baby 9999 P2P                 => deferred COUNTRY_UNKNOWN
        transfer sarah baby 9999 MERCHANT                  => refused ACCOUNT_UNKNOWN
        transfer sarah treasury_XK 9999 P2P                => deferred COUNTRY_UNKNOWN
        transfer sarah robot 9999 -                        => refused TX_TYPE_MISMATCH
        transfer sarah ali 9999 MERCHANT                   => refused TX_TYPE_MISMATCH
        transfer treasury_MY sarah 9999 P2P                => refused TX_TYPE_MISMATCH
        transfer treasury_MY sarah 9999 -                  => refused TREASURY_LOCKED
        transfer sarah ali 9999 -                          => refused ACCOUNT_FROZEN
        transfer ali sarah 9999 -                          => refused INSUFFICIENT_BALANCE
        transfer ali sarah 1 -                             => applied
        ",
    );
}

/// A call is refused as a whole for the chaincode, the function, a malformed command id, the role,
/// or an id that was used with other content. Only then the rules of the command follow, the pause
/// first. A batch is parsed, and a cancellation needs its role, before anything else.
#[test]
fn a_call_is_refused_by_its_first_broken_rule() {
    let mut ledger = populated();
    let (used, fresh) = (ledger.fresh_id().to_string(), "018f6a3e-0000-7000-8000-000000000000");
    let pay = command(&["transfer", "sarah", "ali", "5", "-"]).call();
    let args = [&pay.args[..], std::slice::from_ref(&used)].concat();
    let paid = ledger.call(Some(SignerRole::PartnerApi), &pay.function, &args);
    assert_eq!(paid.status, Response::OK, "{}", paid.message);
    check(&mut ledger, "pause INCIDENT => applied");

    let (pay, none) = (pay.function.as_str(), "AdminContract:Mint");
    let (cancel, execute) = (BatchCommand::CANCEL, BatchCommand::EXECUTE);
    let (partner, admin) = (Some(SignerRole::PartnerApi), Some(SignerRole::Admin));
    for (chaincode, function, id, role, expected) in [
        ("other", none, "no-uuid", None, "WRONG_CHAINCODE"),
        ("other", pay, "no-uuid", None, "WRONG_CHAINCODE"),
        (CHAINCODE, none, "no-uuid", None, "UNKNOWN_FUNCTION"),
        (CHAINCODE, pay, "no-uuid", None, "INVALID_COMMAND"),
        (CHAINCODE, pay, used.as_str(), None, "ROLE_REQUIRED"),
        (CHAINCODE, pay, used.as_str(), partner, "COMMAND_ID_REUSED"),
        (CHAINCODE, pay, fresh, partner, "SYSTEM_PAUSED"),
        (CHAINCODE, execute, "no-uuid", None, "INVALID_COMMAND"),
        (CHAINCODE, cancel, "no-uuid", partner, "ROLE_REQUIRED"),
        (CHAINCODE, cancel, "no-uuid", admin, "INVALID_COMMAND"),
        (CHAINCODE, cancel, used.as_str(), admin, "COMMAND_ID_REUSED"),
        (CHAINCODE, cancel, fresh, admin, "INVALID_COMMAND"),
    ] {
        let call = Invocation {
            function,
            args: &["malformed".to_owned(), id.to_owned()],
            tx_id: "tx",
            timestamp: ledger.now,
            caller: Caller { role },
            chaincode_named_in_proposal: chaincode,
            own_name: CHAINCODE,
        };
        let response = invoke(&mut ledger.state.clone(), &call).unwrap();
        let code = response.message.split(':').next();
        assert_eq!(code, Some(expected), "{function} of {chaincode} with id {id} by {role:?}");
    }
}

/// Every rule that refuses a command, and every prerequisite, has a line in a table.
#[test]
fn every_rule_has_a_line_in_a_table() {
    let tables = [include_str!("tables.rs"), include_str!("precedence.rs")].concat();
    let deferrals = ["SYSTEM_NOT_BOOTSTRAPPED", "SYSTEM_PAUSED", "COUNTRY_UNKNOWN"];
    let refusals = RejectionCode::ALL.iter().map(|code| format!("refused {code}"));
    for outcome in refusals.chain(deferrals.map(|code| format!("deferred {code}"))) {
        let line = format!("=> {outcome}\n");
        assert!(tables.contains(&line), "no line ends with `=> {outcome}`");
    }
}
