//! The ledger's state, replayed in memory from the amounts in the events. It is compared with the
//! balances that the contracts report, and with the read model. `chain` applies each event; an
//! `Err` is a guarantee that the events themselves violate.

use std::collections::{BTreeMap, BTreeSet};

use gx_model::{AccountId, DomainEvent, EventRecord, FabricUserId, Pool, Qirat};

/// The place of an event: block, transaction id, index.
pub(crate) type EventPlace = (i64, String, i32);

/// A fact of the read model, which the newest event about it decides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fact {
    /// The balance of a person or a treasury.
    Balance(String),
    /// Whether a person is frozen, and why.
    Person(String),
    /// The grant of a person.
    Grant(String),
    /// Whether a treasury is active.
    Treasury(String),
    /// The counters of a country.
    Country(String),
    /// Whether the system is paused.
    Pause,
}

/// The state of the ledger after the blocks from 0 on.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChainReplay {
    /// Qirat of every account: people, treasuries and pools.
    pub(crate) balances: BTreeMap<String, i64>,
    /// By country: number of grants, and what both genesis pools paid.
    pub(crate) countries: BTreeMap<String, (i64, i64, i64)>,
    /// Why a person may not spend, by Fabric User ID; `None` if the person may.
    pub(crate) people: BTreeMap<String, Option<String>>,
    /// Why the system is paused; `None` if it is not.
    pub(crate) paused: Option<String>,
    /// The places of all events.
    pub(crate) events: BTreeSet<EventPlace>,
    /// The place of the newest event about each fact.
    pub(crate) newest: BTreeMap<Fact, EventPlace>,
    /// What each event moved into a pool (positive) or out of it (negative).
    pub(crate) pool_moves: BTreeMap<EventPlace, Vec<(String, i64)>>,
    /// By Fabric User ID: the transaction of the grant, and its amount.
    pub(crate) grants: BTreeMap<String, (String, i64)>,
    /// Account ids of the active treasuries.
    pub(crate) active: BTreeSet<String>,
    /// People's history: transaction, event, account, direction, amount, fee.
    pub(crate) history: BTreeSet<(String, i32, String, String, i64, i64)>,
    is_bootstrapped: bool,
}

/// The place of an event.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) block: i64,
    pub(crate) tx_id: &'a str,
    pub(crate) index: i32,
}

impl At<'_> {
    fn place(self) -> EventPlace {
        (self.block, self.tx_id.to_owned(), self.index)
    }
}

/// Returns what an event moves into pools and out of them. The balances of the genesis pools follow
/// from the counters of the countries.
fn pool_moves(event: &DomainEvent) -> Vec<(String, i64)> {
    let pool = |pool: Pool, by: i64| (pool.name().to_owned(), by);
    match event {
        DomainEvent::TransferCompleted { from, to, amount, fee, .. } => {
            let mut moves = vec![pool(Pool::OperationsFund, fee.get())];
            if let AccountId::Pool(payer) = from {
                moves.push(pool(*payer, -(amount.get() + fee.get())));
            }
            if let AccountId::Pool(payee) = to {
                moves.push(pool(*payee, amount.get()));
            }
            moves
        }
        _ => vec![],
    }
}

impl ChainReplay {
    /// Replays one event.
    pub(crate) fn apply(&mut self, record: &EventRecord, at: At<'_>) -> Result<(), String> {
        let event = record.decode().map_err(|why| format!("an event cannot be read: {why}"))?;
        if !self.events.insert(at.place()) {
            return Err(format!("event {} of block {} is there twice", at.index, at.block));
        }
        self.say_facts(&event, at);
        match &event {
            DomainEvent::SystemBootstrapped { pools } => {
                for pool in pools {
                    self.balances.insert(pool.account.to_string(), pool.balance.get());
                }
                self.is_bootstrapped = true;
            }
            DomainEvent::CountryDataInitialized { countries } => {
                for country in countries {
                    let code = country.country_code;
                    self.balances.insert(AccountId::Treasury(code).to_string(), 0);
                    self.countries.insert(code.to_string(), (0, 0, 0));
                }
            }
            DomainEvent::SystemPaused { reason_code } => {
                self.paused = Some(reason_code.to_string());
            }
            DomainEvent::SystemResumed {} => self.paused = None,
            DomainEvent::UserCreated { user_id, .. } => {
                let is_new = self.balances.insert(user_id.to_string(), 0).is_none();
                if !is_new {
                    return Err(format!("{user_id} was created twice"));
                }
                self.people.insert(user_id.to_string(), None);
            }
            DomainEvent::GenesisDistributed { .. } => self.grant(&event, at)?,
            DomainEvent::TransferCompleted { .. } => self.transfer(&event, at)?,
            DomainEvent::WalletFrozen { user_id, reason_code } => {
                self.people.insert(user_id.to_string(), Some(reason_code.to_string()));
            }
            DomainEvent::WalletUnfrozen { user_id } => {
                self.people.insert(user_id.to_string(), None);
            }
            DomainEvent::TreasuryAccountActivated { country_code } => {
                self.active.insert(AccountId::Treasury(*country_code).to_string());
            }
            DomainEvent::CommandsCancelled { .. } => {}
        }
        Ok(())
    }

    /// Records the facts that an event decides, and what it moves in pools.
    fn say_facts(&mut self, event: &DomainEvent, at: At<'_>) {
        let balance = |account: &AccountId| match account {
            AccountId::Pool(_) => None,
            _ => Some(Fact::Balance(account.to_string())),
        };
        let person = |id: &FabricUserId| Fact::Person(id.to_string());
        let facts = match event {
            DomainEvent::SystemPaused { .. } | DomainEvent::SystemResumed {} => vec![Fact::Pause],
            DomainEvent::UserCreated { user_id, .. } => {
                vec![person(user_id), Fact::Balance(user_id.to_string())]
            }
            DomainEvent::GenesisDistributed { user_id, nationality, .. } => vec![
                Fact::Balance(user_id.to_string()),
                Fact::Balance(AccountId::Treasury(*nationality).to_string()),
                Fact::Country(nationality.to_string()),
                Fact::Grant(user_id.to_string()),
            ],
            DomainEvent::TransferCompleted { from, to, .. } => {
                [from, to].into_iter().filter_map(balance).collect()
            }
            DomainEvent::WalletFrozen { user_id, .. } | DomainEvent::WalletUnfrozen { user_id } => {
                vec![person(user_id)]
            }
            DomainEvent::TreasuryAccountActivated { country_code } => {
                vec![Fact::Treasury(AccountId::Treasury(*country_code).to_string())]
            }
            // These happen before any seed begins, or decide nothing that is compared.
            DomainEvent::SystemBootstrapped { .. }
            | DomainEvent::CountryDataInitialized { .. }
            | DomainEvent::CommandsCancelled { .. } => vec![],
        };
        self.newest.extend(facts.into_iter().map(|fact| (fact, at.place())));
        self.pool_moves.insert(at.place(), pool_moves(event));
    }

    /// G4: checks that the whole supply is there and no balance is negative.
    pub(crate) fn check_supply(&self, block: i64) -> Result<(), String> {
        let total: i64 = self.balances.values().sum();
        if self.is_bootstrapped && total != Qirat::SUPPLY.get() {
            return Err(format!("G4: after block {block} there are {total} Qirat"));
        }
        match self.balances.iter().find(|(_, balance)| **balance < 0) {
            Some((account, balance)) => {
                Err(format!("G4: after block {block} {account} holds {balance}"))
            }
            None => Ok(()),
        }
    }

    /// Applies a grant.
    fn grant(&mut self, event: &DomainEvent, at: At<'_>) -> Result<(), String> {
        let DomainEvent::GenesisDistributed {
            user_id,
            nationality,
            amount,
            treasury_amount,
            balance,
            treasury_balance,
            country_users,
            country_user_total,
            country_treasury_total,
            ..
        } = event
        else {
            return Ok(());
        };
        let (user, treasury) = (user_id.to_string(), AccountId::Treasury(*nationality).to_string());
        let grant = (at.tx_id.to_owned(), amount.get());
        if self.grants.insert(user.clone(), grant).is_some() {
            return Err(format!("G2: {user} was granted twice"));
        }
        self.shift(Pool::UserGenesis.name(), -amount.get())?;
        self.shift(Pool::GovtGenesis.name(), -treasury_amount.get())?;
        self.shift(&user, amount.get())?;
        self.shift(&treasury, treasury_amount.get())?;
        self.expect(&user, *balance)?;
        self.expect(&treasury, *treasury_balance)?;
        let country = self.countries.get_mut(&nationality.to_string()).ok_or("no such country")?;
        *country = (country.0 + 1, country.1 + amount.get(), country.2 + treasury_amount.get());
        let said = (
            i64::try_from(*country_users).unwrap_or(i64::MAX),
            country_user_total.get(),
            country_treasury_total.get(),
        );
        if said != *country {
            return Err(format!("{nationality} counts {said:?} and was paid {country:?}"));
        }
        if *amount > Qirat::ZERO {
            self.remember(at, &user, "IN", amount.get(), 0);
        }
        Ok(())
    }

    /// Applies a transfer.
    fn transfer(&mut self, event: &DomainEvent, at: At<'_>) -> Result<(), String> {
        let DomainEvent::TransferCompleted {
            from, to, amount, fee, from_balance, to_balance, ..
        } = event
        else {
            return Ok(());
        };
        self.shift(&from.to_string(), -(amount.get() + fee.get()))?;
        self.shift(&to.to_string(), amount.get())?;
        self.shift(Pool::OperationsFund.name(), fee.get())?;
        for (account, balance) in [(from, from_balance), (to, to_balance)] {
            // The pool balance in the event does not contain fees that are not yet added to the
            // pool.
            if !matches!(account, AccountId::Pool(_)) {
                self.expect(&account.to_string(), *balance)?;
            }
        }
        for (account, direction, fee) in [(from, "OUT", fee.get()), (to, "IN", 0)] {
            if matches!(account, AccountId::User(_)) {
                self.remember(at, &account.to_string(), direction, amount.get(), fee);
            }
        }
        Ok(())
    }

    /// Adds an amount to the balance of an account that exists.
    fn shift(&mut self, account: &str, by: i64) -> Result<(), String> {
        let balance =
            self.balances.get_mut(account).ok_or_else(|| format!("there is no {account}"))?;
        *balance += by;
        Ok(())
    }

    /// Checks the balance that an event reports.
    fn expect(&self, account: &str, said: Qirat) -> Result<(), String> {
        let ours = self.balances[account];
        if ours == said.get() {
            return Ok(());
        }
        Err(format!("G4: the event leaves {said} with {account}, what moved leaves {ours}"))
    }

    /// Adds a row to a person's history.
    fn remember(&mut self, at: At<'_>, account: &str, direction: &str, amount: i64, fee: i64) {
        let row =
            (at.tx_id.to_owned(), at.index, account.to_owned(), direction.to_owned(), amount, fee);
        self.history.insert(row);
    }
}
