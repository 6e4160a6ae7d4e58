//! The review of a person: an approval enqueues the commands that create the person on the ledger,
//! a denial does not. Called by the routes `approve`, `deny` and `batch-approve`.

pub(crate) mod batch;
pub(crate) mod http;
mod reservation;
mod store;
#[cfg(test)]
mod tests;

use aws_lc_rs::hmac;
use gx_auth::{Administrator, Subject, audit, not_enqueued};
use gx_db::{PgConnection, ProfileId};
use gx_documents::{repository, requests};
use gx_model::{
    AccountStatus, AccountType, BiometricHash, Command, CommandId, CommandKind, CountryCode,
    DenialFinality, FabricUserId, Gender, IdSubject, economics,
};
use gx_outbox::enqueue::{NewCommand, adopted_grant_id, enqueue_adopted_grant};
use gx_outbox::tasks::{Task, TaskRow};
use gx_serve::problem::InvalidField;
use gx_serve::{Problem, ProblemKind};
use rand::SeedableRng;
use rand::rngs::StdRng;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use time::OffsetDateTime;

use crate::ServiceState;
use crate::acts::{ApprovalResult, Performer};
use crate::adoption::{self, AdoptResult, KnownPerson, LedgerPerson};
use crate::claims;
use crate::documents;
use crate::users::no_user;
use store::Candidate;

/// The profile lacks facts that the ledger needs.
pub(crate) const INCOMPLETE: ProblemKind =
    ProblemKind::new("incomplete", 422, "The profile lacks facts that an approval needs");
/// An administrator has locked the account.
pub(crate) const LOCKED: ProblemKind =
    ProblemKind::new("account_locked", 409, "The account is locked");

/// The ledger has created the person, and the event could not be applied.
pub(crate) const HELD_ON_LEDGER: ProblemKind =
    ProblemKind::new("held_on_ledger", 409, "The event that created the person is a dead event");
/// The ledger created the person for this account, and another account owns the person.
pub(crate) const OTHER_OWNER: ProblemKind =
    ProblemKind::new("other_owner", 409, "Another account owns the person on the ledger");

/// The reason and finality of a denial, and the comments.
pub(crate) struct Denial<'a> {
    pub(crate) reason_code: &'a str,
    pub(crate) finality: DenialFinality,
    pub(crate) public_comment: Option<&'a str>,
    pub(crate) private_comment: Option<&'a str>,
}

/// The facts of a person that the ledger needs.
struct CompleteFacts {
    subject: IdSubject,
    age: u8,
}

/// Approves a person: sets the status, records the decision, accepts the documents that wait for a
/// reviewer, enqueues the commands and writes the audit row, in the caller's transaction; locks the
/// account's row (KYC-04, API-12).
///
/// The commands are CREATE_USER and DISTRIBUTE_GENESIS for an id that is drawn and reserved now. If
/// the ledger already has the person, because a restore removed an earlier approval from this
/// database, the account adopts that person instead. A problem means that nothing was changed.
pub(crate) async fn approve(
    state: &ServiceState,
    conn: &mut PgConnection,
    by: Performer<'_>,
    profile_id: &ProfileId,
    note: Option<&str>,
) -> Result<ApprovalResult, Problem> {
    let (base, who) = (&state.base, by.who);
    let now = base.clock.now();
    let candidate = under_review(conn, by, profile_id).await?;
    if candidate.is_locked {
        return Err(Problem::new(&LOCKED, "Unlock the account, then approve the person."));
    }
    documents::require_usable(state, conn, profile_id).await?;
    let complete = complete_facts(&candidate, now)?;
    base.require_running(conn).await?;
    let approval = Approval { state, who, profile_id, number: candidate.approval_count + 1, now };
    let (number, approved) = match adoption::known_person(conn, profile_id, approval.number).await?
    {
        None => (approval.number, approval.create(conn, &complete).await?),
        Some(KnownPerson::Person(person)) => approval.adopt(conn, &person).await?,
        Some(KnownPerson::DeadLetter(id)) => {
            let detail = format!("The ledger has the person; replay dead event {id} first.");
            return Err(Problem::new(&HELD_ON_LEDGER, detail));
        }
    };
    store::set_approved(conn, profile_id, number, &who.admin_id, now).await?;
    let decision = store::ReviewDecision::approved(&who.admin_id, note, now);
    let verification_id = base.entropy.id(now).to_string();
    store::decide(conn, &verification_id, profile_id, &decision).await?;
    let accepted = repository::accept_stored(conn, profile_id, &who.admin_id, now).await?;
    end_review(conn, profile_id).await?;
    let mut after = json!({
        "status": AccountStatus::ApprovedPendingOnchain.name(),
        "fabricUserId": approved.fabric_user_id.as_str(),
        "commandIds": approved.command_ids,
    });
    if !accepted.is_empty() {
        after["acceptedDocuments"] = accepted.into();
    }
    if let Some(proposed_by) = by.proposed_by {
        after["proposedBy"] = proposed_by.as_str().into();
    }
    audit::append(conn, entry(who, "user.approved", profile_id, after), now).await?;
    Ok(approved)
}

/// The facts of one approval that its steps share.
struct Approval<'a> {
    state: &'a ServiceState,
    who: &'a Administrator,
    profile_id: &'a ProfileId,
    number: i32,
    now: OffsetDateTime,
}

impl Approval<'_> {
    /// Reserves an id for a new person and enqueues both commands.
    async fn create(
        &self,
        conn: &mut PgConnection,
        complete: &CompleteFacts,
    ) -> Result<ApprovalResult, Problem> {
        let Self { state, profile_id, now, .. } = *self;
        let [create_id, grant_id] = command_ids(profile_id, self.number);
        let mut draws = id_rng(&state.biometric_key, create_id);
        let fabric_user_id = reservation::reserve(conn, profile_id, create_id, now, || {
            FabricUserId::generate(&complete.subject, &mut draws)
        })
        .await?;
        let commands = [
            (create_id, create_user(&state.biometric_key, profile_id, &fabric_user_id, complete)),
            (
                grant_id,
                Command::DistributeGenesis {
                    user_id: fabric_user_id.clone(),
                    nationality: complete.subject.country,
                },
            ),
        ];
        for (command_id, command) in &commands {
            let new = NewCommand {
                command_id: *command_id,
                command,
                profile_id: Some(profile_id),
                requested_by: self.who.admin_id.as_str(),
                request_id: Some(&self.who.request_id),
            };
            gx_outbox::enqueue::enqueue(conn, new, now).await.map_err(not_enqueued)?;
        }
        let command_ids = commands.iter().map(|(id, _)| *id).collect();
        Ok(ApprovalResult { fabric_user_id, command_ids })
    }

    /// Adopts the person that the ledger already has, and enqueues the grant if the person has
    /// none.
    ///
    /// Also returns the number of this approval: the number of the approval that created the
    /// person, if that is higher.
    async fn adopt(
        &self,
        conn: &mut PgConnection,
        person: &LedgerPerson,
    ) -> Result<(i32, ApprovalResult), Problem> {
        let Self { state, profile_id, now, .. } = *self;
        let fabric_user_id = person.id().map_err(|why| Problem::internal(&why))?;
        if let Some(owner) = person.owner.as_ref().filter(|owner| *owner != profile_id) {
            let detail = format!("{fabric_user_id} was created for it and belongs to {owner}.");
            return Err(Problem::new(&OTHER_OWNER, detail));
        }
        let asked = Task::AdoptPerson { fabric_user_id: fabric_user_id.clone() };
        let task_id = state.base.entropy.id(now).to_string();
        let who = self.who.admin_id.as_str();
        let task = TaskRow::new(&task_id, state.base.channel(), asked, who, now);
        if let AdoptResult::ReservedBy(other) =
            adoption::adopt(conn, person, profile_id, &task, now).await?
        {
            let detail =
                format!("{fabric_user_id} was created for it and is reserved for {other}.");
            return Err(Problem::new(&OTHER_OWNER, detail));
        }
        let mut command_ids = vec![];
        if !person.has_grant {
            let request_id = Some(&*self.who.request_id);
            let wanted =
                enqueue_adopted_grant(conn, &fabric_user_id, profile_id, who, request_id, now)
                    .await;
            wanted.map_err(not_enqueued)?;
            command_ids.push(adopted_grant_id(&fabric_user_id));
        }
        let created = adoption::approval_of(person, profile_id, self.number);
        let number = created.map_or(self.number, |created| created.max(self.number));
        Ok((number, ApprovalResult { fabric_user_id, command_ids }))
    }
}

/// Denies a person, and ends the sessions if the denial is final. A problem means that nothing was
/// changed.
pub(crate) async fn deny(
    state: &ServiceState,
    who: &Administrator,
    profile_id: &ProfileId,
    denial: &Denial<'_>,
) -> Result<(), Problem> {
    let base = &state.base;
    let now = base.clock.now();
    let _ticket = base.row_ticket(profile_id.as_str()).await?;
    let mut tx = base.begin().await?;
    under_review(&mut tx, Performer::alone(who), profile_id).await?;
    store::set_denied(&mut tx, profile_id, &who.admin_id, denial, now).await?;
    let decision = store::ReviewDecision::denied(&who.admin_id, denial, now);
    let verification_id = base.entropy.id(now).to_string();
    store::decide(&mut tx, &verification_id, profile_id, &decision).await?;
    end_review(&mut tx, profile_id).await?;
    if denial.finality == DenialFinality::Final {
        let subject = Subject::User(profile_id.clone());
        base.auth.sessions.end(&mut tx, &subject, None, "denied for good").await?;
    }
    let after = json!({
        "status": AccountStatus::Denied.name(),
        "reasonCode": denial.reason_code,
        "finality": denial.finality.name(),
    });
    audit::append(&mut tx, entry(who, "user.denied", profile_id, after), now).await?;
    Ok(tx.commit().await?)
}

/// Locks the account's row and returns it, or the problem if the account is not under review or
/// another administrator's claim on it lasts.
async fn under_review(
    conn: &mut PgConnection,
    by: Performer<'_>,
    profile_id: &ProfileId,
) -> Result<Candidate, Problem> {
    let candidate = store::lock_candidate(conn, profile_id).await?.ok_or_else(no_user)?;
    if candidate.status != AccountStatus::PendingAdminApproval {
        return Err(claims::not_under_review(candidate.status));
    }
    claims::require_free(conn, profile_id, |admin_id| by.includes(admin_id)).await?;
    Ok(candidate)
}

/// Ends the claim of a reviewer and the requests for documents, because the review is decided.
async fn end_review(conn: &mut PgConnection, profile_id: &ProfileId) -> Result<(), sqlx::Error> {
    claims::end(conn, profile_id).await?;
    requests::end(conn, profile_id).await
}

/// Returns the ids of an approval's commands: CREATE_USER, then DISTRIBUTE_GENESIS.
fn command_ids(profile_id: &ProfileId, approval: i32) -> [CommandId; 2] {
    let number = approval.to_string();
    [CommandKind::CreateUser, CommandKind::DistributeGenesis]
        .map(|kind| CommandId::derive(&[profile_id.as_str(), kind.name(), &number]))
}

/// Returns the facts that the ledger needs, or a problem that lists all missing fields.
fn complete_facts(candidate: &Candidate, now: OffsetDateTime) -> Result<CompleteFacts, Problem> {
    let country: Option<CountryCode> =
        candidate.nationality.as_deref().and_then(|code| code.parse().ok());
    let gender = Gender::from_name(&candidate.gender);
    let mut missing = Vec::new();
    for (pointer, is_missing) in [
        ("/nationalityCountryCode", country.is_none()),
        ("/phoneNum", candidate.phone_num.is_none()),
        ("/gender", gender.is_none()),
    ] {
        if is_missing {
            missing.push(InvalidField {
                pointer: pointer.to_owned(),
                code: "required",
                message: "is required before approval".to_owned(),
            });
        }
    }
    let (Some(country), Some(gender), true) = (country, gender, missing.is_empty()) else {
        let detail = "Deny the person with finality RETRY and ask for the missing fields.";
        return Err(Problem::new(&INCOMPLETE, detail).with_errors(missing));
    };
    let birth_date = candidate.date_of_birth;
    let subject = IdSubject {
        email: candidate.email.clone(),
        birth_date,
        country,
        gender,
        account_type: AccountType::Individual,
    };
    Ok(CompleteFacts { subject, age: economics::age_on(birth_date, now.date()) })
}

/// Returns the command that creates the person on the ledger.
fn create_user(
    key: &SecretString,
    profile_id: &ProfileId,
    user_id: &FabricUserId,
    complete: &CompleteFacts,
) -> Command {
    Command::CreateUser {
        user_id: user_id.clone(),
        biometric_hash: biometric_hash(key, profile_id),
        nationality: complete.subject.country,
        age: complete.age,
    }
}

/// Returns the random source of one approval's Fabric User ID.
///
/// Its seed is derived from the command id and the key, so that only GX can predict the id. The
/// same approval after a restore draws the same id, and the ledger recognises the command instead
/// of creating the person a second time (G2).
fn id_rng(key: &SecretString, create_id: CommandId) -> StdRng {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose_secret().as_bytes());
    let tag = hmac::sign(&key, format!("fabric user id {create_id}").as_bytes());
    StdRng::from_seed(tag.as_ref().try_into().expect("an HMAC-SHA-256 tag has 32 bytes"))
}

/// Returns the HMAC-SHA-256 of the profile's id under the biometric key. There is no biometric data
/// yet, so the profile's id takes its place; the hash does not reveal the person (G5).
fn biometric_hash(key: &SecretString, profile_id: &ProfileId) -> BiometricHash {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose_secret().as_bytes());
    let tag = hmac::sign(&key, profile_id.as_str().as_bytes());
    hex::encode(tag.as_ref()).parse().expect("32 bytes are 64 hexadecimal digits")
}

fn entry<'a>(
    who: &'a Administrator,
    action: &'a str,
    profile_id: &'a ProfileId,
    after: serde_json::Value,
) -> audit::Entry<'a> {
    audit::Entry {
        before: Some(json!({ "status": AccountStatus::PendingAdminApproval.name() })),
        after: Some(after),
        ..who.audit_entry(action, "UserProfile", Some(profile_id.as_str()))
    }
}
