//! The rule of the genesis grant, one for each person. The countries' counters limit the payments
//! from the genesis pools, because the caps of all shares use up the pools exactly. So no grant
//! writes the key of a pool, and grants of different countries do not conflict.

use gx_model::economics::{GENESIS_AGES, Grant, age_on, grant_for};
use gx_model::{
    AccountId, CountryCode, DomainEvent, FabricUserId, GrantRefusal, Qirat, RejectionCode,
};

use super::users::{require_country, require_nationality};
use super::{Moment, account, user_account};
use crate::call_error::{Damaged, Stop};
use crate::keys;
use crate::overlay::{Effect, Overlay};
use crate::records::{Account, Counters, GrantRecord};

/// Applies DISTRIBUTE_GENESIS. A person who gets no grant, because of the age or the country, is no
/// error: the effect is a grant of 0, which is final.
pub(super) fn distribute(
    state: &Overlay,
    moment: &Moment<'_>,
    user_id: &FabricUserId,
    nationality: CountryCode,
) -> Result<Effect, Stop> {
    require_nationality(user_id, nationality)?;
    let share_ppb = require_country(state, nationality)?.share_ppb;
    let person = account(state, &AccountId::User(user_id.clone()))?;
    if state.get::<GrantRecord>(&keys::grant(user_id))?.is_some() {
        let detail = format!("{user_id} had the grant before");
        return Err(Stop::refused(RejectionCode::GenesisDone, detail));
    }
    let treasury_id = AccountId::Treasury(nationality);
    let treasury = account(state, &treasury_id)?;
    let counters: Counters = state.get(&keys::counters(nationality))?.unwrap_or_default();

    let decision = decide(user_id, moment, counters.users, share_ppb);
    let (phase, user_amount, treasury_amount) = match decision {
        Ok(grant) => (Some(grant.phase), grant.user, grant.treasury),
        Err(_) => (None, Qirat::ZERO, Qirat::ZERO),
    };
    let person = Account { balance: sum(person.balance, user_amount)?, ..person };
    let treasury = Account { balance: sum(treasury.balance, treasury_amount)?, ..treasury };
    let users = counters.users.checked_add(u64::from(decision.is_ok()));
    let counters = Counters {
        users: users.ok_or_else(|| Damaged("a country has too many people".to_owned()))?,
        user_total: sum(counters.user_total, user_amount)?,
        treasury_total: sum(counters.treasury_total, treasury_amount)?,
    };
    let refusal = decision.err();
    let tx_id = moment.tx_id.to_owned();
    let record = GrantRecord { tx_id, phase, amount: user_amount, refusal };
    let effect = Effect::new(DomainEvent::GenesisDistributed {
        user_id: user_id.clone(),
        nationality,
        phase,
        amount: user_amount,
        treasury_amount,
        refusal,
        balance: person.balance,
        treasury_balance: treasury.balance,
        country_users: counters.users,
        country_user_total: counters.user_total,
        country_treasury_total: counters.treasury_total,
    })
    .put(keys::grant(user_id), &record);
    if refusal.is_some() {
        return Ok(effect);
    }
    Ok(effect
        .put(user_account(user_id), &person)
        .put(keys::account(&treasury_id), &treasury)
        .put(keys::counters(nationality), &counters))
}

/// Returns the amounts of the grant, or why it is 0.
fn decide(
    user_id: &FabricUserId,
    moment: &Moment<'_>,
    users_so_far: u64,
    share_ppb: u32,
) -> Result<Grant, GrantRefusal> {
    if !GENESIS_AGES.contains(&age_on(user_id.birth_date(), moment.today)) {
        return Err(GrantRefusal::Age);
    }
    if share_ppb == 0 {
        return Err(GrantRefusal::NoShare);
    }
    grant_for(users_so_far, share_ppb).ok_or(GrantRefusal::PhasesUsedUp)
}

fn sum(balance: Qirat, amount: Qirat) -> Result<Qirat, Damaged> {
    let above = || Damaged("a grant would bring a balance above the supply".to_owned());
    balance.checked_add(amount).ok_or_else(above)
}
