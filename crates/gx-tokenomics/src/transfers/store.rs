//! SQL of transfers. Called by the parent module and `live`.

use gx_db::{Named, Parsed, PgConnection, ProfileId, StoredCommandId, TxId};
use gx_model::{AccountStatus, Command, CommandId, CommandKind, CommandStatus};
use serde_json::Value;

/// A transfer with the status of its command.
pub(crate) struct TransferRow {
    pub(super) command_id: StoredCommandId,
    pub(super) profile_id: Option<ProfileId>,
    pub(super) payload: Value,
    pub(super) status: Named<CommandStatus>,
    pub(super) outcome: Option<Value>,
    pub(super) prerequisite: Option<Value>,
    pub(super) tx_id: Option<TxId>,
    pub(super) block_number: Option<i64>,
    pub(super) remark: Option<String>,
}

impl TransferRow {
    /// Reads the command. Fails if this release cannot read its payload.
    pub(super) fn command(&self) -> Result<Command, serde_json::Error> {
        Command::from_payload(CommandKind::Transfer, &self.payload)
    }
}

/// Locks the payer's row, so that other transfers of the payer wait, and returns the account's
/// status. Returns `None` if the account is locked or deleted.
///
/// Then makes a closing of the receiver's account wait until the transaction ends, or waits for
/// one. Payments do not wait for each other there, and nothing is written. A closing takes its two
/// locks in the same order.
pub(super) async fn lock_payer(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    receiver: &str,
) -> Result<Option<AccountStatus>, sqlx::Error> {
    let row = sqlx::query!(
        r#"WITH payer AS MATERIALIZED (
               SELECT status FROM "UserProfile"
               WHERE "profileId" = $1 AND NOT "isLocked" AND "deletedAt" IS NULL
               FOR NO KEY UPDATE)
           SELECT status AS "status!: Parsed<AccountStatus>",
                  pg_advisory_xact_lock_shared(hashtextextended('gx receiver ' || $2, 0))
                      IS NULL AS is_unlocked
           FROM payer"#,
        profile_id.as_str(),
        receiver,
    );
    Ok(row.fetch_optional(conn).await?.map(|row| row.status.0))
}

/// Returns whether the person is on the ledger and the owner's account, if there is one, is not
/// closed.
pub(super) async fn can_receive(
    conn: &mut PgConnection,
    fabric_user_id: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT 1 FROM "Wallet" w LEFT JOIN "UserProfile" p USING ("profileId")
               WHERE w."accountId" = $1 AND w.kind = 'USER'
                 AND (w."profileId" IS NULL
                      OR p.status <> 'CLOSED' AND p."deletedAt" IS NULL)
           ) AS "can_receive!""#,
        fabric_user_id,
    )
    .fetch_one(conn)
    .await
}

/// Stores the remark of a transfer.
pub(super) async fn add_remark(
    conn: &mut PgConnection,
    command_id: CommandId,
    remark: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"INSERT INTO "TransferRemark" ("commandId", remark) VALUES ($1, $2)"#,
        command_id.to_string(),
        remark,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns a transfer, or `None` if it does not exist.
pub(super) async fn transfer(
    conn: &mut PgConnection,
    command_id: CommandId,
) -> Result<Option<TransferRow>, sqlx::Error> {
    let found = transfers(conn, &[command_id.into()]).await?;
    Ok(found.into_iter().next())
}

/// Returns the transfers that exist, settled and archived ones included.
pub(super) async fn transfers(
    conn: &mut PgConnection,
    command_ids: &[StoredCommandId],
) -> Result<Vec<TransferRow>, sqlx::Error> {
    sqlx::query_as!(
        TransferRow,
        r#"SELECT "commandId" AS "command_id!", "profileId" AS "profile_id: ProfileId",
                  payload AS "payload!", status AS "status!: Named<CommandStatus>", outcome,
                  prerequisite, "txId" AS "tx_id: TxId", "blockNumber" AS block_number,
                  r.remark AS "remark?"
           FROM "OutboxHistory" LEFT JOIN "TransferRemark" r USING ("commandId")
           WHERE "commandId" = ANY($1) AND kind = 'TRANSFER'"#,
        command_ids as &[StoredCommandId],
    )
    .fetch_all(conn)
    .await
}
