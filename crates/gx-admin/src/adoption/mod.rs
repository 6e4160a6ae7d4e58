//! Adoption: gives a person of the ledger that has no owner to an account (PRJ-15). Called by a
//! repeated approval, by `gx projection adopt` and by its route.
//!
//! The ledger has people that this database does not know: after a restore, or created by a
//! partner. The account reserves the person's id, and a task asks the projector to set the owner.

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;

use gx_auth::{audit, email};
use gx_db::{Named, PgConnection, ProfileId, StoredCommandId};
use gx_model::{
    AccountStatus, CommandId, CommandKind, CommandStatus, FabricUserId, Gender, IdMismatch,
    InvalidFabricUserId,
};
use gx_outbox::enqueue::{EnqueueError, adopted_grant_id, enqueue_adopted_grant};
use gx_outbox::tasks::{self, Task, TaskRow};
use serde_json::json;
use sqlx::Connection;
use time::OffsetDateTime;

use crate::commands::AuditedDecision;
pub(crate) use store::LedgerPerson;

/// Most approvals of one account that a restore can have removed from the database. A next approval
/// is possible only after the ledger has refused the one before it.
const MAX_FORGOTTEN_APPROVALS: i32 = 8;

/// The state of a person that the ledger created for an account, in the read model.
pub(crate) enum KnownPerson {
    /// The person is in the read model.
    Person(LedgerPerson),
    /// The event that created the person could not be applied; the id of the dead letter.
    DeadLetter(i64),
}

/// The result of an adoption that an operator asked for.
#[derive(Clone, Debug)]
pub struct AdoptionResult {
    /// The projector's task.
    pub task: TaskRow,
    /// The command of the grant, if the person had none.
    pub grant: Option<CommandId>,
}

/// The reason that a person was not adopted.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// The account does not exist.
    #[error("there is no profile {0}; check the profileId")]
    UnknownProfile(ProfileId),
    /// No applied block created a person with this id.
    #[error(
        "the read model has no person with the id {0}; check the id, and with \
         `gx projection status` that every block is applied"
    )]
    UnknownPerson(FabricUserId),
    /// The account already owns the person.
    #[error("profile {profile_id} already owns {id}; nothing is left to do")]
    AlreadyOwned {
        /// Id of the person on the ledger.
        id: FabricUserId,
        /// Id of the account.
        profile_id: ProfileId,
    },
    /// Another account owns the person, or has reserved its id.
    #[error("{id} belongs to profile {profile_id}, and an owner never changes; check both ids")]
    BelongsToAnother {
        /// Id of the person on the ledger.
        id: FabricUserId,
        /// Id of the account.
        profile_id: ProfileId,
    },
    /// The account has another person.
    #[error(
        "profile {profile_id} already has the id {owned}, and cannot get a second one; check both ids"
    )]
    HasAnother {
        /// Id of the account.
        profile_id: ProfileId,
        /// Fabric User ID of the person that the account has.
        owned: String,
    },
    /// The ledger created a person for the account, and the event could not be applied.
    #[error(
        "the ledger has a person for profile {profile_id}, but dead event {dead_event_id} could \
         not be applied; replay it first with `gx projection dead replay`"
    )]
    DeadLetter {
        /// Id of the account.
        profile_id: ProfileId,
        /// Id of the dead event.
        dead_event_id: i64,
    },
    /// An approval of the account may still create another person.
    #[error(
        "an approval of profile {profile_id} is in progress: command {command_id} is {status}; \
         wait until the command ends, or discard it with `gx outbox discard`"
    )]
    ApprovalUnderWay {
        /// Id of the account.
        profile_id: ProfileId,
        /// The command that may create a person.
        command_id: StoredCommandId,
        /// Status of that command.
        status: Named<CommandStatus>,
    },
    /// The account has no nationality or gender to compare with the id.
    #[error(
        "profile {0} has no nationality or gender to compare with the id; complete the profile"
    )]
    Incomplete(ProfileId),
    /// A fact in the id is not that of the account.
    #[error("{id} does not match profile {profile_id}: {why}; check both ids")]
    OtherFacts {
        /// Id of the person on the ledger.
        id: FabricUserId,
        /// Id of the account.
        profile_id: ProfileId,
        /// The fact that differs.
        why: String,
    },
    /// The grant could not be enqueued.
    #[error("the missing grant cannot be enqueued; check the database and its log")]
    Grant(#[from] EnqueueError),
    /// The database failed.
    #[error("the adoption cannot be stored; check the database and its log")]
    Database(#[from] sqlx::Error),
}

/// An id in the read model that is not a Fabric User ID.
#[derive(Debug, thiserror::Error)]
#[error("the read model has a malformed Fabric User ID; correct it with `gx projection rebuild`")]
pub(crate) struct MalformedId(#[from] InvalidFabricUserId);

impl LedgerPerson {
    /// Returns the person's id. Fails if the row has a malformed one.
    pub(crate) fn id(&self) -> Result<FabricUserId, MalformedId> {
        Ok(self.fabric_user_id.parse()?)
    }
}

/// Returns the ids of the account's CREATE_USER commands: one for each approval, and one for each
/// approval that a restore can have removed.
fn creation_ids(profile_id: &ProfileId, approvals: i32) -> Vec<StoredCommandId> {
    let numbers = 1..=approvals.saturating_add(MAX_FORGOTTEN_APPROVALS);
    numbers.map(|number| creation_id(profile_id, number).into()).collect()
}

fn creation_id(profile_id: &ProfileId, number: i32) -> CommandId {
    CommandId::derive(&[profile_id.as_str(), CommandKind::CreateUser.name(), &number.to_string()])
}

/// Finds the person that the ledger has for an account with this number of approvals. Returns
/// `None` if there is none; an approval then creates a new person.
pub(crate) async fn known_person(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    approvals: i32,
) -> Result<Option<KnownPerson>, sqlx::Error> {
    let creations = creation_ids(profile_id, approvals);
    let row = store::known(conn, profile_id, &creations).await?;
    let store::KnownRow { fabric_user_id, owner, created_command_id, has_grant, .. } = row;
    let Some(fabric_user_id) = fabric_user_id else {
        return Ok(row.dead_event_id.map(KnownPerson::DeadLetter));
    };
    let has_grant = has_grant.unwrap_or(false);
    let person = LedgerPerson { fabric_user_id, owner, created_command_id, has_grant };
    Ok(Some(KnownPerson::Person(person)))
}

/// Returns the number of the account's approval that created a person, or `None` if none of them
/// did.
pub(crate) fn approval_of(
    person: &LedgerPerson,
    profile_id: &ProfileId,
    approvals: i32,
) -> Option<i32> {
    let created = person.created_command_id.as_ref()?;
    let creations = creation_ids(profile_id, approvals);
    let at = creations.iter().position(|creation| creation == created)?;
    i32::try_from(at).ok().map(|at| at + 1)
}

/// The result of [`adopt`].
#[derive(Debug)]
#[must_use]
pub(crate) enum AdoptResult {
    /// The id is reserved for the account, and the task is stored.
    Adopted,
    /// This account has reserved the person, and nothing is stored.
    ReservedBy(ProfileId),
}

/// Reserves a person's id for an account and stores the task that sets the owner, in the caller's
/// transaction. The caller has checked that no other account owns the person.
///
/// Of two transactions that adopt the same person, the second one waits here until the first one
/// has ended.
pub(crate) async fn adopt(
    conn: &mut PgConnection,
    person: &LedgerPerson,
    profile_id: &ProfileId,
    task: &TaskRow,
    now: OffsetDateTime,
) -> Result<AdoptResult, sqlx::Error> {
    if person.owner.is_none() {
        let holder = reserve(conn, person, profile_id, now).await?;
        if holder != *profile_id {
            return Ok(AdoptResult::ReservedBy(holder));
        }
    }
    tasks::ask(conn, task).await?;
    Ok(AdoptResult::Adopted)
}

/// Reserves the id of a person without an owner for the account unless it is reserved, and returns
/// the account that has the reservation.
async fn reserve(
    conn: &mut PgConnection,
    person: &LedgerPerson,
    profile_id: &ProfileId,
    now: OffsetDateTime,
) -> Result<ProfileId, sqlx::Error> {
    let (id, created) = (person.fabric_user_id.as_str(), person.created_command_id.as_ref());
    if let Some(holder) = store::reserving_account(conn, id, created).await? {
        return Ok(holder);
    }
    // Only rows of old releases have no command, and all of those have an owner.
    let no_command = || format!("adoption of {id}").into();
    let command = created.cloned().unwrap_or_else(no_command);
    if store::reserve(conn, id, profile_id, &command, now).await? {
        return Ok(profile_id.clone());
    }
    // Another transaction has reserved the person after this one had looked.
    let holder = store::reserving_account(conn, id, Some(&command)).await?;
    holder.ok_or(sqlx::Error::RowNotFound)
}

/// Lets an account adopt a person of the ledger, and writes the audit row in the same transaction.
///
/// A person that one of the account's approvals created needs no further check. The id of any other
/// person must match the account's country, birth date, gender and e-mail address.
///
/// # Errors
/// [`AdoptError`] says what is wrong; nothing is changed then.
pub async fn ask_adoption(
    conn: &mut PgConnection,
    channel: &str,
    (id, profile_id): (&FabricUserId, &ProfileId),
    task_id: &str,
    decision: &AuditedDecision<'_>,
    now: OffsetDateTime,
) -> Result<AdoptionResult, AdoptError> {
    let mut tx = conn.begin().await?;
    let unknown = || AdoptError::UnknownProfile(profile_id.clone());
    let adopter = store::lock_adopter(&mut tx, profile_id).await?.ok_or_else(unknown)?;
    let person = store::person(&mut tx, id.as_str()).await?;
    let person = person.ok_or_else(|| AdoptError::UnknownPerson(id.clone()))?;
    let may_have_grant = !person.has_grant && is_approved(adopter.status);
    check_owners(&mut tx, &person, &adopter, id, profile_id, may_have_grant).await?;
    if person.owner.is_none() {
        check_facts(&person, &adopter, id, profile_id)?;
    }
    let asked = Task::AdoptPerson { fabric_user_id: id.clone() };
    let task = TaskRow::new(task_id, channel, asked, decision.by(), now);
    if let AdoptResult::ReservedBy(profile_id) =
        adopt(&mut tx, &person, profile_id, &task, now).await?
    {
        return Err(AdoptError::BelongsToAnother { id: id.clone(), profile_id });
    }
    let mut grant = None;
    if may_have_grant {
        enqueue_adopted_grant(&mut tx, id, profile_id, decision.by(), decision.request_id, now)
            .await?;
        grant = Some(adopted_grant_id(id));
    }
    let (action, after) = (
        "projection.adoption_asked",
        json!({ "taskId": task_id, "fabricUserId": id, "grant": grant }),
    );
    let before = Some(json!({ "status": adopter.status, "fabricUserId": adopter.owned }));
    let entry = decision.entry(action, "UserProfile", Some(profile_id.as_str()), after);
    audit::append(&mut tx, audit::Entry { before, ..entry }, now).await?;
    tx.commit().await?;
    Ok(AdoptionResult { task, grant })
}

/// Returns whether an account with this status was approved, and so has a right to a grant.
fn is_approved(status: AccountStatus) -> bool {
    use AccountStatus::{Active, ApprovedPendingOnchain, Frozen, Suspended};
    matches!(status, ApprovedPendingOnchain | Active | Frozen | Suspended)
}

/// Checks that no other account has a right to the person, and that the account has no other
/// person.
async fn check_owners(
    conn: &mut PgConnection,
    person: &LedgerPerson,
    adopter: &store::Adopter,
    id: &FabricUserId,
    profile_id: &ProfileId,
    may_have_grant: bool,
) -> Result<(), AdoptError> {
    let created = person.created_command_id.as_ref();
    let claimant = match &person.owner {
        Some(owner) => Some(owner.clone()),
        None => store::reserving_account(conn, id.as_str(), created).await?,
    };
    if let Some(other) = claimant.filter(|claimant| claimant != profile_id) {
        return Err(AdoptError::BelongsToAnother { id: id.clone(), profile_id: other });
    }
    let profile_id = profile_id.clone();
    let known = match known_person(conn, &profile_id, adopter.approval_count).await? {
        Some(KnownPerson::Person(person)) => Some(person.fabric_user_id),
        Some(KnownPerson::DeadLetter(dead_event_id)) => {
            return Err(AdoptError::DeadLetter { profile_id, dead_event_id });
        }
        None => None,
    };
    let mut owned = [known, adopter.owned.clone()].into_iter().flatten();
    if let Some(owned) = owned.find(|owned| owned != id.as_str()) {
        return Err(AdoptError::HasAnother { profile_id, owned });
    }
    if person.owner.is_some() && !may_have_grant {
        return Err(AdoptError::AlreadyOwned { id: id.clone(), profile_id });
    }
    if let Some(open) = store::open_creation(conn, &profile_id).await? {
        let store::OpenCreation { command_id, status } = open;
        return Err(AdoptError::ApprovalUnderWay { profile_id, command_id, status });
    }
    Ok(())
}

/// Checks the facts in the id against those of the account. A person that the account's own
/// approval created passes, because the account's facts may have changed since.
fn check_facts(
    person: &LedgerPerson,
    adopter: &store::Adopter,
    id: &FabricUserId,
    profile_id: &ProfileId,
) -> Result<(), AdoptError> {
    if approval_of(person, profile_id, adopter.approval_count).is_some() {
        return Ok(());
    }
    let country = adopter.nationality.as_deref().and_then(|code| code.parse().ok());
    let (Some(country), Some(gender)) = (country, Gender::from_name(&adopter.gender)) else {
        return Err(AdoptError::Incomplete(profile_id.clone()));
    };
    // The checksum in an id is that of the address as it was spelled then: as the row has it, or
    // with the domain in Unicode if the person registered again since.
    let spellings = [adopter.email.clone(), email::unicode_domain(&adopter.email)];
    let verify = |address: &String| id.verify(address, adopter.date_of_birth, country);
    let facts = spellings.iter().map(verify).reduce(Result::or).expect("there are two");
    let why = match (facts, id.gender()) {
        (Ok(()), Some(told)) if told == gender => return Ok(()),
        (Ok(()), Some(_)) => "the id names another gender".to_owned(),
        (Ok(()), None) => "it is the id of an organisation".to_owned(),
        (Err(mismatch), _) => IdMismatch::to_string(&mismatch),
    };
    Err(AdoptError::OtherFacts { id: id.clone(), profile_id: profile_id.clone(), why })
}
