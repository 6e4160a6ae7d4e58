//! The review of a person: approval sends them to the ledger, denial does not.

pub(crate) mod batch;
pub(crate) mod http;
mod reservation;
mod store;
#[cfg(test)]
mod tests;

use aws_lc_rs::hmac;
use gx_auth::{Administrator, Realm, audit};
use gx_db::PgConnection;
use gx_model::{
    AccountStatus, AccountType, BiometricHash, Command, CommandId, CommandKind, CountryCode,
    DenialFinality, FabricUserId, Gender, IdSubject, economics,
};
use gx_outbox::{EnqueueError, NewCommand};
use gx_serve::problem::InvalidField;
use gx_serve::{Problem, ProblemKind};
use rand::SeedableRng;
use rand::rngs::StdRng;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use time::OffsetDateTime;

use crate::State;
use crate::users::no_user;
use store::Candidate;

/// The account is in a state that knows no such decision.
pub(crate) const NOT_UNDER_REVIEW: ProblemKind =
    ProblemKind::new("not_under_review", 409, "The account is not under review");
/// Facts that the ledger needs are missing.
pub(crate) const INCOMPLETE: ProblemKind =
    ProblemKind::new("incomplete", 422, "Something that approval needs is missing");
/// The account is locked.
pub(crate) const LOCKED: ProblemKind =
    ProblemKind::new("account_locked", 409, "The account is locked");

/// What an approval led to.
pub(crate) struct Approved {
    pub(crate) fabric_user_id: FabricUserId,
    pub(crate) command_ids: Vec<CommandId>,
}

/// A denial.
pub(crate) struct Denial<'a> {
    pub(crate) reason_code: &'a str,
    pub(crate) finality: DenialFinality,
    pub(crate) public_comment: Option<&'a str>,
    pub(crate) private_comment: Option<&'a str>,
}

/// Facts of a candidate that the ledger needs, all there.
struct Complete {
    subject: IdSubject,
    age: u8,
}

/// Approves: draws and reserves the Fabric User ID, moves the account, records the decision,
/// enqueues CREATE_USER and DISTRIBUTE_GENESIS and writes the audit row, in one transaction
/// under the account's row lock (KYC-04, API-12).
pub(crate) async fn approve(
    state: &State,
    who: &Administrator,
    profile_id: &str,
    note: Option<&str>,
    request_id: &str,
) -> Result<Approved, Problem> {
    let base = &state.base;
    let now = base.clock.now();
    let mut tx = base.begin().await?;
    let candidate = under_review(&mut tx, profile_id).await?;
    if candidate.is_locked {
        return Err(Problem::new(&LOCKED, "Unlock it first."));
    }
    let complete = complete(&candidate, now)?;
    base.require_running(&mut tx).await?;
    let [create_id, grant_id] = command_ids(profile_id, candidate.approval_count + 1);
    let mut draws = draws(&state.biometric_key, create_id);
    let fabric_user_id = reservation::reserve(&mut tx, profile_id, create_id, now, || {
        FabricUserId::generate(&complete.subject, &mut draws)
    })
    .await?;
    store::set_approved(&mut tx, profile_id, &who.admin_id, now).await?;
    let decision = store::Decision::approved(&who.admin_id, note, now);
    let verification_id = base.entropy.id(now).to_string();
    store::decide(&mut tx, &verification_id, profile_id, &decision).await?;
    let commands = [
        (create_id, create_user(&state.biometric_key, profile_id, &fabric_user_id, &complete)),
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
            requested_by: &who.admin_id,
            request_id: Some(request_id),
        };
        gx_outbox::enqueue(&mut tx, new, now).await.map_err(not_enqueued)?;
    }
    let command_ids: Vec<CommandId> = commands.iter().map(|(id, _)| *id).collect();
    let after = json!({
        "status": AccountStatus::ApprovedPendingOnchain.name(),
        "fabricUserId": fabric_user_id.as_str(),
        "commandIds": command_ids,
    });
    audit::append(&mut tx, entry(who, "user.approved", profile_id, after, request_id), now).await?;
    tx.commit().await?;
    state.waker.wake();
    Ok(Approved { fabric_user_id, command_ids })
}

/// Denies, with a reason, and tells whether the person may try again.
pub(crate) async fn deny(
    state: &State,
    who: &Administrator,
    profile_id: &str,
    denial: &Denial<'_>,
    request_id: &str,
) -> Result<(), Problem> {
    let base = &state.base;
    let now = base.clock.now();
    let mut tx = base.begin().await?;
    under_review(&mut tx, profile_id).await?;
    store::set_denied(&mut tx, profile_id, &who.admin_id, denial, now).await?;
    let decision = store::Decision::denied(&who.admin_id, denial, now);
    let verification_id = base.entropy.id(now).to_string();
    store::decide(&mut tx, &verification_id, profile_id, &decision).await?;
    if denial.finality == DenialFinality::Final {
        let sessions = &base.auth.sessions;
        sessions.end(&mut tx, Realm::User, profile_id, None, "denied for good").await?;
    }
    let after = json!({
        "status": AccountStatus::Denied.name(),
        "reasonCode": denial.reason_code,
        "finality": denial.finality.name(),
    });
    audit::append(&mut tx, entry(who, "user.denied", profile_id, after, request_id), now).await?;
    Ok(tx.commit().await?)
}

/// The account under its row lock, if it is under review.
async fn under_review(conn: &mut PgConnection, profile_id: &str) -> Result<Candidate, Problem> {
    let candidate = store::lock(conn, profile_id).await?.ok_or_else(no_user)?;
    if candidate.status != AccountStatus::PendingAdminApproval.name() {
        let detail = format!("The account is {}.", candidate.status);
        return Err(Problem::new(&NOT_UNDER_REVIEW, detail));
    }
    Ok(candidate)
}

/// The commands of an approval: CREATE_USER, then DISTRIBUTE_GENESIS.
fn command_ids(profile_id: &str, approval: i32) -> [CommandId; 2] {
    let number = approval.to_string();
    [CommandKind::CreateUser, CommandKind::DistributeGenesis]
        .map(|kind| CommandId::derive(&[profile_id, kind.name(), &number]))
}

/// Everything that the ledger needs, or all that is missing.
fn complete(candidate: &Candidate, now: OffsetDateTime) -> Result<Complete, Problem> {
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
        let detail = "Deny with a retry, so that the person completes the profile.";
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
    Ok(Complete { subject, age: economics::age_on(birth_date, now.date()) })
}

fn create_user(
    key: &SecretString,
    profile_id: &str,
    user_id: &FabricUserId,
    complete: &Complete,
) -> Command {
    Command::CreateUser {
        user_id: user_id.clone(),
        biometric_hash: biometric_hash(key, profile_id),
        nationality: complete.subject.country,
        age: complete.age,
    }
}

/// The draws of one approval's Fabric User ID. Nobody without the key can tell them; the same
/// approval, made again on a database that was restored from before it, draws the same id, so
/// that the ledger recognises the command and does not create the person a second time (G2).
fn draws(key: &SecretString, create_id: CommandId) -> StdRng {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose_secret().as_bytes());
    let tag = hmac::sign(&key, format!("fabric user id {create_id}").as_bytes());
    StdRng::from_seed(tag.as_ref().try_into().expect("an HMAC-SHA-256 tag has 32 bytes"))
}

/// HMAC-SHA-256 of the profile's id under the biometric key: until a selfie is handed in,
/// the profile stands for the person. The ledger sees nothing that leads back (G5).
fn biometric_hash(key: &SecretString, profile_id: &str) -> BiometricHash {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose_secret().as_bytes());
    let tag = hmac::sign(&key, profile_id.as_bytes());
    hex::encode(tag.as_ref()).parse().expect("32 bytes are 64 hexadecimal digits")
}

fn not_enqueued(error: EnqueueError) -> Problem {
    match error {
        EnqueueError::Database(error) => error.into(),
        mismatch @ EnqueueError::Mismatch(_) => Problem::internal(&mismatch),
    }
}

fn entry<'a>(
    who: &'a Administrator,
    action: &'a str,
    profile_id: &'a str,
    after: serde_json::Value,
    request_id: &'a str,
) -> audit::Entry<'a> {
    audit::Entry {
        actor: audit::Actor::Admin(&who.admin_id),
        action,
        target_type: "UserProfile",
        target_id: Some(profile_id),
        before: Some(json!({ "status": AccountStatus::PendingAdminApproval.name() })),
        after: Some(after),
        request_id: Some(request_id),
    }
}
