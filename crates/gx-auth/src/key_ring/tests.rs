//! The key ring: what a ciphertext is bound to, how its file is read, and the rotation of its keys.

use gx_db::testing::TestDatabase;
use gx_serve::Entropy;
use secrecy::ExposeSecret;
use sqlx::PgConnection;

use super::rotation::{EncryptedColumn, KeyUse, RotationProgress, RotationReport, rotate};
use super::*;

const PLACE: Place<'_> = Place { table: "T", row: "r", field: "f" };
const SAMPLE: &[u8] = b"a secret of twenty b";

fn line(version: i32) -> String {
    new_line(version, &Entropy::seeded(u64::from(version.unsigned_abs())))
}

/// Returns a key ring with these versions, the first of which is current.
fn ring(versions: &[i32]) -> KeyRing {
    let lines: Vec<String> = versions.iter().copied().map(line).collect();
    KeyRing::parse(&lines.join("\n"), Entropy::seeded(7)).unwrap()
}

/// CRY-01: a ciphertext shows nothing of the value, and is decrypted only unchanged, whole, and for
/// the place that it was encrypted for.
#[test]
fn cry_01_a_changed_or_moved_value_is_not_decrypted() {
    let ring = ring(&[1]);
    let value = ring.encrypt(PLACE, SAMPLE);
    assert_eq!(ring.decrypt(PLACE, &value).unwrap().expose_secret(), SAMPLE);
    assert!(!value.bytes.windows(4).any(|part| SAMPLE.windows(4).any(|plain| plain == part)));
    assert_ne!(ring.encrypt(PLACE, SAMPLE), value, "each encryption has its own nonce");
    for at in 0..value.bytes.len() {
        let mut changed = value.clone();
        changed.bytes[at] ^= 1;
        assert_eq!(ring.decrypt(PLACE, &changed).unwrap_err(), DecryptError::Damaged, "byte {at}");
        changed.bytes.truncate(at);
        assert_eq!(ring.decrypt(PLACE, &changed).unwrap_err(), DecryptError::Damaged, "{at} bytes");
    }
    for moved in [
        Place { table: "U", ..PLACE },
        Place { row: "s", ..PLACE },
        Place { field: "g", ..PLACE },
        Place { table: "", row: "Tr", field: "f" },
    ] {
        assert_eq!(ring.decrypt(moved, &value).unwrap_err(), DecryptError::Damaged, "{moved:?}");
    }
}

/// CRY-02: values of older versions stay readable; a missing version is named, and another key
/// under the same version is noticed.
#[test]
fn cry_02_old_versions_decrypt_and_a_missing_one_is_named() {
    let old = ring(&[1]).encrypt(PLACE, SAMPLE);
    let both = ring(&[2, 1]);
    assert_eq!(both.decrypt(PLACE, &old).unwrap().expose_secret(), SAMPLE);
    let new = both.rewrap(PLACE, &old).unwrap().unwrap();
    assert_eq!((new.key_version, both.rewrap(PLACE, &new)), (2, Ok(None)));
    let only_new = ring(&[2]);
    assert_eq!(only_new.decrypt(PLACE, &new).unwrap().expose_secret(), SAMPLE);
    assert_eq!(only_new.decrypt(PLACE, &old).unwrap_err(), DecryptError::UnknownVersion(1));
    let other = KeyRing::parse(&line(9).replace("9:", "1:"), Entropy::seeded(1)).unwrap();
    assert_eq!(other.decrypt(PLACE, &old).unwrap_err(), DecryptError::Damaged);
}

/// SEC-API-02: keys of fingerprints differ by purpose, and a ring has one of each of its versions.
#[test]
fn keys_of_fingerprints_differ_by_purpose_and_version() {
    let parts = [&b"one"[..], b"two"];
    let hashes =
        |versions: &[i32], purpose| ring(versions).fingerprint_keys(purpose).hashes(&parts);
    let old = hashes(&[1], "a");
    assert_ne!(old.current(), hashes(&[1], "b").current());
    let new = hashes(&[2, 1], "a");
    assert_eq!((new.version(), new.others().collect::<Vec<_>>()), (2, vec![old.current()]));
    assert!(new.has_hash(1, old.current()));
}

/// A keyed hash depends on the key, the purpose and the boundaries of the parts, and is recognised
/// after a rotation.
#[test]
fn keyed_hashes_are_separate_for_each_purpose() {
    let old = ring(&[1]);
    let hash = old.keyed_hash("a", &[b"one", b"two"]);
    assert_eq!(old.keyed_hash("a", &[b"one", b"two"]), hash);
    for (purpose, parts) in [("b", [&b"one"[..], b"two"]), ("a", [b"onet", b"wo"])] {
        assert_ne!(old.keyed_hash(purpose, &parts).hash, hash.hash);
        assert!(!old.matches(purpose, &hash, &parts));
    }
    let new = ring(&[2, 1]);
    assert_ne!(new.keyed_hash("a", &[b"one", b"two"]).hash, hash.hash);
    assert!(new.matches("a", &hash, &[b"one", b"two"]));
    assert!(!ring(&[2]).matches("a", &hash, &[b"one", b"two"]));
}

/// CFG-02: a wrong line of the key file is named by its number, without the key.
#[test]
fn a_wrong_line_of_the_key_file_is_named_without_the_key() {
    let good = line(1);
    let short = "2:c2VjcmV0";
    for (text, expected) in [
        (String::new(), "contains no master key"),
        (format!("{good}\n\nsecret"), "line 3 of `master-keys` is not a master key: it must be"),
        (format!("{good}\n{short}"), "line 2 of `master-keys` is not a master key: the key must"),
        ("2:hunter2!".to_owned(), "the key must be base64"),
        (format!("0{good}\n0:{good}"), "the version must be a number from 1"),
        (format!("{good}\n{good}"), "an earlier line has the same version"),
    ] {
        let error = KeyRing::parse(&text, Entropy::seeded(1)).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("hunter2") && !error.contains("c2VjcmV0"), "{error}");
    }
    let spaced = format!("\n  {good}  \r\n\n{}\n", line(2));
    let ring = KeyRing::parse(&spaced, Entropy::seeded(1)).unwrap();
    assert_eq!((ring.current_version(), ring.versions()), (1, vec![1, 2]));
    let missing = KeyRingSettings { master_key_file: "no/such/file".into() };
    let error = KeyRing::read(&missing, Entropy::seeded(1)).err().unwrap().to_string();
    assert!(error.contains("no/such/file") && error.contains("GX_MASTER_KEY_FILE"), "{error}");
}

/// Adds factors of people, encrypted with the ring's current key.
async fn add_factors(conn: &mut PgConnection, ring: &KeyRing, ids: std::ops::Range<usize>) {
    let ids: Vec<String> = ids.map(|id| format!("f{id:05}")).collect();
    let encrypted = |id: &String| ring.encrypt(EncryptedColumn::TotpSecret.place(id), SAMPLE).bytes;
    let secrets: Vec<Vec<u8>> = ids.iter().map(encrypted).collect();
    sqlx::query(
        r#"INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email, "passwordHash",
               "dateOfBirth", gender, "createdAt", "updatedAt")
           SELECT id, 'A', 'B', id || '@example.com', 'x', '1990-01-01', 'female', now(), now()
           FROM unnest($1::text[]) id"#,
    )
    .bind(&ids)
    .execute(&mut *conn)
    .await
    .unwrap();
    sqlx::query(
        r#"INSERT INTO "TotpFactor" ("factorId", "profileId", secret, "secretKeyVersion",
               "createdAt")
           SELECT id, id, secret, $3, now()
           FROM unnest($1::text[], $2::bytea[]) AS given (id, secret)"#,
    )
    .bind(&ids)
    .bind(&secrets)
    .bind(ring.current_version())
    .execute(conn)
    .await
    .unwrap();
}

async fn secret_of(conn: &mut PgConnection, ring: &KeyRing, id: &str) -> Vec<u8> {
    let sql = r#"SELECT "secretKeyVersion", secret FROM "TotpFactor" WHERE "factorId" = $1"#;
    let (key_version, bytes) = sqlx::query_as(sql).bind(id).fetch_one(conn).await.unwrap();
    let value = EncryptedValue { key_version, bytes };
    let place = EncryptedColumn::TotpSecret.place(id);
    ring.decrypt(place, &value).unwrap().expose_secret().to_vec()
}

/// CRY-02: 10 000 values are re-wrapped while they are read. A rotation that is stopped continues
/// where it was, progress is told, and the old version is unused only when no value has it.
#[tokio::test]
async fn cry_02_ten_thousand_values_are_rewrapped_and_a_stopped_rotation_continues() {
    const VALUES: u64 = 10_000;
    let database = TestDatabase::create().await;
    let mut conn = database.connection().await;
    let mut reader = database.connection().await;
    add_factors(&mut conn, &ring(&[1]), 0..10_000).await;
    let both = ring(&[2, 1]);

    let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
    {
        // Dropped after the third batch, as a process that is killed.
        let stopped = rotate(&mut conn, &both, |progress| sender.send(progress).unwrap());
        let third = async {
            for _ in 0..3 {
                told.recv().await.unwrap();
            }
        };
        tokio::select! {
            biased;
            () = third => {}
            _ = stopped => panic!("the rotation was not stopped"),
        }
    }
    drop(conn);
    let mut conn = database.connection().await;
    assert_eq!(secret_of(&mut reader, &both, "f00000").await, SAMPLE);
    assert_eq!(secret_of(&mut reader, &both, "f09999").await, SAMPLE);

    let (progress, report) = rotate_while_reading(&mut conn, &mut reader, &both).await;
    let left = progress[0].of;
    assert!((1..VALUES).contains(&left), "{left} values were left");
    assert_eq!(progress.last(), Some(&RotationProgress { rewrapped: left, of: left }));
    assert_eq!((report.rewrapped, report.failures), (left, 0));
    let key = |version, is_current, values| KeyUse {
        version,
        is_current,
        is_present: true,
        values,
        answers: 0,
    };
    assert_eq!(report.keys, [key(1, false, 0), key(2, true, VALUES)]);
    assert_eq!(secret_of(&mut reader, &ring(&[2]), "f05000").await, SAMPLE);
    let again = rotate(&mut conn, &both, |_| panic!("nothing is left")).await.unwrap();
    assert_eq!(again.rewrapped, 0);
}

/// Rotates, and reads the first and the last value after each batch, before the next one begins.
/// Returns the progress and the report.
async fn rotate_while_reading(
    conn: &mut PgConnection,
    reader: &mut PgConnection,
    ring: &KeyRing,
) -> (Vec<RotationProgress>, RotationReport) {
    let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
    let rotating = rotate(conn, ring, |progress| sender.send(progress).unwrap());
    let mut rotating = std::pin::pin!(rotating);
    let mut progress = Vec::new();
    let report = loop {
        tokio::select! {
            biased;
            Some(now) = told.recv() => {
                for id in ["f00000", "f09999"] {
                    assert_eq!(secret_of(reader, ring, id).await, SAMPLE, "{id} at {now:?}");
                }
                progress.push(now);
            }
            report = &mut rotating => break report.unwrap(),
        }
    };
    while let Ok(now) = told.try_recv() {
        progress.push(now);
    }
    (progress, report)
}

/// CRY-02: a value that no key decrypts stays, is named, and holds back no other; its version does
/// not count as unused.
#[tokio::test]
async fn cry_02_a_value_that_cannot_be_decrypted_is_named_and_kept() {
    let database = TestDatabase::create().await;
    let mut conn = database.connection().await;
    add_factors(&mut conn, &ring(&[3]), 0..1).await;
    add_factors(&mut conn, &ring(&[1]), 1..3).await;
    let report = rotate(&mut conn, &ring(&[2, 1]), |_| ()).await.unwrap();
    assert_eq!((report.rewrapped, report.failures), (2, 1));
    let [failed] = &report.failed[..] else { panic!("{:?}", report.failed) };
    assert!(failed.starts_with("TotpFactor.secret of f00000: GX_MASTER_KEY_FILE has no key of"));
    let missing =
        KeyUse { version: 3, is_current: false, is_present: false, values: 1, answers: 0 };
    assert_eq!(report.keys.last(), Some(&missing));
    assert_eq!(secret_of(&mut conn, &ring(&[3]), "f00000").await, SAMPLE);
}

/// CRY-02, SEC-API-02: a key is not unused while answers of the last day were hashed with it,
/// because a repeated request would be taken for another one without the key.
#[tokio::test]
async fn cry_02_a_key_is_in_use_while_stored_answers_were_hashed_with_it() {
    let database = TestDatabase::create().await;
    let mut conn = database.connection().await;
    sqlx::query(
        r#"INSERT INTO "HttpIdempotency" (principal, route, key, fingerprint, status,
               "contentType", body, "createdAt", "expiresAt", "fingerprintKeyVersion")
           SELECT 'a', 'r', version::text, '\x00', 200, '', '', now(), now(), nullif(version, 9)
           FROM unnest(ARRAY[1, 2, 9]) AS version"#,
    )
    .execute(&mut conn)
    .await
    .unwrap();
    let both = ring(&[2, 1]);
    let uses = rotate(&mut conn, &both, |_| ()).await.unwrap().keys;
    let found: Vec<_> =
        uses.iter().map(|key| (key.version, key.answers, key.is_unused())).collect();
    assert_eq!(found, [(1, 1, false), (2, 1, false)]);
    sqlx::query(r#"DELETE FROM "HttpIdempotency" WHERE key = '1'"#)
        .execute(&mut conn)
        .await
        .unwrap();
    assert!(rotate(&mut conn, &both, |_| ()).await.unwrap().keys[0].is_unused());
}

/// CRY-02: every column with encrypted values is re-wrapped. A fingerprint is a hash.
#[tokio::test]
async fn cry_02_the_rotation_knows_every_encrypted_column_of_the_schema() {
    let database = TestDatabase::create().await;
    let found: Vec<String> = sqlx::query_scalar(
        "SELECT table_name || '.' || column_name FROM information_schema.columns
         WHERE table_schema = 'public' AND column_name LIKE '%KeyVersion'
           AND column_name <> 'fingerprintKeyVersion' ORDER BY 1",
    )
    .fetch_all(database.pool())
    .await
    .unwrap();
    let mut known: Vec<String> = EncryptedColumn::ALL
        .into_iter()
        .map(|column| {
            let Place { table, field, .. } = column.place("");
            format!("{table}.{field}KeyVersion")
        })
        .collect();
    known.sort();
    assert_eq!(found, known);
}
