//! Performs acts. Called by [`crate::proposals`], for a direct request and for a confirmation: both
//! run the same function, in the transaction of the caller.

use gx_db::PgConnection;
use gx_serve::Problem;

use crate::ServiceState;
use crate::acts::{Act, ActOutcome, ActRequest, Performer};
use crate::{factor_resets, freezes, review, system};

/// Performs the act and writes its audit row in the caller's transaction. The caller wakes the
/// submitter after the commit. A problem means that nothing was written.
pub(crate) async fn perform(
    state: &ServiceState,
    conn: &mut PgConnection,
    by: Performer<'_>,
    wanted: &ActRequest,
) -> Result<ActOutcome, Problem> {
    let texts = &wanted.texts;
    match &wanted.act {
        Act::Approve(profile_id) => {
            let approved = review::approve(state, conn, by, profile_id, texts.notes()).await?;
            Ok(ActOutcome::Approved(approved))
        }
        Act::Freeze { profile_id, action, reason } => {
            let reason = freezes::FreezeReason { code: reason, notes: texts.notes() };
            let sent = freezes::send(state, conn, by.who, profile_id, *action, &reason).await?;
            Ok(ActOutcome::Enqueued(sent))
        }
        Act::Pause(action) => {
            let sent = system::set_paused(state, conn, by.who, action, texts).await?;
            Ok(ActOutcome::Enqueued(sent))
        }
        Act::ActivateTreasury(country) => {
            let sent = system::activate_treasury(state, conn, by.who, *country, texts).await?;
            Ok(ActOutcome::Enqueued(sent))
        }
        Act::ResetUserFactors(profile_id) => {
            factor_resets::reset_user(state, conn, by.who, profile_id, texts.reason()).await?;
            Ok(ActOutcome::Done)
        }
        Act::ResetAdministratorFactors(admin_id) => {
            let reason = texts.reason();
            factor_resets::reset_administrator(state, conn, by, admin_id, reason).await?;
            Ok(ActOutcome::Done)
        }
    }
}
