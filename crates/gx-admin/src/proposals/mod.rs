//! Proposals: acts that a second administrator must confirm (KYC-03). [`request`] is called by the
//! routes of these acts, the rest by the routes under `/api/v1/admin/proposals`.
//!
//! A confirmation performs the act in the transaction that closes the proposal, against the rows as
//! they are then. If the act is refused, because the world has changed since the proposal, the
//! answer is that of the act, nothing is written, and the proposal stays open until somebody
//! rejects it or it expires. The database's clock decides whether it has expired.

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;
pub(crate) mod watch;

use ::http::request::Parts;
use axum::extract::{FromRequestParts, Path};
use gx_auth::{AdminRole, Administrator, audit};
use gx_db::PgConnection;
use gx_ledger_api::named;
use gx_serve::{Problem, ProblemKind};
use serde_json::json;
use sqlx::Connection as _;

use crate::ServiceState;
use crate::acts::{ActAnswer, ActKind, ActOutcome, ActRequest, Performer};
use crate::performing::perform;
use store::Proposal;

/// There is no proposal with this id.
pub(crate) const NO_PROPOSAL: ProblemKind =
    ProblemKind::new("no_proposal", 404, "There is no such proposal");
/// The act is already proposed by somebody else, or with other values.
pub(crate) const ALREADY_PROPOSED: ProblemKind =
    ProblemKind::new("already_proposed", 409, "The act is already proposed");
/// The proposal was confirmed or rejected, or has expired.
pub(crate) const PROPOSAL_CLOSED: ProblemKind =
    ProblemKind::new("proposal_closed", 409, "The proposal is not open");
/// The administrator of the request is the one who proposed.
pub(crate) const OWN_PROPOSAL: ProblemKind =
    ProblemKind::new("own_proposal", 403, "Nobody confirms an own proposal");
/// The administrator who proposed may not do so any more.
pub(crate) const PROPOSER_NOT_ENTITLED: ProblemKind = ProblemKind::new(
    "proposer_not_entitled",
    409,
    "The administrator who proposed the act may not do so any more",
);

named! {
    /// The state of a proposal (`Proposal.state`).
    pub enum ProposalState("no proposal has such a state") {
        /// Waits for a second administrator.
        Open = "OPEN",
        /// Confirmed, and the act was performed.
        Confirmed = "CONFIRMED",
        /// Rejected, by anybody who may confirm it or by its proposer.
        Rejected = "REJECTED",
        /// Nobody decided in time.
        Expired = "EXPIRED",
    }
}

/// A proposal's id in a path. A text that is not an id is answered like an unknown id.
pub(crate) struct ProposalPath(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for ProposalPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let plain = |id: &String| id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        path.ok().map(|Path(id)| id).filter(plain).map(Self).ok_or_else(no_proposal)
    }
}

fn no_proposal() -> Problem {
    Problem::new(&NO_PROPOSAL, "Take an id from the list at /api/v1/admin/proposals.")
}

/// Performs the act, or stores a proposal if a second administrator is needed. A problem means that
/// nothing was changed.
pub(crate) async fn request(
    state: &ServiceState,
    who: &Administrator,
    wanted: &ActRequest,
) -> Result<ActAnswer, Problem> {
    let base = &state.base;
    let _ticket = base.row_ticket(&wanted.act.target()).await?;
    let mut tx = base.begin().await?;
    if state.review.four_eyes.contains(&wanted.act.kind().group()) {
        let id = propose(state, &mut tx, who, wanted).await?;
        tx.commit().await?;
        return Ok(ActAnswer::Proposed(id));
    }
    let outcome = perform(state, &mut tx, Performer::alone(who), wanted).await?;
    tx.commit().await?;
    state.waker.wake();
    Ok(ActAnswer::Performed(outcome))
}

/// Stores a proposal in the caller's transaction and returns its id, or that of the same proposal
/// of the same administrator. An act that would be refused now is refused with its problem.
async fn propose(
    state: &ServiceState,
    conn: &mut PgConnection,
    who: &Administrator,
    wanted: &ActRequest,
) -> Result<String, Problem> {
    let base = &state.base;
    // What the act writes is taken back: only its refusal counts.
    let mut trial = conn.begin().await?;
    perform(state, &mut trial, Performer::alone(who), wanted).await?;
    trial.rollback().await?;

    let (now, target) = (base.clock.now(), wanted.act.target());
    let id = base.entropy.id(now).to_string();
    let new = store::NewProposal {
        proposal_id: &id,
        act: wanted.act.kind(),
        target_id: &target,
        arguments: wanted.arguments(),
        texts: wanted.stored_texts(),
        proposed_by: &who.admin_id,
        lifetime: state.review.proposal_lifetime,
        now,
    };
    if !store::insert(conn, &new).await? {
        let open = store::lock_open(conn, wanted.act.kind(), &target).await?;
        let open = open.ok_or_else(Problem::row_locked)?;
        if !open.is_expired {
            let is_same = open.proposed_by == who.admin_id && open.arguments == new.arguments;
            return if is_same { Ok(open.proposal_id) } else { Err(already_proposed(&open)) };
        }
        expire(state, conn, &open).await?;
        if !store::insert(conn, &new).await? {
            return Err(Problem::row_locked());
        }
    }
    let after = json!({
        "act": wanted.act.kind(),
        "target": target,
        "arguments": new.arguments,
    });
    let entry = audit::Entry {
        after: Some(after),
        ..who.audit_entry("proposal.opened", "Proposal", Some(&id))
    };
    let entry = entry.with_text("reason", wanted.texts.reason(), &base.entropy);
    let entry = entry.with_text("notes", wanted.texts.notes(), &base.entropy);
    audit::append(conn, entry, now).await?;
    Ok(id)
}

/// Confirms a proposal and performs its act, in one transaction. A problem means that nothing was
/// changed, except that a proposal whose time is over has expired.
pub(crate) async fn confirm(
    state: &ServiceState,
    who: &Administrator,
    proposal_id: &str,
    note: Option<&str>,
) -> Result<ActOutcome, Problem> {
    let base = &state.base;
    let target = store::target(&mut *base.connection().await?, proposal_id).await?;
    let _ticket = base.row_ticket(&target.ok_or_else(no_proposal)?).await?;
    let mut tx = base.begin().await?;
    let proposal = store::lock(&mut tx, proposal_id).await?.ok_or_else(no_proposal)?;
    let kind = require_role(who, &proposal)?;
    if proposal.proposed_by == who.admin_id {
        let detail = "Another administrator must confirm it. You can reject it.";
        return Err(Problem::new(&OWN_PROPOSAL, detail));
    }
    if proposal.state == ProposalState::Open.name() && proposal.is_expired {
        expire(state, &mut tx, &proposal).await?;
        tx.commit().await?;
        return Err(closed(ProposalState::Expired.name()));
    }
    require_open(&proposal)?;
    require_entitled(&mut tx, &proposal, kind).await?;
    let Proposal { act, target_id, arguments, texts, proposed_by, .. } = &proposal;
    let texts = texts.clone().unwrap_or_default();
    let wanted = ActRequest::from_stored(act, target_id, arguments, &texts);
    let wanted = wanted.ok_or_else(|| unreadable(&proposal))?;
    let by = Performer { who, proposed_by: Some(proposed_by) };
    let outcome = perform(state, &mut tx, by, &wanted).await?;
    let now = base.clock.now();
    let end = ProposalState::Confirmed;
    store::decide(&mut tx, proposal_id, end, Some(&who.admin_id), now).await?;
    let after = json!({ "state": end, "act": act, "commandIds": outcome.command_ids() });
    append(state, &mut tx, who, "proposal.confirmed", &proposal, after, note).await?;
    tx.commit().await?;
    state.waker.wake();
    Ok(outcome)
}

/// Rejects a proposal. Its proposer may do so, too.
pub(crate) async fn reject(
    state: &ServiceState,
    who: &Administrator,
    proposal_id: &str,
    note: Option<&str>,
) -> Result<(), Problem> {
    let base = &state.base;
    let target = store::target(&mut *base.connection().await?, proposal_id).await?;
    let _ticket = base.row_ticket(&target.ok_or_else(no_proposal)?).await?;
    let mut tx = base.begin().await?;
    let proposal = store::lock(&mut tx, proposal_id).await?.ok_or_else(no_proposal)?;
    require_role(who, &proposal)?;
    if proposal.state == ProposalState::Open.name() && proposal.is_expired {
        expire(state, &mut tx, &proposal).await?;
        tx.commit().await?;
        return Err(closed(ProposalState::Expired.name()));
    }
    require_open(&proposal)?;
    let end = ProposalState::Rejected;
    store::decide(&mut tx, proposal_id, end, Some(&who.admin_id), base.clock.now()).await?;
    let after = json!({ "state": end, "act": proposal.act });
    append(state, &mut tx, who, "proposal.rejected", &proposal, after, note).await?;
    Ok(tx.commit().await?)
}

/// Sets a proposal whose time is over to EXPIRED, in the caller's transaction.
async fn expire(
    state: &ServiceState,
    conn: &mut PgConnection,
    proposal: &Proposal,
) -> Result<(), sqlx::Error> {
    let now = state.base.clock.now();
    let (id, end) = (proposal.proposal_id.as_str(), ProposalState::Expired);
    store::decide(conn, id, end, None, now).await?;
    let actor = audit::Actor::System("proposal expiry");
    let entry = audit::Entry {
        before: Some(json!({ "state": ProposalState::Open })),
        after: Some(json!({ "state": end, "act": proposal.act })),
        ..audit::Entry::new(actor, "proposal.expired", "Proposal", Some(id), None)
    };
    audit::append(conn, entry, now).await
}

/// Returns the kind of the act, or the problem if the administrator's role does not reach it.
fn require_role(who: &Administrator, proposal: &Proposal) -> Result<ActKind, Problem> {
    let kind = ActKind::from_name(&proposal.act).ok_or_else(|| unreadable(proposal))?;
    let least = kind.least_role();
    if who.role.includes(least) {
        return Ok(kind);
    }
    let detail = format!("This act needs the role {} or a higher one.", least.name());
    Err(Problem::forbidden(detail))
}

fn require_open(proposal: &Proposal) -> Result<(), Problem> {
    if proposal.state == ProposalState::Open.name() {
        return Ok(());
    }
    Err(closed(&proposal.state))
}

/// Checks that the proposer may still do what was proposed, and keeps role and lock as they are
/// until the transaction ends.
async fn require_entitled(
    conn: &mut PgConnection,
    proposal: &Proposal,
    kind: ActKind,
) -> Result<(), Problem> {
    let proposer = store::lock_proposer(conn, &proposal.proposed_by).await?;
    let role = proposer.filter(|proposer| !proposer.is_locked).map(|proposer| proposer.role);
    let role = role.and_then(|role| AdminRole::from_name(&role));
    if role.is_some_and(|role| role.includes(kind.least_role())) {
        return Ok(());
    }
    let detail = "Reject the proposal, and request the act again.";
    Err(Problem::new(&PROPOSER_NOT_ENTITLED, detail))
}

fn closed(state: &str) -> Problem {
    Problem::new(&PROPOSAL_CLOSED, format!("The proposal is {state}."))
}

fn already_proposed(open: &Proposal) -> Problem {
    let detail = format!("Confirm or reject proposal {} first.", open.proposal_id);
    Problem::new(&ALREADY_PROPOSED, detail)
}

/// The act of a proposal cannot be read by this release.
#[derive(Debug, thiserror::Error)]
#[error("the act {act} of proposal {id} cannot be read by this release; reject it")]
struct UnreadableAct {
    id: String,
    act: String,
}

fn unreadable(proposal: &Proposal) -> Problem {
    let (id, act) = (proposal.proposal_id.clone(), proposal.act.clone());
    Problem::internal(&UnreadableAct { id, act })
}

/// Appends the entry of a decision.
async fn append(
    state: &ServiceState,
    conn: &mut PgConnection,
    who: &Administrator,
    action: &str,
    proposal: &Proposal,
    mut after: serde_json::Value,
    note: Option<&str>,
) -> Result<(), sqlx::Error> {
    let base = &state.base;
    after["target"] = proposal.target_id.as_str().into();
    after["proposedBy"] = proposal.proposed_by.as_str().into();
    let entry = audit::Entry {
        before: Some(json!({ "state": ProposalState::Open })),
        after: Some(after),
        ..who.audit_entry(action, "Proposal", Some(&proposal.proposal_id))
    };
    let entry = entry.with_text("note", note, &base.entropy);
    audit::append(conn, entry, base.clock.now()).await
}
