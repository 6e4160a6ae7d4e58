//! Storms: faults that hit everything at once and last for many steps. The other faults of the seed
//! continue, and two storms may overlap. `fault_rates` draws the storms of a seed, and
//! `run::active_storms` plays them.

use std::fmt;
use std::time::Duration;

use gx_fabric_proto::protos::TxValidationCode;
use rand::rngs::StdRng;
use rand::{RngExt, seq::IndexedRandom};

use crate::database_stall::DatabaseStall;

/// Size of a usual crowd.
const CROWD: std::ops::RangeInclusive<u32> = 10..=60;
/// Size of a large crowd: with the grants there are thousands of commands.
const LARGE_CROWD: std::ops::RangeInclusive<u32> = 600..=1_600;
/// One of this many crowds is large.
const LARGE_IS_ONE_IN: u32 = 25;

/// A fault that hits everything and lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storm {
    /// A crowd of people reaches the ledger. Then the database is restored to the state before.
    Forgetting {
        /// Number of people in the crowd.
        crowd: u32,
        /// Whether all people of the crowd have a birthday after the restore.
        birthday: bool,
        /// Whether some change their e-mail address after the restore.
        emails: bool,
    },
    /// Every transaction gets this validation code.
    Refusal(TxValidationCode),
    /// The database server refuses one kind of statement.
    Stall(DatabaseStall),
    /// The ledger serves no caller for days.
    Absence(Absence),
    /// A worker is frozen in the middle of its work. The other worker of its kind continues.
    Sleep,
}

/// Why a ledger serves no caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    /// The submitter's certificates have expired.
    Expired,
    /// Every peer answers that it is unavailable.
    Peers,
    /// The orderer is down.
    Orderer,
    /// The contract refuses the signer with status 403.
    Forbidden,
    /// The contract fails with status 500.
    Failing,
}

const ABSENCES: [Absence; 5] =
    [Absence::Expired, Absence::Peers, Absence::Orderer, Absence::Forbidden, Absence::Failing];

impl Storm {
    /// Draws the storms of a seed with the steps at which they begin. Most seeds have none.
    pub(crate) fn draw_some(rng: &mut StdRng, steps: u32) -> Vec<(u32, Self)> {
        let count = match rng.random_range(0..20) {
            0..=11 => 0,
            12..=16 => 1,
            17 | 18 => 2,
            _ => 3,
        };
        let mut storms: Vec<_> =
            (0..count).map(|_| (rng.random_range(0..steps.max(1)), Self::draw(rng))).collect();
        // A second crowd would have the names of the first, and the triggers of two stalls would
        // have the same name.
        for is_single in [Self::is_forgetting, Self::is_stall] {
            let mut is_first = true;
            storms
                .retain(|(_, storm)| !is_single(storm) || std::mem::replace(&mut is_first, false));
        }
        storms
    }

    /// Draws one storm.
    fn draw(rng: &mut StdRng) -> Self {
        match rng.random_range(0..6) {
            0 => {
                let is_large = rng.random_ratio(1, LARGE_IS_ONE_IN);
                let crowd = rng.random_range(if is_large { LARGE_CROWD } else { CROWD });
                let (birthday, emails) = (rng.random_bool(0.5), rng.random_bool(0.5));
                Self::Forgetting { crowd, birthday, emails }
            }
            1 | 2 => Self::Refusal(*codes().choose(rng).expect("there are some")),
            3 => Self::Stall(DatabaseStall::draw(rng)),
            4 => Self::Absence(*ABSENCES.choose(rng).expect("there are some")),
            _ => Self::Sleep,
        }
    }

    /// Returns whether the storm is a restore that forgets a crowd.
    pub(crate) fn is_forgetting(&self) -> bool {
        matches!(self, Self::Forgetting { .. })
    }

    /// Returns whether the storm is a stalled database.
    pub(crate) fn is_stall(&self) -> bool {
        matches!(self, Self::Stall(_))
    }

    /// Returns how much time passes at once during the storm.
    pub(crate) fn some_time(&self, rng: &mut StdRng) -> Duration {
        let seconds: &[u64] = match self {
            Self::Absence(_) => &[3_600, 21_600, 43_200],
            Self::Refusal(_) => &[1, 5, 20, 40],
            Self::Stall(_) => &[1, 3, 5],
            Self::Sleep | Self::Forgetting { .. } => &[5, 20, 60],
        };
        Duration::from_secs(*seconds.choose(rng).expect("there are some"))
    }
}

/// Returns every validation code that makes a transaction invalid.
fn codes() -> Vec<TxValidationCode> {
    let quiet =
        [TxValidationCode::Valid, TxValidationCode::NotValidated, TxValidationCode::DuplicateTxid];
    let known = (0..=i32::from(u8::MAX)).filter_map(|code| TxValidationCode::try_from(code).ok());
    known.filter(|code| !quiet.contains(code)).collect()
}

impl fmt::Display for Storm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forgetting { crowd, .. } => write!(f, "a restore forgets {crowd} people"),
            Self::Refusal(code) => write!(f, "every transaction is {}", code.as_str_name()),
            Self::Stall(stall) => write!(f, "the database is stalled: {stall}"),
            Self::Absence(Absence::Expired) => write!(f, "the certificates have expired"),
            Self::Absence(Absence::Peers) => write!(f, "the peers are unavailable"),
            Self::Absence(Absence::Orderer) => write!(f, "the orderer is down for days"),
            Self::Absence(Absence::Forbidden) => write!(f, "the contract refuses the signer"),
            Self::Absence(Absence::Failing) => write!(f, "the contract fails"),
            Self::Sleep => write!(f, "a worker is frozen"),
        }
    }
}
