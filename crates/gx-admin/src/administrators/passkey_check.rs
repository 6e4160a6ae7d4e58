//! The check `passkeys` of svc-admin. An administrator whose factor is a passkey cannot sign in
//! while the service has no domain for passkeys, and the password alone must not take its place.

use gx_auth::Foundation;
use gx_db::Database;
use gx_serve::{CheckResult, HealthBoard};

use super::store;

/// Adds the check. It is not critical, because sessions and other administrators are served.
pub(crate) fn watch(board: &HealthBoard, base: &Foundation) {
    let (database, has_domain) = (base.database.clone(), base.relying_party.is_some());
    board.check_with("passkeys", false, move || {
        let database = database.clone();
        Box::pin(async move {
            match has_domain {
                true => CheckResult::healthy(),
                false => check_without_domain(&database).await,
            }
        })
    });
}

async fn check_without_domain(database: &Database) -> CheckResult {
    // The database's own check reports the reason; waiting here would end in a timeout.
    if !database.health().is_ok() {
        return CheckResult::unknown("no database is usable");
    }
    match has_passkeys(database).await {
        Ok(false) => CheckResult::healthy().with_message("no administrator has a passkey"),
        Ok(true) => CheckResult::unhealthy(
            "administrators have passkeys and cannot sign in with them; set GX_WEBAUTHN_RP_ID and \
             GX_WEBAUTHN_ORIGINS as before",
        ),
        Err(error) => CheckResult::unknown(format!("the passkeys cannot be read: {error}")),
    }
}

async fn has_passkeys(database: &Database) -> Result<bool, sqlx::Error> {
    store::has_passkeys(&mut *database.pool().acquire().await?).await
}
