//! Handing in for review: from here on a reviewer decides.

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;

use gx_auth::{Person, audit};
use gx_model::AccountStatus;
use gx_serve::problem::InvalidField;
use gx_serve::{Problem, ProblemKind};
use serde_json::json;
use time::OffsetDateTime;

use crate::State;

/// Something that review needs is missing.
pub(crate) const KYC_INCOMPLETE: ProblemKind =
    ProblemKind::new("kyc_incomplete", 422, "Something that review needs is missing");
/// The account is not in a state to hand in.
pub(crate) const KYC_NOT_OPEN: ProblemKind =
    ProblemKind::new("kyc_not_open", 409, "There is nothing to hand in now");

/// Hands in: the account goes to review, with one verification a submission.
pub(crate) async fn submit(
    state: &State,
    person: &Person,
    request_id: &str,
) -> Result<OffsetDateTime, Problem> {
    let base = &state.base;
    let now = base.clock.now();
    let mut tx = base.begin().await?;
    let applicant = store::lock_applicant(&mut tx, &person.profile_id).await?;
    let status = AccountStatus::from_name(&applicant.status);
    let next = AccountStatus::PendingAdminApproval;
    // The ledger's refusal leads back to review too, but that is not the person's to do; and
    // a denial for good stays one.
    let barred = match status {
        Some(AccountStatus::Denied) => applicant.denial_finality.as_deref() != Some("RETRY"),
        other => other == Some(AccountStatus::ApprovedPendingOnchain),
    };
    if barred || !status.is_some_and(|status| status.may_become(next)) {
        let detail = format!("The account is {}.", applicant.status);
        return Err(Problem::new(&KYC_NOT_OPEN, detail));
    }
    let handed_in = store::document_types(&mut tx, &person.profile_id).await?;
    let missing = missing(&applicant, &state.required_documents, &handed_in);
    if !missing.is_empty() {
        let detail = "Complete what `errors` names, then hand in again.";
        return Err(Problem::new(&KYC_INCOMPLETE, detail).with_errors(missing));
    }
    let verification_id = base.entropy.id(now).to_string();
    store::insert_verification(&mut tx, &verification_id, &person.profile_id, now).await?;
    store::set_pending(&mut tx, &person.profile_id, now).await?;
    let entry = audit::Entry {
        actor: audit::Actor::User(&person.profile_id),
        action: "user.kyc_submitted",
        target_type: "UserProfile",
        target_id: Some(&person.profile_id),
        before: Some(json!({ "status": applicant.status })),
        after: Some(json!({ "status": next.name(), "verificationId": verification_id })),
        request_id: Some(request_id),
    };
    audit::append(&mut tx, entry, now).await?;
    tx.commit().await?;
    Ok(now)
}

/// What review needs and is not there.
fn missing(
    applicant: &store::Applicant,
    required_documents: &[String],
    handed_in: &[String],
) -> Vec<InvalidField> {
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
    let documents = required_documents.iter().filter(|kind| !handed_in.contains(kind));
    missing.extend(
        documents
            .map(|kind| field(&format!("/documents/{kind}"), "must be handed in before review")),
    );
    missing
}
