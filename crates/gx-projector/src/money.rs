//! What grants and transfers do to the read model.

use gx_db::PgConnection;
use gx_model::{AccountId, CountryCode, FabricUserId, GrantRefusal, Pool, Qirat};

use crate::apply::unknown;
use crate::error::NotApplied;
use crate::place::{Place, transaction_row_id};
use crate::store::{money, people};

/// A person's one grant, as its event says it.
pub(crate) struct GenesisGrant<'a> {
    pub(crate) user_id: &'a FabricUserId,
    pub(crate) nationality: CountryCode,
    pub(crate) phase: Option<u8>,
    pub(crate) amount: Qirat,
    pub(crate) refusal: Option<GrantRefusal>,
    pub(crate) balance: Qirat,
    pub(crate) treasury_balance: Qirat,
    pub(crate) country_users: u64,
    pub(crate) country_user_total: Qirat,
    pub(crate) country_treasury_total: Qirat,
}

/// Money that moved, as its event says it.
pub(crate) struct Movement<'a> {
    pub(crate) from: &'a AccountId,
    pub(crate) to: &'a AccountId,
    pub(crate) amount: Qirat,
    pub(crate) fee: Qirat,
    pub(crate) from_balance: Qirat,
    pub(crate) to_balance: Qirat,
}

/// A person's one grant, with the treasury's balance and the country's counters.
pub(crate) async fn distribute(
    conn: &mut PgConnection,
    granted: &GenesisGrant<'_>,
    place: &Place<'_>,
) -> Result<(), NotApplied> {
    let user = AccountId::User(granted.user_id.clone());
    let treasury = AccountId::Treasury(granted.nationality);
    let grant = people::Grant {
        tx_id: place.tx_id,
        amount: granted.amount.get(),
        phase: granted.phase.map(i16::from),
        refusal: granted.refusal.map(|why| why.name()),
    };
    let Some(profile_id) = people::grant(conn, &granted.user_id.to_string(), &grant).await? else {
        return Err(unknown(&user));
    };
    assign(conn, &user, granted.balance, place).await?;
    assign(conn, &treasury, granted.treasury_balance, place).await?;
    let users = i64::try_from(granted.country_users).map_err(|_| {
        NotApplied::Inapplicable(format!("{} users are too many", granted.country_users))
    })?;
    let user_total = granted.country_user_total.get();
    let treasury_total = granted.country_treasury_total.get();
    let code = granted.nationality.to_string();
    if !money::set_counters(conn, &code, users, user_total, treasury_total).await? {
        return Err(NotApplied::Inapplicable(format!("the read model has no country {code}")));
    }
    people::synced(conn, &profile_id, place.ledger_at).await?;
    // A grant of nothing is a decision, not a movement.
    if granted.amount > Qirat::ZERO {
        let row = Row {
            kind: "GENESIS",
            direction: "IN",
            account: &user,
            counterparty: &AccountId::Pool(Pool::UserGenesis),
            amount: granted.amount,
            fee: Qirat::ZERO,
        };
        add_row(conn, &row, place).await?;
    }
    Ok(())
}

/// Money moved: both balances, a row of history for each person, and what pools saw of it.
pub(crate) async fn transfer(
    conn: &mut PgConnection,
    moved: &Movement<'_>,
    place: &Place<'_>,
) -> Result<(), NotApplied> {
    let Movement { from, to, amount, fee, from_balance, to_balance } = *moved;
    for (account, balance, change) in
        [(from, from_balance, -amount.get()), (to, to_balance, amount.get())]
    {
        match account {
            AccountId::Pool(pool) => move_pool(conn, *pool, "TRANSFER", change, place).await?,
            AccountId::User(_) | AccountId::Treasury(_) => {
                assign(conn, account, balance, place).await?;
            }
        }
    }
    if fee > Qirat::ZERO {
        move_pool(conn, Pool::OperationsFund, "FEE", fee.get(), place).await?;
    }
    let sides = [("OUT", from, to, fee), ("IN", to, from, Qirat::ZERO)];
    for (direction, account, counterparty, fee) in sides {
        let AccountId::User(user_id) = account else { continue };
        let row = Row { kind: "TRANSFER", direction, account, counterparty, amount, fee };
        add_row(conn, &row, place).await?;
        let Some(profile_id) = people::profile_of(conn, &user_id.to_string()).await? else {
            return Err(unknown(account));
        };
        people::synced(conn, &profile_id, place.ledger_at).await?;
    }
    Ok(())
}

async fn assign(
    conn: &mut PgConnection,
    account: &AccountId,
    balance: Qirat,
    place: &Place<'_>,
) -> Result<(), NotApplied> {
    let (tx_id, block, at) = (place.tx_id, place.block_number, place.ledger_at);
    if money::set_balance(conn, &account.to_string(), balance.get(), tx_id, block, at).await? {
        return Ok(());
    }
    Err(unknown(account))
}

async fn move_pool(
    conn: &mut PgConnection,
    pool: Pool,
    kind: &str,
    amount: i64,
    place: &Place<'_>,
) -> Result<(), NotApplied> {
    let (tx_id, index, at) = (place.tx_id, place.event_index, place.ledger_at);
    money::move_pool(conn, tx_id, index, pool.name(), kind, amount, at).await?;
    Ok(())
}

/// A row of a person's history.
struct Row<'a> {
    kind: &'a str,
    direction: &'a str,
    account: &'a AccountId,
    counterparty: &'a AccountId,
    amount: Qirat,
    fee: Qirat,
}

async fn add_row(
    conn: &mut PgConnection,
    row: &Row<'_>,
    place: &Place<'_>,
) -> Result<(), NotApplied> {
    let new = money::NewTransaction {
        id: &transaction_row_id(place.tx_id, place.event_index, row.account),
        tx_id: place.tx_id,
        event_index: place.event_index,
        account_id: &row.account.to_string(),
        block_number: place.block_number,
        command_id: &place.command_id,
        kind: row.kind,
        direction: row.direction,
        counterparty: &row.counterparty.to_string(),
        amount: row.amount.get(),
        fee: row.fee.get(),
        at: place.ledger_at,
    };
    money::add_transaction(conn, &new).await?;
    Ok(())
}
