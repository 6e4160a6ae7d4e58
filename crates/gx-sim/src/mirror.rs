//! The ledger's state, replayed in memory from what events say moved: a second opinion on the
//! contracts' balances, which say what is held afterwards, and on the read model.

use std::collections::{BTreeMap, BTreeSet};

use gx_model::{AccountId, DomainEvent, EventRecord, Pool, Qirat};

/// What blocks from 0 on made of the ledger.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mirror {
    /// Everybody's Qirat: people, treasuries and pools.
    pub(crate) balances: BTreeMap<String, i64>,
    /// By country: people granted, and what both genesis pools paid.
    pub(crate) countries: BTreeMap<String, (i64, i64, i64)>,
    /// Why a person may not spend, by Fabric User ID; none where the person may.
    pub(crate) people: BTreeMap<String, Option<String>>,
    /// Why the system is paused.
    pub(crate) paused: Option<String>,
    /// Every event: block, transaction, index.
    pub(crate) events: BTreeSet<(i64, String, i32)>,
    /// People's history: transaction, event, account, direction, amount, fee.
    pub(crate) history: BTreeSet<(String, i32, String, String, i64, i64)>,
    is_bootstrapped: bool,
}

/// Where an event stands.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) block: i64,
    pub(crate) tx_id: &'a str,
    pub(crate) index: i32,
}

impl Mirror {
    /// Replays one event.
    pub(crate) fn apply(&mut self, record: &EventRecord, at: At<'_>) -> Result<(), String> {
        let event = record.decode().map_err(|why| format!("an event cannot be read: {why}"))?;
        if !self.events.insert((at.block, at.tx_id.to_owned(), at.index)) {
            return Err(format!("event {} of block {} stands there twice", at.index, at.block));
        }
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
            DomainEvent::TreasuryAccountActivated { .. }
            | DomainEvent::CommandsCancelled { .. } => {}
        }
        Ok(())
    }

    /// G4 at this moment: the whole supply is there, and nobody owes anything.
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
            // What an event names for a pool leaves out fees that are not folded yet.
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

    fn shift(&mut self, account: &str, by: i64) -> Result<(), String> {
        let balance =
            self.balances.get_mut(account).ok_or_else(|| format!("there is no {account}"))?;
        *balance += by;
        Ok(())
    }

    fn expect(&self, account: &str, said: Qirat) -> Result<(), String> {
        let ours = self.balances[account];
        if ours == said.get() {
            return Ok(());
        }
        Err(format!("G4: the event leaves {said} with {account}, what moved leaves {ours}"))
    }

    fn remember(&mut self, at: At<'_>, account: &str, direction: &str, amount: i64, fee: i64) {
        let row =
            (at.tx_id.to_owned(), at.index, account.to_owned(), direction.to_owned(), amount, fee);
        self.history.insert(row);
    }
}
