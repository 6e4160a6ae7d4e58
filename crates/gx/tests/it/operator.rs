//! The commands of operators, through the built binary.

use std::process::{Command, Output};

use gx_model::CommandId;
use gx_testkit::eventually;
use serde_json::Value;

use crate::journey::wait_for_grant;
use crate::stack::{BOUND, Stack};

fn gx(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gx")).args(args).env_remove("DATABASE_URL").output().unwrap()
}

/// Returns the JSON on the standard output of a command that succeeded.
fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

const SARAH: [&str; 6] = [
    "--email=sarah.johnson@gxtest.com",
    "--birth-date=1992-08-20",
    "--country=MY",
    "--gender=female",
    "--account-type=0",
    "--json",
];

/// FAB-14: a generated id has the published parts, can be decoded and verified, and does not match
/// another e-mail address.
#[test]
fn an_id_is_generated_decoded_and_verified() {
    let generated = json(&gx(&[&["id", "generate"], &SARAH[..]].concat()));
    let id = generated["fabricUserId"].as_str().unwrap();
    assert!(id.starts_with("MY 463 AUN834 0"), "{id}");

    let decoded = json(&gx(&["id", "decode", id, "--json"]));
    assert_eq!(decoded["birthDate"], "1992-08-20");
    assert_eq!(decoded["gender"], "female");

    let facts = ["--birth-date=1992-08-20", "--country=MY"];
    let verify = |email: &str| gx(&[&["id", "verify", id, email], &facts[..]].concat());
    assert!(verify("--email=Sarah.Johnson@gxtest.com").status.success(), "case does not matter");
    assert_eq!(verify("--email=another@gxtest.com").status.code(), Some(1));
}

/// FAB-14: a malformed id is refused with the reason.
#[test]
fn a_malformed_id_is_refused() {
    let refused = gx(&["id", "decode", "MY 463 AUN834 0QKZB 58211"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(!refused.stderr.is_empty());
}

/// Variables that begin with `GX_` and are not settings do not prevent a start.
#[test]
fn variables_of_a_build_or_a_stack_are_accepted() {
    let decode = ["id", "decode", "MY 463 AUN834 0QKZB 5821"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_gx"));
    command.args(decode).env("GX_BUILD_COMMIT", "a1b2c3").env("GX_ADMIN_PASSWORD", "exported");
    assert!(command.status().unwrap().success());
}

/// After an approval, the commands of operators show the state of a running stack.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_commands_projection_and_schema() {
    let stack = Stack::start().await;
    let gx_services = stack.gx();
    let person = gx_services.register(1).await;
    gx_services.submit(&person).await;
    gx_services.approve(&stack.admin_token().await, &person).await.expect(200);
    wait_for_grant(&gx_services, &person).await;

    let url = stack.env("DATABASE_URL");
    let ask = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gx"));
        json(&command.args(args).arg("--json").env("DATABASE_URL", &url).output().unwrap())
    };
    let commands = ask(&["outbox", "list"]);
    let committed = |kind: &str| {
        commands.as_array().unwrap().iter().any(|command| {
            command["kind"] == kind
                && command["status"] == "COMMITTED"
                && command["txId"].is_string()
        })
    };
    assert!(committed("CREATE_USER") && committed("DISTRIBUTE_GENESIS"), "{commands}");
    assert_eq!(ask(&["outbox", "list", "--status", "PENDING"]), serde_json::json!([]));

    let projection = ask(&["projection", "status"]);
    assert_eq!(projection["lagBlocks"], 0, "{projection}");
    compared_and_rebuilt(&stack).await;
    assert_eq!(ask(&["db", "check"])["instances"][0]["verdict"], "ok");
    let rows: i64 = sqlx::query_scalar(r#"SELECT count(*) FROM "AuditEntry""#)
        .fetch_one(&mut stack.sql().await)
        .await
        .unwrap();
    assert_eq!(ask(&["audit", "verify"])["rows"], rows);
    assert_eq!(ask(&["db", "migrate"])["applied"], serde_json::json!([]), "nothing is pending");
}

/// G3, G4: while the stack runs, the read model is verified and rebuilt; a row that was changed by
/// hand is printed, makes the command fail, and is corrected by a rebuild.
async fn compared_and_rebuilt(stack: &Stack) {
    let (url, profile) =
        (stack.env("DATABASE_URL"), stack.data_dir().join("ledger/connection-profile.yaml"));
    let projection = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gx"));
        command.arg("projection").args(args).arg("--json").env("DATABASE_URL", &url);
        command.arg("--fabric").arg(&profile).args(["--environment", "development"]);
        command.output().unwrap()
    };
    let verified = json(&projection(&["verify"]));
    assert_eq!((&verified["people"], &verified["differences"]), (&1.into(), &0.into()));
    assert_eq!(verified["supply"], 1_250_000_000_000_000_000_i64);

    let more = r#"UPDATE "Wallet" SET balance = balance + 1 WHERE kind = 'USER'"#;
    sqlx::query(more).execute(&mut stack.sql().await).await.unwrap();
    let printed = |output: &Output| serde_json::from_slice::<Value>(&output.stdout).unwrap();
    let wrong = projection(&["verify"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert_eq!(printed(&wrong)["found"][0]["facts"][0]["fact"], "Wallet.balance");
    let dry = projection(&["rebuild", "--dry-run"]);
    assert_eq!(dry.status.code(), Some(1));
    assert_eq!(printed(&dry)["switched"], false);
    assert_eq!(json(&projection(&["rebuild"]))["rows"][0]["table"], "Wallet");
    assert_eq!(json(&projection(&["verify"]))["differences"], 0);
}

/// An administrator is created with a role and can log in; the password is read from standard
/// input.
#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_is_created_and_can_log_in() {
    use std::io::Write as _;
    let stack = Stack::start().await;
    let mut create = Command::new(env!("CARGO_BIN_EXE_gx"))
        .args([
            "admin",
            "create",
            "--email",
            "rita@gx.example",
            "--name",
            "Rita",
            "--role",
            "REVIEWER",
        ])
        .env("DATABASE_URL", stack.env("DATABASE_URL"))
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    create.stdin.take().unwrap().write_all(b"a long enough passphrase\n").unwrap();
    assert!(create.wait().unwrap().success());
    stack.gx().log_in_admin("rita@gx.example", "a long enough passphrase").await;
}

/// G9: an operator lists a dead command with its error, retries it until it is committed, discards
/// another one, and replays dead events, which the projector reports. Each decision is in the audit
/// log, and the reason of one is erased.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_decides_on_dead_commands_and_events() {
    let stack = Stack::start().await;
    let url = stack.env("DATABASE_URL");
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gx"));
        command.args(args).arg("--json").env("DATABASE_URL", &url).output().unwrap()
    };
    let mut conn = stack.sql().await;
    let retried = dead_command(&mut conn, "PAUSE_SYSTEM", r#"{"reasonCode": "DRILL"}"#).await;
    let withdrawn = dead_command(&mut conn, "RESUME_SYSTEM", "{}").await;
    let listed = json(&run(&["outbox", "list", "--status", "DEAD", "--kind", "PAUSE_SYSTEM"]));
    assert_eq!(listed[0]["commandId"], retried, "{listed}");
    assert_eq!(json(&run(&["outbox", "show", &retried]))["lastError"], "the peer said no");
    assert!(!run(&["outbox", "retry", &retried, "--reason", " "]).status.success());
    json(&run(&["outbox", "discard", &withdrawn, "--reason", "not wanted any more"]));
    json(&run(&["outbox", "retry", &retried, "--reason", "the peer is back"]));
    for (id, status) in [(&retried, "COMMITTED"), (&withdrawn, "DISCARDED")] {
        eventually(status, BOUND, async || {
            (json(&run(&["outbox", "show", id]))["status"] == status).then_some(())
        })
        .await;
    }

    sqlx::query(
        r#"INSERT INTO "EventDLQ" (channel, "blockNumber", "txId", "eventIndex", "commandId",
               "txIndex", "eventName", aggregates, reason, payload, "ledgerAt", "createdAt")
           VALUES ('gxchannel', 1, 'tx', 7, 'c', 0, 'MoneyPrinted', '{a}', 'unknown',
                   '{"name": "MoneyPrinted", "version": 1, "aggregates": ["a"], "data": {}}',
                   now(), now())"#,
    )
    .execute(&mut conn)
    .await
    .unwrap();
    let held = json(&run(&["projection", "dead", "list", "--state", "held"]));
    assert_eq!(held[0]["eventName"], "MoneyPrinted", "{held}");
    let replayed = run(&["projection", "dead", "replay", "--reason", "to see why"]);
    assert_eq!(replayed.status.code(), Some(1), "it is still held");
    let report: Value = serde_json::from_slice(&replayed.stdout).unwrap();
    let why = report["report"]["stillHeld"][0]["reason"].as_str().unwrap();
    assert_eq!(why, "no event MoneyPrinted of version 1 is known");

    let audited: Vec<String> = sqlx::query_scalar(
        r#"SELECT action FROM "AuditEntry" WHERE "actorType" = 'SYSTEM' AND "actorId" <> 'gx dev'
           ORDER BY seq"#,
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    let expected = ["command.discarded", "command.retried", "dead_events.replay_asked"];
    assert_eq!(audited, expected);

    // LOG-03: the reasons can be erased with their copies, once, and the log stays verified.
    let give_up = || json(&run(&["outbox", "show", &withdrawn]))["giveUp"].clone();
    assert_eq!(give_up()["reason"], "not wanted any more");
    assert!(!run(&["audit", "erase", "--reason", "asked for"]).status.success());
    let erase = ["audit", "erase", "--about", &withdrawn, "--reason", "asked for"];
    let erased = json(&run(&erase));
    assert_eq!(erased["texts"][0]["field"], "reason", "{erased}");
    assert_eq!(give_up(), serde_json::json!({ "to": "DISCARDED", "by": "gx outbox discard" }));
    let again = run(&erase);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("there is no text to erase"));
    let position = json(&run(&["audit", "position"]))["number"].as_i64().unwrap();
    assert!(json(&run(&["audit", "verify"]))["lastBatch"]["number"].as_i64().unwrap() >= position);
    let left: Vec<String> =
        sqlx::query_scalar(r#"SELECT text FROM "AuditText" WHERE text IS NOT NULL ORDER BY seq"#)
            .fetch_all(&mut conn)
            .await
            .unwrap();
    assert_eq!(left, ["the peer is back", "to see why", "asked for"]);
    a_failing_table_is_named(&mut conn, run).await;
}

/// DB-09: `gx retention run` next to the sweeper of the stack goes on with other tables if one
/// fails, names it and exits with 1; afterwards it succeeds.
async fn a_failing_table_is_named(
    conn: &mut sqlx::PgConnection,
    run: impl Fn(&[&str]) -> std::process::Output,
) {
    let arguments = ["retention", "run", "--database-lock-timeout-ms=1000"];
    sqlx::raw_sql(r#"BEGIN; LOCK TABLE "UserSession" IN SHARE MODE"#)
        .execute(&mut *conn)
        .await
        .unwrap();
    let failed = run(&arguments);
    sqlx::raw_sql("ROLLBACK").execute(conn).await.unwrap();
    assert_eq!(failed.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&failed.stderr);
    assert!(stderr.contains("1 tables failed (UserSession: "), "{stderr}");
    let tables: Value = serde_json::from_slice(&failed.stdout).unwrap();
    let failed: Vec<bool> =
        tables.as_array().unwrap().iter().map(|one| one["isFailed"] == true).collect();
    let expected: Vec<bool> = (0..11).map(|table| table == 1).collect();
    assert_eq!(failed, expected);
    json(&run(&arguments));
}

/// Adds a command that was given up before it was sent, and returns its id.
async fn dead_command(conn: &mut sqlx::PgConnection, kind: &str, payload: &str) -> String {
    let id = CommandId::derive(&["operator", kind]).to_string();
    sqlx::query(
        r#"INSERT INTO "OutboxCommand" ("commandId", kind, payload, "signerRole", "aggregateKey",
               lane, touches, "requestedBy", status, "nextAttemptAt", "lastError", "createdAt",
               "updatedAt")
           VALUES ($1, $2, $3::jsonb, 'SUPER_ADMIN', $2, 0, '{}', 'test', 'DEAD', now(),
                   'the peer said no', now(), now())"#,
    )
    .bind(&id)
    .bind(kind)
    .bind(payload)
    .execute(conn)
    .await
    .unwrap();
    id
}
