//! The rules of people: creation, freeze and unfreeze. Each function applies one kind of command
//! for [`super::apply`]; the rule of the grant shares the checks at the end.

use gx_model::{
    AccountId, BiometricHash, Country, CountryCode, DomainEvent, FabricUserId, Prerequisite, Qirat,
    ReasonCode, RejectionCode,
};

use super::{Moment, account, user_account};
use crate::call_error::Stop;
use crate::keys;
use crate::overlay::{Effect, Overlay};
use crate::records::{Account, Standing, User};

pub(super) fn create(
    state: &Overlay,
    moment: &Moment<'_>,
    user_id: &FabricUserId,
    biometric_hash: &BiometricHash,
    nationality: CountryCode,
    age: u8,
) -> Result<Effect, Stop> {
    require_nationality(user_id, nationality)?;
    require_country(state, nationality)?;
    if state.get::<Account>(&user_account(user_id))?.is_some() {
        let detail = format!("{user_id} exists already");
        return Err(Stop::refused(RejectionCode::UserExists, detail));
    }
    let (biometric_hash, tx_id) = (biometric_hash.clone(), moment.tx_id.to_owned());
    let user = User { nationality, biometric_hash, age, tx_id };
    let account = Account { balance: Qirat::ZERO, standing: Standing::Open {} };
    Ok(Effect::new(DomainEvent::UserCreated { user_id: user_id.clone(), nationality })
        .put(keys::user(user_id), &user)
        .put(user_account(user_id), &account))
}

pub(super) fn freeze(
    state: &Overlay,
    user_id: &FabricUserId,
    reason_code: &ReasonCode,
) -> Result<Effect, Stop> {
    let (user_id, reason_code) = (user_id.clone(), reason_code.clone());
    let account = account(state, &AccountId::User(user_id.clone()))?;
    if account.standing != (Standing::Open {}) {
        let detail = format!("{user_id} is frozen already");
        return Err(Stop::refused(RejectionCode::AlreadyFrozen, detail));
    }
    let key = user_account(&user_id);
    let standing = Standing::Frozen { reason_code: reason_code.clone() };
    Ok(Effect::new(DomainEvent::WalletFrozen { user_id, reason_code })
        .put(key, &Account { standing, ..account }))
}

pub(super) fn unfreeze(state: &Overlay, user_id: &FabricUserId) -> Result<Effect, Stop> {
    let user_id = user_id.clone();
    let account = account(state, &AccountId::User(user_id.clone()))?;
    if account.standing == (Standing::Open {}) {
        return Err(Stop::refused(RejectionCode::NotFrozen, format!("{user_id} is not frozen")));
    }
    let key = user_account(&user_id);
    Ok(Effect::new(DomainEvent::WalletUnfrozen { user_id })
        .put(key, &Account { standing: Standing::Open {}, ..account }))
}

pub(super) fn require_nationality(
    user_id: &FabricUserId,
    nationality: CountryCode,
) -> Result<(), Stop> {
    if user_id.country() == nationality {
        return Ok(());
    }
    let detail = format!("{nationality} is not the country of {user_id}");
    Err(Stop::refused(RejectionCode::NationalityMismatch, detail))
}

pub(super) fn require_country(state: &Overlay, code: CountryCode) -> Result<Country, Stop> {
    let country = state.get(&keys::country(code))?;
    country.ok_or(Stop::Deferred(Prerequisite::Country { country_code: code }))
}
