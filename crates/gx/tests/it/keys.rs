//! The master keys: their file in a stack's folder, and `gx keys rotate`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use gx_auth::key_ring::new_line;
use gx_auth::key_ring::rotation::EncryptedColumn;
use gx_auth::testing::totp_code;
use gx_auth::{KeyRing, KeyRingSettings};
use gx_model::Clock;
use gx_serve::Entropy;
use gx_testkit::http::{Reply, request, send};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use crate::roles::migrated_server;
use crate::stack::{Stack, address};

fn rotate(url: &str, keys: &Path, format: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gx"));
    command.args(["keys", "rotate", format].iter().filter(|arg| !arg.is_empty()));
    command.env("DATABASE_URL", url).env("GX_MASTER_KEY_FILE", keys).output().unwrap()
}

async fn add_factor(sql: &mut PgConnection, ring: &KeyRing) {
    let secret = ring.encrypt(EncryptedColumn::TotpSecret.place("f"), b"a secret of twenty b");
    sqlx::query(
        r#"INSERT INTO "AdminUser" ("adminId", email, "displayName", role, "passwordHash",
               "createdAt", "updatedAt")
           VALUES ('a', 'a@gxtest.com', 'A', 'AUDITOR', 'none', now(), now())"#,
    )
    .execute(&mut *sql)
    .await
    .unwrap();
    sqlx::query(
        r#"INSERT INTO "TotpFactor" ("factorId", "adminId", secret, "secretKeyVersion", "createdAt")
           VALUES ('f', 'a', $1, $2, now())"#,
    )
    .bind(secret.bytes)
    .bind(secret.key_version)
    .execute(sql)
    .await
    .unwrap();
}

/// CRY-02: the command encrypts stored secrets with the first key of the file, tells its progress,
/// and says that the old version is unused; without the old key it names the value and fails.
#[tokio::test(flavor = "multi_thread")]
async fn cry_02_the_command_rotates_and_says_that_the_old_version_is_unused() {
    let server = migrated_server().await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, versions: &[i32]| {
        let line =
            |version: &i32| new_line(*version, &Entropy::seeded(version.unsigned_abs().into()));
        let path = folder.path().join(name);
        std::fs::write(&path, versions.iter().map(line).collect::<Vec<_>>().join("\n")).unwrap();
        path
    };
    let old = KeyRingSettings { master_key_file: file("old", &[1]) };
    let mut sql = PgConnection::connect(&server.url()).await.unwrap();
    add_factor(&mut sql, &KeyRing::read(&old, Entropy::system()).unwrap()).await;

    let without = rotate(&server.url(), &file("new", &[2]), "");
    let said = String::from_utf8(without.stderr).unwrap();
    assert_eq!(without.status.code(), Some(1), "{said}");
    assert!(said.contains("TotpFactor.secret of f: GX_MASTER_KEY_FILE has no key of version 1"));
    let both = file("both", &[2, 1]);
    let rotated = rotate(&server.url(), &both, "");
    let (printed, said) =
        (String::from_utf8(rotated.stdout).unwrap(), String::from_utf8(rotated.stderr).unwrap());
    assert!(rotated.status.success() && said.contains("1 of 1 values"), "{said}");
    assert!(printed.contains("version 1 is unused: if every process"), "{printed}");
    let again = rotate(&server.url(), &both, "--json");
    let key = |version: i32, is_current: bool, values: i32| {
        json!({ "version": version, "isCurrent": is_current, "values": values, "answers": 0,
                "isUnused": !is_current })
    };
    let expected =
        json!({ "values": 0, "keys": [key(1, false, 0), key(2, true, 1)], "failed": [] });
    assert_eq!(serde_json::from_slice::<Value>(&again.stdout).unwrap(), expected);
    let after: Value =
        sqlx::query_scalar(r#"SELECT after FROM "AuditEntry" WHERE action = 'keys.rotated'"#)
            .fetch_one(&mut sql)
            .await
            .unwrap();
    assert_eq!(after, json!({ "version": 2, "values": 1 }));
}

/// CFG-02: no service starts without master keys, and the report names the setting.
#[test]
fn cfg_02_no_service_starts_without_master_keys() {
    for service in ["svc-identity", "svc-tokenomics", "svc-admin"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gx"));
        let output = command.arg(service).env_clear().output().unwrap();
        let report = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{report}");
        assert!(report.contains("GX_MASTER_KEY_FILE: is required and not set"), "{report}");
    }
}

/// AUTHN-13: the first start of a stack makes a master key that only its owner can read; the `env`
/// file leads commands to it; and a factor that was enrolled before a restart works after it.
#[tokio::test(flavor = "multi_thread")]
async fn authn_13_a_factor_survives_a_restart_of_the_stack() {
    let mut stack = Stack::start().await;
    let keys = stack.env("GX_MASTER_KEY_FILE");
    let mode = std::fs::metadata(&keys).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let rotated = rotate(&stack.env("DATABASE_URL"), Path::new(&keys), "--json");
    assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));

    let token = stack.admin_token().await;
    let admin = address(&stack.env("GX_ADMIN_URL"));
    let post = async |path: &str, token: Option<&str>, body: Value| -> Reply {
        let path = format!("/api/v1/admin/{path}");
        send(admin, request(http::Method::POST, &path, token, Some(&body))).await.unwrap()
    };
    let password = stack.env("GX_ADMIN_PASSWORD");
    let new = post("me/totp", Some(&token), json!({ "password": password })).await;
    let secret = new.json["secret"].as_str().unwrap().to_owned();
    let code =
        |ahead_s: i64| totp_code(&secret, Clock::system().now() + time::Duration::seconds(ahead_s));
    let confirmed = post("me/totp/confirm", Some(&token), json!({ "code": code(0) })).await;
    assert_eq!(confirmed.status, 200);
    stack.interrupt().await;
    stack.run().await;
    assert_eq!(stack.env("GX_MASTER_KEY_FILE"), keys);
    let log_in = json!({ "email": stack.env("GX_ADMIN_EMAIL"), "password": password });
    let asked = post("auth/login", None, log_in.clone()).await;
    assert_eq!(asked.expect(401).str("/code"), "second_factor_required");
    // The code of the next step is accepted ahead of its time.
    let mut with_code = log_in;
    with_code["totp"] = code(30).into();
    assert_eq!(post("auth/login", None, with_code).await.status, 200);
}
