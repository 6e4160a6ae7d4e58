//! The economic constants, and the calculation of grants, ages and fees. The contracts decide with
//! them; services check ages and compute the fee of a transfer before it is enqueued.

use std::ops::RangeInclusive;

use time::Date;

use crate::{AccountId, AccountType, CountryList, Qirat, TxType};

/// A phase of the genesis distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    /// The number of the phase, 1 to 6.
    pub number: u8,
    /// Number of people of all countries together who get their grant in this phase.
    pub users: u64,
    /// The grant of one person.
    pub user: Qirat,
    /// The amount that the country's treasury gets with each grant.
    pub treasury: Qirat,
}

/// The phases, in order. Together they use up the two genesis pools exactly.
pub const PHASES: [Phase; 6] = [
    phase(1, 100_000_000, 500, 50),
    phase(2, 200_000_000, 400, 50),
    phase(3, 300_000_000, 300, 50),
    phase(4, 400_000_000, 200, 50),
    phase(5, 1_550_000_000, 100, 50),
    phase(6, 2_450_000_000, 50, 10),
];

/// Ages at which a grant is paid, including both limits.
pub const GENESIS_AGES: RangeInclusive<u8> = 13..=73;

/// Ages that a person can have at approval, including both limits.
pub const AGES: RangeInclusive<u8> = 0..=150;

/// Upper limit of a fee in 1/10 000 of the amount: 10 %.
pub const MAX_FEE_BASIS_POINTS: u16 = 1_000;

/// The rates of one class of transfers, by amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeClass {
    /// The class.
    pub tx_type: TxType,
    /// Whether the rates are for two ids of the same country.
    pub is_local: bool,
    /// The tiers, sorted by amount; the first one begins at zero.
    pub tiers: &'static [FeeTier],
}

/// A tier of the fee table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeTier {
    /// The lowest amount of the tier.
    pub from: Qirat,
    /// The rate in 1/10 000; it applies to the whole amount.
    pub basis_points: u16,
}

/// The rates of every class of transfers, within a country and between countries.
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

/// Returns the tier of amounts above `qirat`.
const fn above(qirat: i64, basis_points: u16) -> FeeTier {
    assert!(basis_points <= MAX_FEE_BASIS_POINTS, "no fee is above 10 %");
    FeeTier { from: Qirat::of(qirat + 1), basis_points }
}

const fn phase(number: u8, users: u64, user: i64, treasury: i64) -> Phase {
    Phase { number, users, user: Qirat::gx(user), treasury: Qirat::gx(treasury) }
}

/// The amounts of one person's grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The country's phase, 1 to 6.
    pub phase: u8,
    /// The amount for the person.
    pub user: Qirat,
    /// The amount for the country's treasury.
    pub treasury: Qirat,
}

/// The cost of a transfer, which the payer pays on top of the amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fee {
    /// The class that decides the rate; `None` if a pool or treasury takes part, which is free.
    pub tx_type: Option<TxType>,
    /// The rate in 1/10 000 of the amount.
    pub basis_points: u16,
    /// The fee, rounded down.
    pub fee: Qirat,
}

/// Error: no class of transfers exists between these two account types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no transaction type covers a transfer from account type {} to {}", from.digit(), to.digit())]
pub struct NoTxType {
    /// The payer's type.
    pub from: AccountType,
    /// The receiver's type.
    pub to: AccountType,
}

/// Returns the age in full years on `day`, or 0 before birth. A person born on 29 February gets a
/// year older on 1 March of years that are not leap years.
pub fn age_on(birth: Date, day: Date) -> u8 {
    let had_birthday = (day.month() as u8, day.day()) >= (birth.month() as u8, birth.day());
    let years = day.year() - birth.year() - i32::from(!had_birthday);
    u8::try_from(years.clamp(0, i32::from(u8::MAX))).expect("clamped to a byte")
}

/// Returns the number of people of a country who get their grant in a phase, rounded down.
pub fn country_cap(phase: &Phase, share_ppb: u32) -> u64 {
    phase.users * u64::from(share_ppb) / CountryList::SHARE_TOTAL
}

/// Returns the grant of the next person of a country in which `users_so_far` people have one.
/// Returns `None` if the country has no share of world population or has used up all phases.
pub fn grant_for(users_so_far: u64, share_ppb: u32) -> Option<Grant> {
    let mut cap = 0;
    PHASES.iter().find_map(|phase| {
        cap += country_cap(phase, share_ppb);
        let Phase { number, user, treasury, .. } = *phase;
        (users_so_far < cap).then_some(Grant { phase: number, user, treasury })
    })
}

/// Returns the fee of a transfer between these accounts.
///
/// # Errors
/// [`NoTxType`] if no class of transfers exists between the types of the two accounts.
pub fn fee(from: &AccountId, to: &AccountId, amount: Qirat) -> Result<Fee, NoTxType> {
    let (AccountId::User(payer), AccountId::User(receiver)) = (from, to) else {
        return Ok(Fee { tx_type: None, basis_points: 0, fee: Qirat::ZERO });
    };
    let tx_type = tx_type(payer.account_type(), receiver.account_type())?;
    let basis_points = rate(tx_type, payer.country() == receiver.country(), amount);
    Ok(Fee { tx_type: Some(tx_type), basis_points, fee: amount.basis_points(basis_points) })
}

/// Returns the class of a transfer between two people or organisations.
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

/// Returns the rate in basis points.
fn rate(tx_type: TxType, is_local: bool, amount: Qirat) -> u16 {
    let class = FEES.iter().find(|class| class.tx_type == tx_type && class.is_local == is_local);
    let tiers = class.expect("a test looks every class up").tiers;
    let tier = tiers.iter().rfind(|tier| tier.from <= amount);
    tier.expect("the first tier of each class begins at zero").basis_points
}

#[cfg(test)]
mod tests {
    use super::{FEES, MAX_FEE_BASIS_POINTS, flat};

    /// FAB-12: a rate above the limit is refused; in a constant it does not compile.
    #[test]
    #[should_panic(expected = "no fee is above 10 %")]
    fn an_excessive_rate_is_refused() {
        flat(MAX_FEE_BASIS_POINTS + 1);
    }

    /// FAB-12: the tiers of every class begin at zero and are sorted, so every amount has a rate.
    #[test]
    fn the_steps_of_each_class_begin_at_zero_and_rise() {
        for class in FEES {
            assert_eq!(class.tiers[0].from.get(), 0, "{class:?}");
            assert!(class.tiers.is_sorted_by_key(|tier| tier.from), "{class:?}");
        }
    }
}
