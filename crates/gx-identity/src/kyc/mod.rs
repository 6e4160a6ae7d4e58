//! The submission of an account for review. Called by the routes under `/api/v1/users/me/kyc`. If
//! the submission is refused, the problem says why and nothing is stored.

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;

use gx_auth::{Person, audit};
use gx_db::Parsed;
use gx_documents::{MissingDocument, repository};
use gx_model::{AccountStatus, DenialFinality};
use gx_serve::problem::InvalidField;
use gx_serve::{Problem, ProblemKind};
use serde_json::json;
use time::OffsetDateTime;

use crate::ServiceState;

/// The profile lacks facts or documents that a review needs.
pub(crate) const KYC_INCOMPLETE: ProblemKind =
    ProblemKind::new("kyc_incomplete", 422, "The profile lacks facts that a review needs");
/// The status of the account allows no submission.
pub(crate) const KYC_NOT_OPEN: ProblemKind =
    ProblemKind::new("kyc_not_open", 409, "The account cannot be submitted for review now");

/// Submits the account for review: adds a row for the submission, sets the status and writes the
/// audit row. Returns the time of the submission.
pub(crate) async fn submit(
    state: &ServiceState,
    person: &Person,
) -> Result<OffsetDateTime, Problem> {
    let base = &state.base;
    let now = base.clock.now();
    let _ticket = base.row_ticket(person.profile_id.as_str()).await?;
    let mut tx = base.begin().await?;
    let applicant = store::lock_applicant(&mut tx, &person.profile_id).await?;
    let (status, next) = (applicant.status, AccountStatus::PendingAdminApproval);
    // From APPROVED_PENDING_ONCHAIN only the projector may go back to review, and a final denial
    // allows no new submission.
    let barred = match status {
        AccountStatus::Denied => applicant.denial_finality != Some(Parsed(DenialFinality::Retry)),
        other => other == AccountStatus::ApprovedPendingOnchain,
    };
    if barred || !status.may_become(next) {
        let detail = format!("The account is {status}.");
        return Err(Problem::new(&KYC_NOT_OPEN, detail));
    }
    let handed_in = repository::documents(&mut tx, &person.profile_id).await?;
    let mut missing = missing_fields(&applicant);
    missing.extend(state.required_documents.missing(&handed_in).iter().map(missing_document));
    if state.requires_verified_email && !applicant.email_verified {
        missing.push(InvalidField {
            pointer: "/email".to_owned(),
            code: "unverified",
            message: "must be confirmed by mail before review".to_owned(),
        });
    }
    if !missing.is_empty() {
        let detail = "Add the fields and documents that `errors` lists, then submit again.";
        return Err(Problem::new(&KYC_INCOMPLETE, detail).with_errors(missing));
    }
    let verification_id = base.entropy.id(now).to_string();
    store::insert_verification(&mut tx, &verification_id, &person.profile_id, now).await?;
    store::set_pending(&mut tx, &person.profile_id, now).await?;
    let entry = audit::Entry {
        before: Some(json!({ "status": status })),
        after: Some(json!({ "status": next.name(), "verificationId": verification_id })),
        ..person.audit_entry("user.kyc_submitted", "UserProfile", Some(person.profile_id.as_str()))
    };
    audit::append(&mut tx, entry, now).await?;
    tx.commit().await?;
    Ok(now)
}

/// Returns the missing fields.
fn missing_fields(applicant: &store::Applicant) -> Vec<InvalidField> {
    let field = |pointer: &str, message: &str| InvalidField {
        pointer: pointer.to_owned(),
        code: "required",
        message: message.to_owned(),
    };
    let mut missing = Vec::new();
    if applicant.phone_num.is_none() {
        missing.push(field("/phoneNum", "is required before review"));
    }
    if applicant.nationality.is_none() {
        missing.push(field("/nationalityCountryCode", "is required before review"));
    }
    missing
}

/// Returns a missing document as a field: `/documents/` and the types of which one is enough, or a
/// type and the side that is missing.
fn missing_document(missing: &MissingDocument) -> InvalidField {
    let names: Vec<&str> = missing.any_of.iter().map(|kind| kind.name()).collect();
    let types = names.join("|");
    let (pointer, what) = match missing.side {
        Some(side) => (format!("/documents/{types}/{side}"), format!("the {side} of the {types}")),
        None => {
            let with_sides = missing.any_of.iter().any(|kind| kind.has_two_sides());
            let sides = if with_sides { ", a card with both sides" } else { "" };
            (format!("/documents/{types}"), format!("{}{sides}", names.join(" or ")))
        }
    };
    let message = format!("must be handed in before review: {what}");
    InvalidField { pointer, code: "required", message }
}
