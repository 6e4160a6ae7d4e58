//! The rows that an event writes into the read model. They depend only on the event and its place.
//! `read` makes them for each event of a block, and `row_plan` writes them.

use gx_model::{AccountId, DomainEvent, Pool, Qirat};

use crate::error::{Missing, no_account};
use crate::place::{Place, transaction_row_id, wallet_id};

/// The rows of an event of a frequent kind: people, grants, transfers. Rare events have their own
/// statements ([`super::single_events`]).
#[derive(Clone, Debug, Default)]
pub(crate) struct Effects {
    pub(crate) person: Option<Person>,
    pub(crate) grant: Option<Grant>,
    pub(crate) balances: Vec<Balance>,
    pub(crate) moves: Vec<PoolMove>,
    pub(crate) history: Vec<HistoryRow>,
}

/// A new person with an empty wallet.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) fabric_user_id: String,
    pub(crate) wallet_id: String,
    pub(crate) country_code: String,
}

/// A person's grant, and the country's counters after it.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) fabric_user_id: String,
    pub(crate) amount: i64,
    pub(crate) phase: Option<i16>,
    pub(crate) refusal: Option<&'static str>,
    pub(crate) country_code: String,
    pub(crate) users: i64,
    pub(crate) user_total: i64,
    pub(crate) treasury_total: i64,
}

/// Balance of an account with a wallet after the event.
#[derive(Clone, Debug)]
pub(crate) struct Balance {
    pub(crate) account_id: String,
    pub(crate) balance: i64,
}

/// An amount that a pool received, or paid if it is negative.
#[derive(Clone, Debug)]
pub(crate) struct PoolMove {
    pub(crate) pool: Pool,
    pub(crate) kind: &'static str,
    pub(crate) amount: i64,
}

/// A row of a person's transaction history.
#[derive(Clone, Debug)]
pub(crate) struct HistoryRow {
    pub(crate) id: String,
    pub(crate) account_id: String,
    pub(crate) kind: &'static str,
    pub(crate) direction: &'static str,
    pub(crate) counterparty: String,
    pub(crate) amount: i64,
    pub(crate) fee: i64,
}

impl Effects {
    /// Returns why these rows cannot be written while something is missing, or `None` if they do
    /// not need it.
    pub(crate) fn lacks(&self, missing: &Missing) -> Option<String> {
        // The list of missing keys is sorted.
        let first = |wanted: &mut dyn Iterator<Item = &String>, missing: &Vec<String>| {
            wanted.filter(|one| missing.binary_search(one).is_ok()).min().cloned()
        };
        match missing {
            Missing::People(ids) => {
                let mut wanted = self.grant.iter().map(|grant| &grant.fabric_user_id);
                first(&mut wanted, ids).map(|id| no_account(&id))
            }
            Missing::Wallets(ids) => {
                let mut wanted = self.balances.iter().map(|balance| &balance.account_id);
                first(&mut wanted, ids).map(|id| no_account(&id))
            }
            Missing::Countries(codes) => {
                let mut wanted = self.grant.iter().map(|grant| &grant.country_code);
                first(&mut wanted, codes)
                    .map(|code| format!("the read model has no country {code}"))
            }
        }
    }

    /// Returns the rows of an event, or `None` for an event that has its own statements. An error
    /// says why the event cannot be written at all.
    pub(crate) fn of(event: &DomainEvent, place: &Place) -> Result<Option<Self>, String> {
        Ok(Some(match event {
            DomainEvent::UserCreated { user_id, nationality } => {
                let person = Person {
                    fabric_user_id: user_id.to_string(),
                    wallet_id: wallet_id(&AccountId::User(user_id.clone())),
                    country_code: nationality.to_string(),
                };
                Self { person: Some(person), ..Self::default() }
            }
            DomainEvent::GenesisDistributed {
                user_id,
                nationality,
                phase,
                amount,
                treasury_amount: _,
                refusal,
                balance,
                treasury_balance,
                country_users,
                country_user_total,
                country_treasury_total,
            } => {
                let grant = Grant {
                    fabric_user_id: user_id.to_string(),
                    amount: amount.get(),
                    phase: phase.map(i16::from),
                    refusal: refusal.map(|why| why.name()),
                    country_code: nationality.to_string(),
                    users: i64::try_from(*country_users)
                        .map_err(|_| format!("{country_users} users are too many"))?,
                    user_total: country_user_total.get(),
                    treasury_total: country_treasury_total.get(),
                };
                let user = AccountId::User(user_id.clone());
                let treasury = AccountId::Treasury(*nationality);
                granted(grant, &user, *balance, &treasury, *treasury_balance, place)
            }
            DomainEvent::TransferCompleted {
                from,
                to,
                amount,
                fee,
                tx_type: _,
                from_balance,
                to_balance,
            } => moved((from, *from_balance), (to, *to_balance), *amount, *fee, place),
            // The event concerns commands only, which their entries settle.
            DomainEvent::CommandsCancelled { .. } => Self::default(),
            DomainEvent::SystemBootstrapped { .. }
            | DomainEvent::CountryDataInitialized { .. }
            | DomainEvent::SystemPaused { .. }
            | DomainEvent::SystemResumed {}
            | DomainEvent::TreasuryAccountActivated { .. }
            | DomainEvent::WalletFrozen { .. }
            | DomainEvent::WalletUnfrozen { .. } => return Ok(None),
        }))
    }
}

/// Returns the rows of a grant: the balances of the person and the treasury, and a history row.
fn granted(
    grant: Grant,
    user: &AccountId,
    balance: Qirat,
    treasury: &AccountId,
    treasury_balance: Qirat,
    place: &Place,
) -> Effects {
    let mut effects = Effects {
        balances: vec![Balance::of(user, balance), Balance::of(treasury, treasury_balance)],
        ..Effects::default()
    };
    // A refused grant moves no money and has no row in the history.
    if grant.amount > 0 {
        let pool = AccountId::Pool(Pool::UserGenesis);
        effects.history.push(HistoryRow {
            id: transaction_row_id(place, user),
            account_id: user.to_string(),
            kind: "GENESIS",
            direction: "IN",
            counterparty: pool.to_string(),
            amount: grant.amount,
            fee: 0,
        });
    }
    effects.grant = Some(grant);
    effects
}

/// Returns the rows of a transfer: both balances, a history row for each person, and the moves of
/// the pools that take part or receive the fee.
fn moved(
    (from, from_balance): (&AccountId, Qirat),
    (to, to_balance): (&AccountId, Qirat),
    amount: Qirat,
    fee: Qirat,
    place: &Place,
) -> Effects {
    let mut effects = Effects::default();
    for (account, balance, change) in
        [(from, from_balance, -amount.get()), (to, to_balance, amount.get())]
    {
        match account {
            AccountId::Pool(pool) => {
                effects.moves.push(PoolMove { pool: *pool, kind: "TRANSFER", amount: change });
            }
            AccountId::User(_) | AccountId::Treasury(_) => {
                effects.balances.push(Balance::of(account, balance));
            }
        }
    }
    if fee > Qirat::ZERO {
        let pool = Pool::OperationsFund;
        effects.moves.push(PoolMove { pool, kind: "FEE", amount: fee.get() });
    }
    let sides = [("OUT", from, to, fee), ("IN", to, from, Qirat::ZERO)];
    for (direction, account, counterparty, fee) in sides {
        if let AccountId::User(_) = account {
            effects.history.push(HistoryRow {
                id: transaction_row_id(place, account),
                account_id: account.to_string(),
                kind: "TRANSFER",
                direction,
                counterparty: counterparty.to_string(),
                amount: amount.get(),
                fee: fee.get(),
            });
        }
    }
    effects
}

impl Balance {
    fn of(account: &AccountId, balance: Qirat) -> Self {
        Self { account_id: account.to_string(), balance: balance.get() }
    }
}
