//! A stalled database: one kind of statement fails for a while, as with a server that has no memory
//! or disk space left, shuts down, or holds a lock for too long. `storms` draws a stall, and a run
//! begins and ends it.

use std::fmt;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// A kind of statement and how it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DatabaseStall {
    what: Statement,
    how: &'static str,
}

/// A kind of statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Statement {
    table: &'static str,
    /// `INSERT` or `UPDATE`.
    verb: &'static str,
    /// Whether the statement succeeds and the commit fails.
    at_commit: bool,
}

/// Returns a statement that fails by itself, and not at the commit.
const fn at_once(table: &'static str, verb: &'static str) -> Statement {
    Statement { table, verb, at_commit: false }
}

/// Statements of the workers. No service executes any of them in a request that must succeed.
const STATEMENTS: [Statement; 8] = [
    at_once("LedgerAttempt", "INSERT"),
    at_once("LedgerAttempt", "UPDATE"),
    at_once("OutboxTry", "INSERT"),
    at_once("OutboxCommand", "UPDATE"),
    at_once("EventLog", "INSERT"),
    at_once("ProjectorState", "UPDATE"),
    Statement { table: "LedgerAttempt", verb: "INSERT", at_commit: true },
    Statement { table: "EventLog", verb: "INSERT", at_commit: true },
];
/// Ends the session instead of raising an error.
const SESSION: &str = "session";
/// SQLSTATEs of the classes 08, 40, 53, 55 and 57, which are the server's fault and not the data's.
const CODES: [&str; 10] =
    ["08006", "40001", "40P01", "53100", "53200", "53300", "55P03", "57014", "57P03", SESSION];

impl DatabaseStall {
    /// Draws a kind of statement and how it fails.
    pub(crate) fn draw(rng: &mut StdRng) -> Self {
        let what = *STATEMENTS.choose(rng).expect("there are some");
        Self { what, how: CODES.choose(rng).expect("there are some") }
    }

    /// Makes these statements fail from now on.
    pub(crate) async fn begin(self, conn: &mut PgConnection) {
        let Self { what: Statement { table, verb, at_commit }, how } = self;
        let kind = if at_commit { "CONSTRAINT TRIGGER" } else { "TRIGGER" };
        let moment = if at_commit { "AFTER" } else { "BEFORE" };
        let each = if at_commit {
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
        } else {
            "FOR EACH STATEMENT"
        };
        let sql = format!(
            r#"CREATE SCHEMA IF NOT EXISTS sim;
               CREATE OR REPLACE FUNCTION sim.stall() RETURNS trigger LANGUAGE plpgsql AS $$
               BEGIN
                   IF TG_ARGV[0] = '{SESSION}' THEN
                       PERFORM pg_terminate_backend(pg_backend_pid());
                       PERFORM pg_sleep(60);
                   END IF;
                   RAISE EXCEPTION 'simulated' USING ERRCODE = TG_ARGV[0];
               END $$;
               CREATE {kind} sim_stall_{verb} {moment} {verb} ON public."{table}" {each}
               EXECUTE FUNCTION sim.stall('{how}');
               -- The services compare the schema whenever they connect.
               SET LOCAL allow_system_table_mods = on;
               UPDATE pg_trigger SET tgisinternal = true WHERE tgname LIKE 'sim\_stall%';"#
        );
        let mut tx = conn.begin().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Makes all statements work again.
    pub(crate) async fn end_all(conn: &mut PgConnection) {
        let sql = "SET client_min_messages = warning; DROP FUNCTION IF EXISTS sim.stall() CASCADE;
                   RESET client_min_messages;";
        sqlx::raw_sql(sql).execute(conn).await.unwrap();
    }
}

impl fmt::Display for DatabaseStall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what: Statement { table, verb, at_commit }, how } = self;
        let moment = if *at_commit { " at the commit" } else { "" };
        write!(f, "{verb} of {table} fails{moment} with {how}")
    }
}
