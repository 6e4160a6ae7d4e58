//! What tests read from the rows themselves, and make wrong in them, because no route does that.
//! Called by the stories of `tests/it`. A row that does not exist fails the test.

use gx_model::CommandId;

use crate::World;
use crate::story::Person;

impl World {
    /// Returns the names of the events of a person's commands, in the order of the chain.
    pub async fn events_of(&self, person: &Person) -> Vec<String> {
        sqlx::query_scalar(
            r#"SELECT e."eventName" FROM "EventLog" e JOIN "OutboxCommand" c USING ("commandId")
               WHERE c."profileId" = $1 ORDER BY e."blockNumber", e."eventIndex""#,
        )
        .bind(person.profile_id.as_str())
        .fetch_all(self.database.pool())
        .await
        .unwrap()
    }

    /// Returns the number of open attempts: envelopes that no applied block contains.
    pub async fn open_attempts(&self) -> i64 {
        sqlx::query_scalar(r#"SELECT count(*) FROM "LedgerAttempt" WHERE state = 'OPEN'"#)
            .fetch_one(self.database.pool())
            .await
            .unwrap()
    }

    /// Returns the status of a command.
    pub async fn command_status(&self, id: CommandId) -> String {
        sqlx::query_scalar(r#"SELECT status FROM "OutboxCommand" WHERE "commandId" = $1"#)
            .bind(id.to_string())
            .fetch_one(self.database.pool())
            .await
            .unwrap()
    }

    /// Makes the read model show a balance, in Qirat, that the ledger does not have.
    pub async fn falsify_balance(&self, person: &Person, qirat: i64) {
        let done = sqlx::query(r#"UPDATE "Wallet" SET balance = $1 WHERE "profileId" = $2"#)
            .bind(qirat)
            .bind(person.profile_id.as_str())
            .execute(self.database.pool())
            .await
            .unwrap();
        assert_eq!(done.rows_affected(), 1, "the person has a wallet");
    }
}
