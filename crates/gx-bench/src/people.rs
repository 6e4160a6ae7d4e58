//! The people of a benchmark, by number: their ids on the ledger and in the database, and their
//! commands. Every process derives the same people from the same numbers.

use gx_model::{
    AccountId, BatchCommand, Command, CommandId, CountryCode, CountryList, FabricUserId, Qirat,
};
use sqlx::PgConnection;

use crate::error::BenchError;
use crate::store::people;

/// Number of people who are created in one transaction, with their grants. All are of one country.
const CREATED_TOGETHER: u64 = 250;
/// Number of people who pay in one transaction.
const PAYING_TOGETHER: u64 = 500;
/// Number of countries of the people.
const COUNTRIES: u64 = 20;
/// Number of profiles that one statement adds.
const ADDED_TOGETHER: usize = 10_000;

/// The number of people, and of their transfers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recipe {
    pub(crate) people: u64,
    /// Number of transfers that each person makes and receives.
    pub(crate) transfers_each: u64,
}

/// A step of all people, which ends before the next step begins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Creates the people with their grants.
    Create,
    /// Has each person pay another one.
    Pay { round: u64 },
}

impl Recipe {
    /// Returns the recipe for about `events` events, in addition to the two of the system. Each
    /// person has two; the others are transfers.
    pub(crate) fn of_events(events: u64, transfers_each: u64) -> Self {
        Self { people: (events / (2 + transfers_each)).max(2), transfers_each }
    }

    /// Returns the number of events on the finished chain.
    pub(crate) fn events(self) -> u64 {
        2 + self.people * (2 + self.transfers_each)
    }

    /// Returns the number of transactions of a step, which touch no account in common.
    pub(crate) fn transactions(self, step: Step) -> u64 {
        self.people.div_ceil(match step {
            Step::Create => CREATED_TOGETHER,
            Step::Pay { .. } => PAYING_TOGETHER,
        })
    }

    /// Returns the commands of one transaction of a step.
    pub(crate) fn batch(self, step: Step, transaction: u64) -> Vec<BatchCommand> {
        match step {
            Step::Create => self.creations(transaction),
            Step::Pay { round } => self.transfers(round, transaction),
        }
    }

    fn creations(self, transaction: u64) -> Vec<BatchCommand> {
        let first = transaction * CREATED_TOGETHER;
        let people = first..(first + CREATED_TOGETHER).min(self.people);
        let creations = people.clone().map(|n| BatchCommand::new(create_id(n), &create(n)));
        let grants = people.map(|n| BatchCommand::new(grant_id(n), &grant(n)));
        creations.chain(grants).collect()
    }

    /// Returns the transfers of one transaction. Its people have numbers far apart, and each pays
    /// the next one.
    fn transfers(self, round: u64, transaction: u64) -> Vec<BatchCommand> {
        let step = self.transactions(Step::Pay { round });
        let people: Vec<u64> = (transaction..self.people)
            .step_by(usize::try_from(step).expect("a count of transactions is small"))
            .collect();
        let next = people.iter().cycle().skip(1);
        let pairs = people.iter().zip(next);
        pairs
            .map(|(&from, &to)| {
                let id = ["bench", "round", &round.to_string(), &from.to_string()];
                let amount = Qirat::gx(1 + i64::try_from((from + round) % 5).unwrap_or(0));
                BatchCommand::new(CommandId::derive(&id), &transfer(from, to, amount))
            })
            .collect()
    }
}

/// Returns the Fabric User ID of this number.
pub(crate) fn user_id(number: u64) -> FabricUserId {
    const LETTERS: &[u8; 26] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let (mut rest, mut letters) = (number / 10_000, String::new());
    for _ in 0..4 {
        let at = usize::try_from(rest % 26).expect("less than 26");
        letters.push(char::from(LETTERS[at]));
        rest /= 26;
    }
    let id = format!("{} 463 AUN834 0{letters} {:04}", country(number), number % 10_000);
    id.parse().expect("five blocks of the right form")
}

/// Returns the country of a person; people who are created together have the same.
fn country(number: u64) -> CountryCode {
    let at = usize::try_from(number / CREATED_TOGETHER % COUNTRIES).expect("less than 20");
    let with_share = CountryList::embedded().iter().filter(|country| country.share_ppb > 1_000_000);
    with_share.map(|country| country.country_code).nth(at).expect("there are more than 20")
}

/// Returns the number of the person at an index among the people of the first country.
pub(crate) fn resident(place: u64) -> u64 {
    place / CREATED_TOGETHER * CREATED_TOGETHER * COUNTRIES + place % CREATED_TOGETHER
}

pub(crate) fn create(number: u64) -> Command {
    let user_id = user_id(number);
    Command::CreateUser {
        nationality: user_id.country(),
        user_id,
        biometric_hash: format!("{number:064x}").parse().expect("64 hex digits"),
        age: 34,
    }
}

pub(crate) fn grant(number: u64) -> Command {
    let user_id = user_id(number);
    Command::DistributeGenesis { nationality: user_id.country(), user_id }
}

fn transfer(from: u64, to: u64, amount: Qirat) -> Command {
    Command::Transfer {
        from: AccountId::User(user_id(from)),
        to: AccountId::User(user_id(to)),
        amount,
        tx_type: None,
    }
}

/// Returns a transfer of a hundredth of a GX, so that nobody runs out of money.
pub(crate) fn pay_a_little(from: u64, to: u64) -> Command {
    transfer(from, to, Qirat::new(10_000).expect("a hundredth of a GX is an amount"))
}

pub(crate) fn create_id(number: u64) -> CommandId {
    CommandId::derive(&["bench", "create", &number.to_string()])
}

pub(crate) fn grant_id(number: u64) -> CommandId {
    CommandId::derive(&["bench", "grant", &number.to_string()])
}

pub(crate) fn profile_id(number: u64) -> String {
    format!("profile-{number}")
}

/// Adds people to a database: approved, with their ids reserved.
pub(crate) async fn add(
    conn: &mut PgConnection,
    numbers: impl Iterator<Item = u64>,
) -> Result<(), BenchError> {
    let mut numbers = numbers.peekable();
    while numbers.peek().is_some() {
        let some: Vec<u64> = numbers.by_ref().take(ADDED_TOGETHER).collect();
        let texts = |text: fn(u64) -> String| some.iter().copied().map(text).collect::<Vec<_>>();
        let user_ids = texts(|n| user_id(n).to_string());
        let command_ids = texts(|n| create_id(n).to_string());
        let countries = texts(|n| country(n).to_string());
        people::add(conn, &texts(profile_id), &countries, &user_ids, &command_ids).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn everybody_pays_and_receives_once_a_round() {
        let (recipe, step) = (Recipe { people: 1_203, transfers_each: 3 }, Step::Pay { round: 1 });
        let count = recipe.transactions(step);
        let all: Vec<_> = (0..count).flat_map(|number| recipe.batch(step, number)).collect();
        let payers: HashSet<_> = all.iter().map(|command| command.args[0].clone()).collect();
        let receivers: HashSet<_> = all.iter().map(|command| command.args[1].clone()).collect();
        assert_eq!((all.len(), payers.len(), receivers.len()), (1_203, 1_203, 1_203));
    }

    #[test]
    fn ids_differ() {
        let ids: HashSet<_> = (0..30_000).map(|number| user_id(number).to_string()).collect();
        assert_eq!(ids.len(), 30_000);
    }
}
