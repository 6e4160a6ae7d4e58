//! The outcomes of all commands, line by line; refusals are in the order in which they are checked.

use crate::ledger::Ledger;
use crate::table::check;

/// Returns a ledger with countries and people; most people have their grant.
pub(crate) fn populated() -> Ledger {
    let mut ledger = Ledger::default();
    check(
        &mut ledger,
        "
        bootstrap                     => applied
        countries MY:1000 SG:500 AQ:0 => applied
        create sarah                  => applied
        create ali                    => applied
        create bea                    => applied
        create shop                   => applied
        create firm                   => applied
        create ministry               => applied
        create robot                  => applied
        grant sarah                   => applied
        grant ali                     => applied
        grant bea                     => applied
        grant shop                    => applied
        grant firm                    => applied
        grant ministry                => applied
        grant robot                   => applied
        ",
    );
    ledger
}

/// G4, CFG-10: bootstrap creates the whole supply in the pools, once.
#[test]
fn the_supply_is_created_once() {
    check(
        &mut Ledger::default(),
        "
        balance LOAN_POOL         => none
        bootstrap                 => applied
        bootstrap                 => refused ALREADY_BOOTSTRAPPED
        balance USER_GENESIS_POOL => 577500000000
        balance GOVT_GENESIS_POOL => 152000000000
        balance CHARITABLE_POOL   => 158000000000
        balance LOAN_POOL         => 312500000000
        balance GX_POOL           => 31250000000
        balance OPERATIONS_FUND   => 18750000000
        ",
    );
}

/// DB-07: a country is added once, and the shares sum to at most 10^9.
#[test]
fn countries_are_added_once_and_their_shares_are_bounded() {
    check(
        &mut Ledger::default(),
        "
        raw AdminContract:InitializeCountryData []          => refused INVALID_COMMAND
        raw AdminContract:InitializeCountryData [{\"countryCode\":\"MY\"}] => refused INVALID_COMMAND
        countries MY:600000000 SG:400000001                 => refused SHARES_EXCEED_TOTAL
        countries MY:600000000 MY:1                         => refused COUNTRY_EXISTS
        countries MY:600000000                              => applied
        countries SG:100 MY:600000000                       => refused COUNTRY_EXISTS
        countries SG:400000001                              => refused SHARES_EXCEED_TOTAL
        countries SG:400000000                              => applied
        countries AQ:0                                      => applied
        countries XK:1                                      => refused SHARES_EXCEED_TOTAL
        ",
    );
}

#[test]
fn a_command_waits_for_the_supply_or_the_country_it_needs() {
    check(
        &mut Ledger::default(),
        "
        @sarah create sarah            => deferred SYSTEM_NOT_BOOTSTRAPPED
        grant sarah                    => deferred SYSTEM_NOT_BOOTSTRAPPED
        transfer sarah ali 5 -         => deferred SYSTEM_NOT_BOOTSTRAPPED
        freeze sarah FRAUD             => deferred SYSTEM_NOT_BOOTSTRAPPED
        unfreeze sarah                 => deferred SYSTEM_NOT_BOOTSTRAPPED
        activate MY                    => deferred SYSTEM_NOT_BOOTSTRAPPED
        bootstrap                      => applied
        @sarah create sarah            => deferred COUNTRY_UNKNOWN
        grant sarah                    => deferred COUNTRY_UNKNOWN
        activate MY                    => deferred COUNTRY_UNKNOWN
        transfer LOAN_POOL treasury_MY 5 - => deferred COUNTRY_UNKNOWN
        countries MY:1000              => applied
        @sarah create sarah            => applied
        ",
    );
}

/// FAB-08, FAB-14: a malformed id or hash is refused, and a person is created once.
#[test]
fn users_are_created_once_from_well_formed_facts() {
    let mut ledger = Ledger::default();
    check(&mut ledger, "bootstrap => applied\ncountries MY:1000 => applied");
    let hash = "5f".repeat(32);
    let bcrypt = "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";
    let create = |id: &str, hash: &str, country: &str, age: &str, outcome: &str| {
        format!("raw IdentityContract:CreateUser {id} | {hash} | {country} | {age} => {outcome}\n")
    };
    let sarah = "MY 463 AUN834 0QKZB 5821";
    let refused = "refused INVALID_COMMAND";
    let table = [
        create("MY463AUN8340QKZB5821", &hash, "MY", "33", refused),
        create("MY 463 AUN834 0QKZB 582", &hash, "MY", "33", refused),
        create("MY 463 AUN834 BQKZB 5821", &hash, "MY", "33", refused),
        create("my 463 AUN834 0QKZB 5821", &hash, "MY", "33", refused),
        create("MY 46G AUN834 0QKZB 5821", &hash, "MY", "33", refused),
        create("MY 463 ZZZ999 0QKZB 5821", &hash, "MY", "33", refused),
        create(sarah, bcrypt, "MY", "33", refused),
        create(sarah, &hash.to_uppercase(), "MY", "33", refused),
        create(sarah, &hash[1..], "MY", "33", refused),
        create(sarah, &hash, "Malaysia", "33", refused),
        create(sarah, &hash, "MY", "151", refused),
        create(sarah, &hash, "MY", "-1", refused),
        create(sarah, &hash, "MY", "033", refused),
        create(sarah, &hash, "SG", "33", "refused NATIONALITY_MISMATCH"),
        create("SG 222 AUM641 0BEAX 0002", &hash, "SG", "33", "deferred COUNTRY_UNKNOWN"),
        create(sarah, &hash, "MY", "33", "applied"),
        create(sarah, &hash, "MY", "33", "refused USER_EXISTS"),
        create("MY 111 ABG641 0ALIX 0001", &hash, "MY", "150", "applied"),
        "balance sarah => 0".to_owned(),
    ];
    check(&mut ledger, &table.concat());
}

#[test]
fn a_grant_pays_person_and_treasury_once() {
    let mut ledger = Ledger::default();
    check(
        &mut ledger,
        "
        bootstrap                 => applied
        countries MY:1000 SG:500  => applied
        grant sarah               => refused ACCOUNT_UNKNOWN
        create sarah              => applied
        grant sarah of SG         => refused NATIONALITY_MISMATCH
        grant sarah               => applied
        grant sarah               => refused GENESIS_DONE
        balance sarah             => 500
        balance treasury_MY       => 50
        balance treasury_SG       => 0
        balance USER_GENESIS_POOL => 577499999500
        balance GOVT_GENESIS_POOL => 151999999950
        ",
    );
}

#[test]
fn transfers_move_money_and_the_payer_pays_the_fee() {
    check(
        &mut populated(),
        "
        transfer sarah sarah 5 -               => refused SELF_TRANSFER
        transfer sarah ali 0 -                 => refused INVALID_AMOUNT
        transfer USER_GENESIS_POOL sarah 5 -   => refused POOL_RESERVED
        transfer sarah GOVT_GENESIS_POOL 5 -   => refused POOL_RESERVED
        transfer baby ali 5 -                  => refused ACCOUNT_UNKNOWN
        transfer sarah baby 5 -                => refused ACCOUNT_UNKNOWN
        transfer sarah robot 5 -               => refused TX_TYPE_MISMATCH
        transfer shop sarah 5 -                => refused TX_TYPE_MISMATCH
        transfer sarah ali 5 MERCHANT          => refused TX_TYPE_MISMATCH
        transfer LOAN_POOL ali 5 P2P           => refused TX_TYPE_MISMATCH
        transfer sarah ali 500 -               => refused INSUFFICIENT_BALANCE
        transfer sarah ali 1250000000000 -     => refused INSUFFICIENT_BALANCE
        transfer sarah ali 2.999999 P2P        => applied
        balance sarah                          => 497.000001
        transfer sarah ali 3 -                 => applied
        balance sarah                          => 493.998501
        transfer sarah bea 5 P2P               => applied
        balance sarah                          => 488.991001
        balance bea                            => 505
        transfer sarah shop 100 MERCHANT       => applied
        balance sarah                          => 388.841001
        transfer sarah firm 100 MERCHANT       => applied
        balance sarah                          => 288.541001
        transfer sarah ministry 100 GOVERNMENT => applied
        balance sarah                          => 188.441001
        transfer firm ministry 100 GOVERNMENT  => applied
        balance firm                           => 499.8
        transfer shop robot 100 B2B            => applied
        balance shop                           => 499.8
        transfer shop firm 100 B2B             => applied
        balance shop                           => 399.4
        transfer sarah treasury_SG 8.441001 -  => applied
        transfer LOAN_POOL sarah 20 -          => applied
        balance sarah                          => 200
        balance LOAN_POOL                      => 312499999980
        balance OPERATIONS_FUND                => 18750000001.359
        ",
    );
}

#[test]
fn a_frozen_person_receives_and_does_not_spend() {
    check(
        &mut populated(),
        "
        freeze baby FRAUD      => refused ACCOUNT_UNKNOWN
        unfreeze baby          => refused ACCOUNT_UNKNOWN
        unfreeze sarah         => refused NOT_FROZEN
        raw TokenomicsContract:FreezeWallet MY 463 AUN834 0QKZB 5821 | he stole => refused INVALID_COMMAND
        freeze sarah FRAUD     => applied
        freeze sarah COURT     => refused ALREADY_FROZEN
        transfer sarah ali 999 - => refused ACCOUNT_FROZEN
        transfer ali sarah 1 - => applied
        balance sarah          => 501
        unfreeze sarah         => applied
        transfer sarah ali 1 - => applied
        balance sarah          => 500
        ",
    );
}

#[test]
fn a_treasury_receives_and_spends_only_once_activated() {
    check(
        &mut populated(),
        "
        transfer treasury_MY sarah 1000 - => refused TREASURY_LOCKED
        transfer sarah treasury_MY 1 -    => applied
        balance treasury_MY               => 251
        activate MY                       => applied
        activate MY                       => refused TREASURY_ACTIVE
        transfer treasury_MY sarah 1000 - => refused INSUFFICIENT_BALANCE
        transfer treasury_MY sarah 251 -  => applied
        balance treasury_MY               => 0
        balance sarah                     => 750
        ",
    );
}

/// FAB-10: during a pause every command except the resume waits, well-formed or not.
#[test]
fn fab_10_a_pause_defers_every_command_but_the_resume() {
    check(
        &mut populated(),
        "
        resume                     => refused NOT_PAUSED
        pause INCIDENT             => applied
        pause INCIDENT             => refused ALREADY_PAUSED
        @boot bootstrap            => deferred SYSTEM_PAUSED
        @country countries XK:1    => deferred SYSTEM_PAUSED
        @treasury activate MY      => deferred SYSTEM_PAUSED
        @baby create baby          => deferred SYSTEM_PAUSED
        @grant grant baby          => deferred SYSTEM_PAUSED
        @pay transfer sarah ali 5 - => deferred SYSTEM_PAUSED
        @freeze freeze sarah FRAUD => deferred SYSTEM_PAUSED
        @unfreeze unfreeze sarah   => deferred SYSTEM_PAUSED
        @odd raw NoContract:None   => deferred SYSTEM_PAUSED
        balance sarah              => 500
        resume                     => applied
        @boot bootstrap            => refused ALREADY_BOOTSTRAPPED
        @country countries XK:1    => applied
        @treasury activate MY      => applied
        @baby create baby          => applied
        @grant grant baby          => applied
        @pay transfer sarah ali 5 - => applied
        @freeze freeze sarah FRAUD => applied
        @unfreeze unfreeze sarah   => applied
        @odd raw NoContract:None   => refused INVALID_COMMAND
        ",
    );
}
