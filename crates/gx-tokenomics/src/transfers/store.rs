//! SQL of transfers.

use gx_db::PgConnection;
use gx_model::{Command, CommandKind};
use serde_json::Value;

/// A transfer on its way or at its end.
pub(crate) struct TransferRow {
    pub(super) command_id: String,
    pub(super) profile_id: Option<String>,
    pub(super) payload: Value,
    pub(super) status: String,
    pub(super) outcome: Option<Value>,
    pub(super) prerequisite: Option<Value>,
    pub(super) tx_id: Option<String>,
    pub(super) block_number: Option<i64>,
    pub(super) remark: Option<String>,
}

impl TransferRow {
    pub(super) fn command(&self) -> Result<Command, serde_json::Error> {
        Command::from_payload(CommandKind::Transfer, &self.payload)
    }
}

/// The payer's account status, under the row's lock: other transfers of the payer wait.
pub(super) async fn lock_payer(
    conn: &mut PgConnection,
    profile_id: &str,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT status FROM "UserProfile"
           WHERE "profileId" = $1 AND NOT "isLocked" AND "deletedAt" IS NULL
           FOR NO KEY UPDATE"#,
        profile_id,
    )
    .fetch_optional(conn)
    .await
}

/// Whether the ledger knows the person and the account is not closed.
pub(super) async fn can_receive(
    conn: &mut PgConnection,
    fabric_user_id: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT 1 FROM "Wallet" w JOIN "UserProfile" p USING ("profileId")
               WHERE w."accountId" = $1 AND p.status <> 'CLOSED' AND p."deletedAt" IS NULL
           ) AS "can_receive!""#,
        fabric_user_id,
    )
    .fetch_one(conn)
    .await
}

pub(super) async fn add_remark(
    conn: &mut PgConnection,
    command_id: &str,
    remark: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"INSERT INTO "TransferRemark" ("commandId", remark) VALUES ($1, $2)"#,
        command_id,
        remark,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn transfer(
    conn: &mut PgConnection,
    command_id: &str,
) -> Result<Option<TransferRow>, sqlx::Error> {
    let found = transfers(conn, &[command_id.to_owned()]).await?;
    Ok(found.into_iter().next())
}

/// Those of the transfers that there are, finished long ago or not.
pub(super) async fn transfers(
    conn: &mut PgConnection,
    command_ids: &[String],
) -> Result<Vec<TransferRow>, sqlx::Error> {
    sqlx::query_as!(
        TransferRow,
        r#"SELECT "commandId" AS "command_id!", "profileId" AS profile_id,
                  payload AS "payload!", status AS "status!", outcome, prerequisite,
                  "txId" AS tx_id, "blockNumber" AS block_number, r.remark AS "remark?"
           FROM "OutboxHistory" LEFT JOIN "TransferRemark" r USING ("commandId")
           WHERE "commandId" = ANY($1) AND kind = 'TRANSFER'"#,
        command_ids,
    )
    .fetch_all(conn)
    .await
}
