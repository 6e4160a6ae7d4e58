//! Phases, grants, ages and fees: the constants and the arithmetic on them.

use std::ops::RangeInclusive;

use time::Date;

use crate::{AccountId, AccountType, CountryList, Qirat, TxType};

/// A phase of the genesis distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    /// 1 to 6.
    pub number: u8,
    /// People of all countries together who fall into the phase.
    pub users: u64,
    /// What each gets.
    pub user: Qirat,
    /// What the country's treasury gets for each.
    pub treasury: Qirat,
}

/// The phases, in order. Together they exhaust the two genesis pools exactly.
pub const PHASES: [Phase; 6] = [
    phase(1, 100_000_000, 500, 50),
    phase(2, 200_000_000, 400, 50),
    phase(3, 300_000_000, 300, 50),
    phase(4, 400_000_000, 200, 50),
    phase(5, 1_550_000_000, 100, 50),
    phase(6, 2_450_000_000, 50, 10),
];

/// Ages at which a grant is paid, both included.
pub const GENESIS_AGES: RangeInclusive<u8> = 13..=73;

/// Ages that a person can have at approval.
pub const AGES: RangeInclusive<u8> = 0..=150;

/// No fee is above 10 %.
pub const MAX_FEE_BASIS_POINTS: u16 = 1_000;

/// Rates of one class of transfers, by amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeClass {
    /// The class.
    pub tx_type: TxType,
    /// Whether both ids name the same country.
    pub is_local: bool,
    /// The steps, the lowest first; the first begins at zero.
    pub tiers: &'static [FeeTier],
}

/// A step of the fee table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeTier {
    /// Amounts from here on, up to the next step.
    pub from: Qirat,
    /// The rate in 1/10 000 of the whole amount.
    pub basis_points: u16,
}

/// What transfers cost, every class and distance.
pub const FEES: [FeeClass; 8] = [
    fees(TxType::P2p, true, &[flat(0), above(2_999_999, 5), above(100_000_000, 10)]),
    fees(TxType::P2p, false, &[flat(15), above(100_000_000, 25)]),
    fees(TxType::Merchant, true, &[flat(15)]),
    fees(TxType::Merchant, false, &[flat(30)]),
    fees(TxType::Government, true, &[flat(10)]),
    fees(TxType::Government, false, &[flat(20)]),
    fees(TxType::B2b, true, &[flat(20)]),
    fees(TxType::B2b, false, &[flat(40)]),
];

const fn fees(tx_type: TxType, is_local: bool, tiers: &'static [FeeTier]) -> FeeClass {
    FeeClass { tx_type, is_local, tiers }
}

const fn flat(basis_points: u16) -> FeeTier {
    above(-1, basis_points)
}

/// The rate of amounts above so many Qirat.
const fn above(qirat: i64, basis_points: u16) -> FeeTier {
    assert!(basis_points <= MAX_FEE_BASIS_POINTS, "no fee is above 10 %");
    FeeTier { from: Qirat::of(qirat + 1), basis_points }
}

const fn phase(number: u8, users: u64, user: i64, treasury: i64) -> Phase {
    Phase { number, users, user: Qirat::gx(user), treasury: Qirat::gx(treasury) }
}

/// What one person's grant comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The country's phase, 1 to 6.
    pub phase: u8,
    /// For the person.
    pub user: Qirat,
    /// For the country's treasury.
    pub treasury: Qirat,
}

/// What a transfer costs on top of its amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fee {
    /// The class that decided it; `None` where a pool or treasury takes part.
    pub tx_type: Option<TxType>,
    /// The rate in 1/10 000 of the amount.
    pub basis_points: u16,
    /// The fee, rounded down.
    pub fee: Qirat,
}

/// No class of transfers leads from the one account type to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no transaction type covers a transfer from account type {} to {}", from.digit(), to.digit())]
pub struct NoTxType {
    /// The payer's type.
    pub from: AccountType,
    /// The receiver's type.
    pub to: AccountType,
}

/// Full years from birth to a day, by the calendar: who was born on 29 February is a year
/// older on 1 March of other years. 0 before birth.
pub fn age_on(birth: Date, day: Date) -> u8 {
    let had_birthday = (day.month() as u8, day.day()) >= (birth.month() as u8, birth.day());
    let years = day.year() - birth.year() - i32::from(!had_birthday);
    u8::try_from(years.clamp(0, i32::from(u8::MAX))).expect("clamped to a byte")
}

/// How many people of a country fall into a phase, rounded down.
pub fn country_cap(phase: &Phase, share_ppb: u32) -> u64 {
    phase.users * u64::from(share_ppb) / CountryList::SHARE_TOTAL
}

/// The grant of a country's next person, when so many were granted before: `None` without
/// a share of world population, or when all phases are used up.
pub fn grant_for(users_so_far: u64, share_ppb: u32) -> Option<Grant> {
    let mut cap = 0;
    PHASES.iter().find_map(|phase| {
        cap += country_cap(phase, share_ppb);
        let Phase { number, user, treasury, .. } = *phase;
        (users_so_far < cap).then_some(Grant { phase: number, user, treasury })
    })
}

/// The fee of a transfer, by the accounts that take part.
///
/// # Errors
/// [`NoTxType`].
pub fn fee(from: &AccountId, to: &AccountId, amount: Qirat) -> Result<Fee, NoTxType> {
    let (AccountId::User(payer), AccountId::User(receiver)) = (from, to) else {
        return Ok(Fee { tx_type: None, basis_points: 0, fee: Qirat::ZERO });
    };
    let tx_type = tx_type(payer.account_type(), receiver.account_type())?;
    let basis_points = rate(tx_type, payer.country() == receiver.country(), amount);
    Ok(Fee { tx_type: Some(tx_type), basis_points, fee: amount.basis_points(basis_points) })
}

/// The class of a transfer between two people or organisations.
fn tx_type(from: AccountType, to: AccountType) -> Result<TxType, NoTxType> {
    use AccountType::*;
    match (from, to) {
        (GovernmentTreasury | Governmental, _) | (_, GovernmentTreasury | Governmental) => {
            Ok(TxType::Government)
        }
        (Individual, Individual) => Ok(TxType::P2p),
        (
            Individual,
            ForProfit | NotForProfit | Education | Healthcare | Financial | Intergovernmental
            | Diplomatic | TrustOrEstate | SpecialPurpose,
        ) => Ok(TxType::Merchant),
        (Individual, System) | (_, Individual) => Err(NoTxType { from, to }),
        _ => Ok(TxType::B2b),
    }
}

/// The rate in basis points.
fn rate(tx_type: TxType, is_local: bool, amount: Qirat) -> u16 {
    let class = FEES.iter().find(|class| class.tx_type == tx_type && class.is_local == is_local);
    let tiers = class.expect("a test looks every class up").tiers;
    let tier = tiers.iter().rfind(|tier| tier.from <= amount);
    tier.expect("the first tier of each class begins at zero").basis_points
}

#[cfg(test)]
mod tests {
    use super::{FEES, MAX_FEE_BASIS_POINTS, flat};

    /// FAB-12: the table cannot hold a rate above the limit; as a constant it would not compile.
    #[test]
    #[should_panic(expected = "no fee is above 10 %")]
    fn an_excessive_rate_is_refused() {
        flat(MAX_FEE_BASIS_POINTS + 1);
    }

    /// FAB-12: every class has rates for every amount, in order.
    #[test]
    fn the_steps_of_each_class_begin_at_zero_and_rise() {
        for class in FEES {
            assert_eq!(class.tiers[0].from.get(), 0, "{class:?}");
            assert!(class.tiers.is_sorted_by_key(|tier| tier.from), "{class:?}");
        }
    }
}
