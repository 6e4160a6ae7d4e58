//! Phases, pools, ages and fees.

use gx_model::economics::{
    GENESIS_AGES, Grant, MAX_FEE_BASIS_POINTS, PHASES, age_on, country_cap, fee, grant_for,
};
use gx_model::{AccountId, AccountType, CountryList, Gx, Pool, Qirat, TxType};
use proptest::prelude::*;
use time::macros::date;

/// CFG-10, G4: the pools sum to the supply, and the grants of all phases sum to exactly the two
/// genesis pools.
#[test]
fn cfg_10_pools_are_the_supply_and_phases_exhaust_them() {
    let pools: i64 = Pool::ALL.iter().map(|pool| pool.start().get()).sum();
    assert_eq!(pools, Qirat::SUPPLY.get());
    assert_eq!(Qirat::SUPPLY, Qirat::gx(1_250_000_000_000));
    let paid = |each: fn(&gx_model::economics::Phase) -> Qirat| -> i64 {
        PHASES.iter().map(|phase| each(phase).get() * i64::try_from(phase.users).unwrap()).sum()
    };
    assert_eq!(paid(|phase| phase.user), Pool::UserGenesis.start().get());
    assert_eq!(paid(|phase| phase.treasury), Pool::GovtGenesis.start().get());
    assert!(PHASES.iter().zip(1..).all(|(phase, number)| phase.number == number));
}

/// G4, CFG-10: the caps of all countries never exceed a phase.
#[test]
fn cfg_10_the_caps_of_all_countries_stay_within_each_phase() {
    for phase in &PHASES {
        let caps: u64 =
            CountryList::embedded().iter().map(|c| country_cap(phase, c.share_ppb)).sum();
        assert!(caps <= phase.users && phase.users - caps < 250, "{caps} of {}", phase.users);
    }
    assert_eq!(country_cap(&PHASES[0], 1_000_000_000), PHASES[0].users);
}

#[test]
fn grants_follow_the_countrys_phases() {
    let grant = |phase, user, treasury| {
        Some(Grant { phase, user: Qirat::gx(user), treasury: Qirat::gx(treasury) })
    };
    let caps: Vec<u64> = PHASES.iter().map(|phase| country_cap(phase, 10)).collect();
    assert_eq!(caps, [1, 2, 3, 4, 15, 24]);
    assert_eq!(grant_for(0, 10), grant(1, 500, 50));
    assert_eq!(grant_for(1, 10), grant(2, 400, 50));
    assert_eq!(grant_for(24, 10), grant(5, 100, 50));
    assert_eq!(grant_for(25, 10), grant(6, 50, 10));
    assert_eq!(grant_for(48, 10), grant(6, 50, 10));
    assert_eq!(grant_for(49, 10), None);
    assert_eq!(grant_for(0, 0), None);
    // With a share too small for one person in phase 1, the grants begin in the first phase with a
    // cap of 1 or more.
    assert_eq!(grant_for(0, 4), grant(3, 300, 50));
}

/// FAB-13: ages are calendar-exact.
#[test]
fn fab_13_ages_by_the_calendar() {
    assert_eq!(GENESIS_AGES, 13..=73);
    for (birth, day, age) in [
        (date!(2012 - 06 - 15), date!(2025 - 06 - 14), 12),
        (date!(2012 - 06 - 15), date!(2025 - 06 - 15), 13),
        (date!(2012 - 02 - 29), date!(2025 - 02 - 28), 12),
        (date!(2012 - 02 - 29), date!(2025 - 03 - 01), 13),
        (date!(2012 - 02 - 29), date!(2028 - 02 - 28), 15),
        (date!(2012 - 02 - 29), date!(2028 - 02 - 29), 16),
        (date!(2011 - 03 - 01), date!(2024 - 02 - 29), 12),
        (date!(2011 - 12 - 31), date!(2025 - 01 - 01), 13),
        (date!(2025 - 06 - 15), date!(2025 - 06 - 15), 0),
        (date!(2030 - 06 - 15), date!(2025 - 06 - 15), 0),
        (date!(1900 - 01 - 01), date!(3000 - 01 - 01), 255),
    ] {
        assert_eq!(age_on(birth, day), age, "{birth} on {day}");
    }
}

fn party(country: &str, class: char) -> AccountId {
    let block = if class == '0' { "AUN834" } else { "BOD829" };
    format!("{country} 463 {block} {class}QKZB 5821").parse().unwrap()
}

/// CFG-10: the fee table, line by line.
#[test]
fn cfg_10_the_fee_table() {
    use TxType::{B2b, Government, Merchant, P2p};
    for (from, to, gx, tx_type, local, across) in [
        ('0', '0', "2.999999", P2p, 0, 15),
        ('0', '0', "3", P2p, 5, 15),
        ('0', '0', "100", P2p, 5, 15),
        ('0', '0', "100.000001", P2p, 10, 25),
        ('0', '1', "1", Merchant, 15, 30),
        ('0', '5', "1000", Merchant, 15, 30),
        ('0', '8', "1000", Merchant, 15, 30),
        ('0', '9', "1000", Merchant, 15, 30),
        ('0', 'A', "1000", Merchant, 15, 30),
        ('0', 'E', "1000", Merchant, 15, 30),
        ('0', '6', "1", Government, 10, 20),
        ('7', '0', "1", Government, 10, 20),
        ('7', '6', "1", Government, 10, 20),
        ('1', '7', "1", Government, 10, 20),
        ('1', '2', "1", B2b, 20, 40),
        ('F', 'E', "1", B2b, 20, 40),
    ] {
        let amount = gx.parse::<Gx>().unwrap().0;
        for (country, rate) in [("MY", local), ("SG", across)] {
            let fee = fee(&party("MY", from), &party(country, to), amount).unwrap();
            assert_eq!((fee.tx_type, fee.basis_points), (Some(tx_type), rate), "{from} {to} {gx}");
            assert_eq!(fee.fee, amount.basis_points(rate));
        }
    }
    let five = fee(&party("MY", '0'), &party("SG", '0'), Qirat::gx(5)).unwrap();
    assert_eq!(five.fee.get(), 7_500);
    let treasury: AccountId = "treasury_MY".parse().unwrap();
    let loan = AccountId::Pool(Pool::Loan);
    for (from, to) in [(&treasury, &party("MY", '0')), (&party("MY", '0'), &loan)] {
        let free = fee(from, to, Qirat::gx(5)).unwrap();
        assert_eq!((free.tx_type, free.basis_points, free.fee), (None, 0, Qirat::ZERO));
    }
    for (from, to) in [('0', 'F'), ('1', '0'), ('F', '0')] {
        assert!(fee(&party("MY", from), &party("MY", to), Qirat::gx(5)).is_err(), "{from} {to}");
    }
}

proptest! {
    /// CFG-10: no fee is above 10 %, for any two account types and any amount.
    #[test]
    fn cfg_10_no_fee_is_above_the_limit(
        from in prop::sample::select(&AccountType::ALL[..]),
        to in prop::sample::select(&AccountType::ALL[..]),
        local: bool,
        amount in 0..=Qirat::SUPPLY.get(),
    ) {
        let amount = Qirat::new(amount).unwrap();
        let to = party(if local { "MY" } else { "SG" }, to.digit());
        if let Ok(fee) = fee(&party("MY", from.digit()), &to, amount) {
            prop_assert!(fee.fee <= amount.basis_points(MAX_FEE_BASIS_POINTS));
        }
    }
}
