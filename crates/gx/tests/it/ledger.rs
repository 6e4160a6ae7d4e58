//! Settings of the ledger: which ones are refused at the start, which failures are waited for, and
//! how both are shown.

use std::path::Path;
use std::process::{Command, Output};

use gx_devnet::IdentityRequest;
use gx_model::SignerRole;
use gx_testkit::eventually;
use serde_json::Value;
use time::macros::datetime;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::role::{Ledger, Role, free_address};
use crate::roles::{bootstrap, migrated_server};
use crate::stack::{BOUND, get};

/// A database that is never asked: these starts end before.
const NO_DATABASE: &str = "postgres://gx@127.0.0.1:1/gx";

/// Settings that replace those of the ledger.
type Changes<'a> = &'a [(&'a str, &'a str)];

/// Runs `gx` with these settings until it ends.
fn gx(arguments: &[&str], settings: &[(String, String)], changes: Changes<'_>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gx"));
    command
        .args(arguments)
        .env_clear()
        .env("GX_ENV", "development")
        .env("DATABASE_URL", NO_DATABASE)
        .env("GX_LISTEN", free_address().to_string())
        .envs(settings.iter().cloned())
        .envs(changes.iter().copied());
    command.output().unwrap()
}

/// Starts a worker with wrong settings and returns its standard error.
fn refusal(ledger: &Ledger, changes: Changes<'_>) -> String {
    let output = gx(&["outbox-submitter"], &ledger.env(), changes);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

fn write(folder: &Path, name: &str, content: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path.display().to_string()
}

/// FAB-01, FAB-02, FAB-04, FAB-15: a worker does not start with credentials, authorities or names
/// that cannot work: it prints the setting, and logs the same class.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_refuses_settings_that_cannot_work() {
    let (ledger, other) = (Ledger::start().await, Ledger::start().await);
    let folder = tempfile::tempdir().unwrap();
    let other_root = write(folder.path(), "other-root.pem", &other.devnet().tls_root_pem());
    let stranger = other.devnet().identity(SignerRole::Admin);
    let old_cert = write(folder.path(), "old-cert.pem", &stranger.certificate_pem);
    let old_key = write(folder.path(), "old-key.pem", &stranger.private_key_pem);
    let expired = ledger.devnet().issue_identity(&IdentityRequest {
        common_name: "late".to_owned(),
        unit: "client".to_owned(),
        gxc_role: Some("gx_admin".to_owned()),
        not_after: datetime!(2020-01-01 00:00 UTC),
    });
    let expired = expired.unwrap();
    let late_cert = write(folder.path(), "late-cert.pem", &expired.certificate_pem);
    let late_key = write(folder.path(), "late-key.pem", &expired.private_key_pem);

    let signer = ledger.devnet().identity(SignerRole::Admin);
    let both = format!("{}{}", signer.certificate_pem, signer.private_key_pem);
    let both = write(folder.path(), "both.pem", &both);

    let cases: [(&str, &str, Changes<'_>); 10] = [
        ("file_missing", "FABRIC_KEY_PATH", &[("FABRIC_KEY_PATH", "/nonexistent")]),
        ("key_mismatch", "FABRIC_KEY_PATH", &[("FABRIC_KEY_PATH", &old_key)]),
        (
            "certificate_holds_key",
            "FABRIC_CERT_PATH",
            &[("FABRIC_CERT_PATH", &both), ("FABRIC_KEY_PATH", &both)],
        ),
        (
            "certificate_holds_key",
            "FABRIC_PEER_TLS_CA_CERT_PATH",
            &[("FABRIC_PEER_TLS_CA_CERT_PATH", &both)],
        ),
        (
            "certificate_expired",
            "FABRIC_CERT_PATH",
            &[("FABRIC_CERT_PATH", &late_cert), ("FABRIC_KEY_PATH", &late_key)],
        ),
        (
            "denied",
            "FABRIC_CERT_PATH",
            &[("FABRIC_CERT_PATH", &old_cert), ("FABRIC_KEY_PATH", &old_key)],
        ),
        ("untrusted_issuer", "localhost:", &[("FABRIC_PEER_TLS_CA_CERT_PATH", &other_root)]),
        ("certificate_name", "localhost:", &[("FABRIC_TLS_SERVER_NAME_OVERRIDE", "peer.example")]),
        ("unknown_identity", "FABRIC_CERT_PATH", &[("FABRIC_MSP_ID", "OtherMSP")]),
        ("no_channel", "localhost:", &[("FABRIC_CHANNEL_NAME", "otherchannel")]),
    ];
    for (class, place, changes) in cases {
        let said = refusal(&ledger, changes);
        let sentence = said.lines().find(|line| line.trim_start().starts_with(class));
        let sentence = sentence.unwrap_or_else(|| panic!("{class} is not named in:\n{said}"));
        assert!(sentence.contains(place), "{place} is not named in: {sentence}");
        assert!(said.contains(&format!("\"finding\":\"{class}\"")), "not logged:\n{said}");
    }
    let nothing = gx(&["projector"], &[], &[]);
    let said = String::from_utf8(nothing.stderr).unwrap();
    assert!(said.contains("FABRIC_MSP_ID: is required and not set"), "{said}");
    assert!(said.contains("GX_FABRIC_PROFILE"), "{said}");
}

/// FAB-15: `gx fabric check` and `gx chaincode package` name the certificate file that holds a
/// key, and the package is not written.
#[tokio::test(flavor = "multi_thread")]
async fn fab_15_a_certificate_file_with_a_key_is_named_by_every_command() {
    let ledger = Ledger::start().await;
    let folder = tempfile::tempdir().unwrap();
    let signer = ledger.devnet().identity(SignerRole::Admin);
    let both = format!("{}{}", signer.private_key_pem, signer.certificate_pem);
    let both = write(folder.path(), "both.pem", &both);
    let certificate = write(folder.path(), "certificate.pem", &signer.certificate_pem);

    let changes = [("FABRIC_CERT_PATH", both.as_str()), ("FABRIC_KEY_PATH", &both)];
    let checked = gx(&["fabric", "check"], &ledger.env(), &changes);
    let said = String::from_utf8(checked.stderr).unwrap();
    assert!(!checked.status.success(), "{said}");
    let place = format!("certificate_holds_key, FABRIC_CERT_PATH ({both})");
    assert!(said.contains(&place), "{said}");

    let output = folder.path().join("package.tar.gz").display().to_string();
    let package = ["chaincode", "package", "--address", "a:1", "--output", &output];
    for (root, client) in [(&both, &certificate), (&certificate, &both)] {
        let tls = ["--root-cert", root, "--client-cert", client, "--client-key", &both];
        let packed = gx(&[&package[..], &tls[..]].concat(), &[], &[]);
        let said = String::from_utf8(packed.stderr).unwrap();
        assert!(!packed.status.success(), "{said}");
        assert!(said.contains(&format!("`{both}`: ")) && said.contains("private key"), "{said}");
        assert!(!std::path::Path::new(&output).exists(), "nothing was written");
    }
}

/// CFG-04: the ledger of `gx dev` is refused in production.
#[tokio::test(flavor = "multi_thread")]
async fn cfg_04_a_development_ledger_is_refused_in_production() {
    let ledger = Ledger::start().await;
    let said = refusal(&ledger, &[("GX_ENV", "production")]);
    assert!(said.contains("development_identity, FABRIC_CERT_PATH"), "{said}");
    let port = ledger.devnet().endpoint().rsplit_once(':').unwrap().1.to_owned();
    let literal = format!("127.0.0.1:{port}");
    let check = |changes: Changes<'_>| {
        let output = gx(&["fabric", "check"], &ledger.env(), changes);
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    assert!(check(&[]).0, "in development all is well");
    assert!(check(&[("FABRIC_PEER_ENDPOINT", &literal)]).0, "an address too");
    let (passed, said) = check(&[("GX_ENV", "production")]);
    assert!(!passed && said.contains("development_identity, FABRIC_CERT_PATH"), "{said}");
}

/// A connection profile without other settings is enough for a worker and for the check; a wrong
/// one is refused, and the error names each wrong field.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_profile_leads_to_the_ledger() {
    let (server, ledger) = (migrated_server().await, Ledger::start().await);
    let folder = tempfile::tempdir().unwrap();
    let env = ledger.env();
    let of = |name: &str| env.iter().find(|(known, _)| known == name).unwrap().1.clone();
    let profile = format!(
        "client: {{organization: Ours}}
organizations: {{Ours: {{mspid: {msp}, peers: [one]}}}}
peers:
  one: {{url: 'grpcs://{endpoint}', tlsCACerts: {{path: {root}}}}}
x-gx:
  signers:
    admin: {{certificate: {{path: {cert}}}, privateKey: {{path: {key}}}}}
  timeouts: {{connectMs: 2000}}
",
        msp = of("FABRIC_MSP_ID"),
        endpoint = of("FABRIC_PEER_ENDPOINT"),
        root = of("FABRIC_PEER_TLS_CA_CERT_PATH"),
        cert = of("FABRIC_CERT_PATH"),
        key = of("FABRIC_KEY_PATH"),
    );
    let path = write(folder.path(), "profile.yaml", &profile);
    let settings = [("GX_FABRIC_PROFILE".to_owned(), path.clone())];
    let projector = Role::start("projector", &server.url(), &settings);
    projector.wait_for_readyz(200).await;

    let checked = gx(&["fabric", "check", "--json"], &settings, &[]);
    let answer: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert!(checked.status.success(), "{answer}");
    assert_eq!(
        (&answer["channel"], &answer["peers"][0]["height"]),
        (&"gxchannel".into(), &1.into())
    );
    let codes = answer["findings"].as_array().unwrap().iter().map(|finding| &finding["code"]);
    assert_eq!(codes.collect::<Vec<_>>(), ["role_missing"], "only the super admin, as a warning");

    // The variables replace the values of the profile.
    let elsewhere = [("FABRIC_PEER_ENDPOINT", "localhost:1")];
    let checked = gx(&["fabric", "check", "--json"], &settings, &elsewhere);
    let answer: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(
        (checked.status.success(), &answer["peers"][0]["class"]),
        (false, &"refused".into())
    );

    let path = write(folder.path(), "wrong.yaml", &profile.replace("grpcs", "grpc"));
    let wrong = gx(&["projector"], &[("GX_FABRIC_PROFILE".to_owned(), path)], &[]);
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(said.contains("peers.one.url: must begin with grpcs://"), "{said}");
    let example = gx(&["fabric", "profile", "--example"], &[], &[]);
    assert!(String::from_utf8(example.stdout).unwrap().contains("x-gx:"));
}

/// The connection profiles that a development ledger writes have the peers of both organisations,
/// whose states the projector compares.
#[tokio::test(flavor = "multi_thread")]
async fn a_development_ledgers_own_profile_leads_to_both_organisations() {
    let (server, ledger) = (migrated_server().await, Ledger::start().await);
    for own in ["connection-profile.yaml", "connection-profile.json"] {
        let own = ledger.folder().join(own).display().to_string();
        let checked = gx(&["fabric", "check", "--json", "--fabric", &own], &[], &[]);
        let answer: Value = serde_json::from_slice(&checked.stdout).unwrap();
        assert!(checked.status.success(), "{answer}");
        assert_eq!(answer["findings"].as_array().map(Vec::len), Some(0), "{answer}");
        assert_eq!(answer["peers"].as_array().map(Vec::len), Some(2), "{answer}");
    }

    let own = ledger.folder().join("connection-profile.yaml").display().to_string();
    let often = ("GX_COMMIT_HASH_INTERVAL_MS".to_owned(), "100".to_owned());
    let settings_of_own = [("GX_FABRIC_PROFILE".to_owned(), own), often];
    let projector = Role::start("projector", &server.url(), &settings_of_own);
    projector.wait_for_readyz(200).await;
    let _submitter = Role::start("outbox-submitter", &server.url(), &settings_of_own);
    bootstrap(&server).await;
    eventually("states are compared with the other organisation", BOUND, async || {
        let health = get(projector.address, "/health").await.json;
        (health["checks"]["commitHash"]["value"]["others"] == 1).then_some(())
    })
    .await;
}

/// FAB-02: while a worker runs, each fault of the connection has the same class in readiness, in
/// metrics and in the log, and ends with its cause.
#[tokio::test(flavor = "multi_thread")]
async fn fab_02_a_fault_of_the_connection_shows_its_class_everywhere() {
    let (server, ledger) = (migrated_server().await, Ledger::start().await);
    let other = Ledger::start().await;
    let peer_port = PeerPort::at(free_address().port());
    let mut settings = ledger.env();
    settings.retain(|(name, _)| name != "FABRIC_PEER_ENDPOINT");
    settings.push(("FABRIC_PEER_ENDPOINT".to_owned(), format!("localhost:{}", peer_port.port)));
    settings.push(("FABRIC_CONNECT_TIMEOUT_MS".to_owned(), "500".to_owned()));
    let mut projector = Role::start("projector", &server.url(), &settings);
    projector.wait_for_readyz(503).await;
    let faults = [
        ("refused", Listener::Absent),
        ("no_tls", Listener::PlainText),
        ("untrusted_issuer", Listener::Peer(port_of(&other))),
        ("timeout", Listener::Silent),
        ("broken", Listener::Closing),
    ];
    for (class, listener_kind) in faults {
        let _open = peer_port.open(listener_kind).await;
        eventually(class, BOUND, async || {
            let ready = get(projector.address, "/readyz").await;
            let seen = &ready.json["checks"]["ledger"]["value"]["class"];
            (ready.status == 503 && seen == class).then_some(())
        })
        .await;
        let metrics = get(projector.address, "/metrics").await.text;
        let counted = metrics.lines().any(|line| {
            line.starts_with("gx_ledger_failures_total")
                && line.contains(&format!("class=\"{class}\""))
        });
        assert!(counted, "{class} is not counted in:\n{metrics}");
        let logged = format!("\"class\":\"{class}\"");
        eventually("it is logged", BOUND, async || {
            projector.stderr().contains(&logged).then_some(())
        })
        .await;
    }
    let _open = peer_port.open(Listener::Peer(port_of(&ledger))).await;
    projector.wait_for_readyz(200).await;
    assert!(projector.is_alive());
}

fn port_of(ledger: &Ledger) -> u16 {
    ledger.devnet().endpoint().rsplit_once(':').unwrap().1.parse().unwrap()
}

/// A port at which workers look for a peer.
struct PeerPort {
    port: u16,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Listener {
    Absent,
    PlainText,
    Silent,
    Closing,
    Peer(u16),
}

impl PeerPort {
    fn at(port: u16) -> Self {
        Self { port }
    }

    /// Answers connections in this way until the result is dropped.
    async fn open(&self, listener_kind: Listener) -> JoinSet<()> {
        let mut answering = JoinSet::new();
        if listener_kind == Listener::Absent {
            return answering;
        }
        let address = ("127.0.0.1", self.port);
        let listener =
            eventually("the port is free", BOUND, async || TcpListener::bind(address).await.ok())
                .await;
        answering.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                connections.spawn(answer(client, listener_kind));
            }
        });
        answering
    }
}

async fn answer(mut client: TcpStream, listener_kind: Listener) {
    match listener_kind {
        Listener::Absent | Listener::Closing => {}
        Listener::Silent => std::future::pending().await,
        Listener::PlainText => {
            // Whether the client has gone already does not matter.
            let _ = client.try_write(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            std::future::pending::<()>().await;
        }
        Listener::Peer(port) => {
            let mut peer = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let _ = copy_bidirectional(&mut client, &mut peer).await;
        }
    }
}
