//! Adoption: gives an owner to a person of the ledger that has none (PRJ-15).
//!
//! A database that was restored from an older backup lacks approvals whose people exist on the
//! ledger. These people have no owner until an account reserves the id again, by a repeated
//! approval or by an operator. Only the projector sets the owner: when the person is created, when
//! the command that created the person is settled, and between blocks when a task asks for it.
//! Called when blocks are applied, by `operate::adoption`, and by a rebuild.

use std::collections::BTreeSet;

use gx_db::{PgConnection, ProfileId, StoredCommandId};
use gx_model::{EntryOutcome, FabricUserId};
use gx_outbox::enqueue::{EnqueueError, enqueue_adopted_grant};
use gx_outbox::projector::{BlockResults, Settled, note_created};
use time::OffsetDateTime;

use super::store::adoption::{self as store, OwnershipClaim};

/// `requestedBy` of the missing grants that the projector enqueues.
const PROJECTOR: &str = "projector";

/// Adds to `took_effect` the commands whose id the ledger has with other content and which created
/// a person under that content: the same approval, repeated after a birthday or with another e-mail
/// address.
pub(crate) async fn find_effective(
    conn: &mut PgConnection,
    results: &mut BlockResults<'_>,
) -> Result<(), sqlx::Error> {
    let mismatched = results.entries.iter();
    let mismatched = mismatched.filter(|one| matches!(one.outcome, EntryOutcome::Mismatch { .. }));
    let ids: Vec<_> = mismatched.map(|one| one.command_id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let texts: Vec<StoredCommandId> = ids.iter().map(|id| (*id).into()).collect();
    let created = store::created_by(conn, &texts).await?;
    let created: BTreeSet<_> = created.into_iter().map(|one| one.command_id).collect();
    let effective = ids.into_iter().zip(&texts).filter(|(_, text)| created.contains(*text));
    results.took_effect.extend(effective.map(|(id, _)| id));
    Ok(())
}

/// Gives each account whose CREATE_USER took effect the person that the ledger created, and
/// enqueues the grants of people whose grant was refused because it named a wrong id.
pub(crate) async fn after_settlement(
    conn: &mut PgConnection,
    settled: &Settled,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let created = &settled.users_created;
    if !created.is_empty() {
        let command_ids: Vec<_> = created.iter().map(|one| &one.command_id).collect();
        let requested_ids: Vec<&str> =
            created.iter().map(|one| one.requested_id.as_str()).collect();
        let profiles: Vec<Option<&ProfileId>> =
            created.iter().map(|one| one.profile_id.as_ref()).collect();
        let open = store::not_owned(conn, &command_ids, &requested_ids, &profiles).await?;
        if !open.is_empty() {
            let made = store::created_by(conn, &open).await?;
            let mut ids = Vec::with_capacity(made.len());
            for one in made {
                let Some(id) = one.fabric_user_id else { continue };
                note_created(conn, &one.command_id, &id).await?;
                ids.push(id);
            }
            let claims = store::claims(conn, &ids).await?;
            assign_owners(conn, &claims, now).await?;
        }
    }
    if !settled.grants_refused.is_empty() {
        enqueue_missing_grants(conn, &settled.grants_refused, now).await?;
    }
    Ok(())
}

/// Gives people to the accounts that have a right to them. A person with an owner and an account
/// with a person stay as they are, so calling it again is harmless.
pub(crate) async fn assign_owners(
    conn: &mut PgConnection,
    claims: &[OwnershipClaim],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let mut taken = BTreeSet::new();
    // An account has at most one person: if it has a right to two, the one created first.
    let (ids, profiles): (Vec<&str>, Vec<&ProfileId>) = claims
        .iter()
        .filter(|claim| taken.insert(&claim.profile_id))
        .map(|claim| (claim.fabric_user_id.as_str(), &claim.profile_id))
        .unzip();
    if ids.is_empty() {
        return Ok(());
    }
    store::set_owner(conn, &ids, &profiles).await?;
    store::set_wallet_owner(conn, &ids).await?;
    store::register_owners(conn, &ids, now).await?;
    // An account may become FROZEN only after it was ACTIVE.
    store::freeze_owners(conn, &ids).await
}

/// Enqueues the grants of people who never had one. The first grant of such a person was enqueued
/// for an id that the ledger does not have. A grant that cannot be enqueued is logged and left out.
async fn enqueue_missing_grants(
    conn: &mut PgConnection,
    profile_ids: &[ProfileId],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    for OwnershipClaim { fabric_user_id, profile_id } in store::ungranted(conn, profile_ids).await?
    {
        let Ok(user_id) = fabric_user_id.parse::<FabricUserId>() else { continue };
        match enqueue_adopted_grant(conn, &user_id, &profile_id, PROJECTOR, None, now).await {
            Ok(_) => {}
            Err(EnqueueError::Database(error)) => return Err(error),
            Err(mismatch @ EnqueueError::Mismatch(_)) => {
                tracing::error!(person = profile_id.as_str(), error = %mismatch,
                    "the grant of the adopted person {profile_id} cannot be enqueued; compare the \
                     command that `error` names with the person");
            }
        }
    }
    Ok(())
}
