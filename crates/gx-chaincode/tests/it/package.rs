//! The package that an operator installs.

use gx_chaincode::{Connection, Package, PackageError};
use gx_fabric_proto::PemError;
use serde_json::{Value, json};

use crate::service::Authority;

fn plain() -> Connection {
    Connection { address: "chaincode.gx:7052".to_owned(), root_pem: None, client: None }
}

/// Returns the content of a gzip file whose blocks are stored. The trailer is not checked.
fn unzipped(mut file: &[u8]) -> Vec<u8> {
    assert_eq!(file[..4], [0x1f, 0x8b, 8, 0]);
    file = &file[10..];
    let mut content = vec![];
    loop {
        let (last, length) = (file[0] == 1, usize::from(u16::from_le_bytes([file[1], file[2]])));
        content.extend_from_slice(&file[5..5 + length]);
        file = &file[5 + length..];
        if last {
            return content;
        }
    }
}

/// Returns the files of an archive, by name.
fn untarred(mut archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![];
    while archive[0] != 0 {
        let text = |bytes: &[u8]| {
            String::from_utf8(bytes.split(|byte| *byte == 0).next().unwrap().to_vec()).unwrap()
        };
        let size = usize::from_str_radix(&text(&archive[124..136]), 8).unwrap();
        files.push((text(&archive[..100]), archive[512..512 + size].to_vec()));
        archive = &archive[512 + size.next_multiple_of(512)..];
    }
    files
}

#[test]
fn the_same_settings_give_the_same_id_for_ever() {
    let package = Package::new("gxtv3_1", &plain()).unwrap();
    assert_eq!(package, Package::new("gxtv3_1", &plain()).unwrap());
    assert_eq!(
        package.id,
        "gxtv3_1:d88d4bcaf6730e7bb3e189d64a9280499e8d50b7cd4c9f955619af2d34c578eb"
    );
}

/// Returns the connection file of a package.
fn connection_json(connection: &Connection) -> Value {
    let package = Package::new("gxtv3_1", connection).unwrap();
    let files = untarred(&unzipped(&package.bytes));
    let code = untarred(&unzipped(&files[1].1));
    serde_json::from_slice(&code[0].1).unwrap()
}

#[test]
fn a_package_has_the_address_and_certificates_for_the_peer() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue();
    let connection = Connection {
        root_pem: Some(authority.pem()),
        client: Some((certificate.clone(), key.clone())),
        ..plain()
    };
    let package = Package::new("gxtv3_1", &connection).unwrap();
    let files = untarred(&unzipped(&package.bytes));
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["metadata.json", "code.tar.gz"]);
    let metadata: Value = serde_json::from_slice(&files[0].1).unwrap();
    assert_eq!(metadata, json!({ "path": "", "type": "ccaas", "label": "gxtv3_1" }));
    assert_eq!(
        connection_json(&connection),
        json!({
            "address": "chaincode.gx:7052",
            "dial_timeout": "10s",
            "tls_required": true,
            "root_cert": authority.pem(),
            "client_auth_required": true,
            "client_cert": certificate,
            "client_key": key,
        })
    );
}

/// FAB-15: a package leaves this machine, so it has only the certificates and the key of the files,
/// and a certificate file with a key in it is refused.
#[test]
fn fab_15_nothing_but_certificates_and_the_key_goes_into_a_package() {
    let authority = Authority::new();
    let ((certificate, key), (_, other)) = (authority.issue(), authority.issue());
    let with = |root: &str, certificate: &str, key: &str| Connection {
        root_pem: Some(root.to_owned()),
        client: Some((certificate.to_owned(), key.to_owned())),
        ..plain()
    };
    let clean = connection_json(&with(&authority.pem(), &certificate, &key));
    let around = |pem: &str| format!("the password is 1234\n{pem}# the end\n");
    let noisy = with(
        &around(&authority.pem()),
        &around(&certificate),
        &around(&format!("{certificate}{key}")),
    );
    assert_eq!(connection_json(&noisy), clean);
    let bundle = with(&authority.pem(), &format!("{}{certificate}", authority.pem()), &key);
    let chain = format!("{certificate}{}", authority.pem());
    assert_eq!(connection_json(&bundle)["client_cert"], chain, "that of the key comes first");

    let refused = |connection: &Connection| Package::new("gxtv3_1", connection).unwrap_err();
    for (one, two) in [(&certificate, &key), (&key, &certificate)] {
        let both = format!("{one}{two}");
        let client = refused(&with(&authority.pem(), &both, &key));
        assert_eq!(client, PackageError::Client(PemError::CertificateHoldsKey));
        let root = refused(&with(&both, &certificate, &key));
        assert_eq!(root, PackageError::Roots(PemError::CertificateHoldsKey));
    }
    let mixed = refused(&with(&authority.pem(), &certificate, &other));
    assert!(matches!(mixed, PackageError::Client(PemError::KeyMismatch { .. })), "{mixed}");
    let two_keys = refused(&with(&authority.pem(), &certificate, &format!("{key}{other}")));
    assert_eq!(two_keys, PackageError::Client(PemError::SeveralKeys(2)));
}

#[test]
fn content_of_many_blocks_is_unchanged() {
    let root = Authority::new().pem().repeat(200);
    assert!(root.len() > 100_000);
    let connection = Connection { root_pem: Some(root.clone()), ..plain() };
    assert_eq!(connection_json(&connection)["root_cert"], root);
}

#[test]
fn labels_that_a_peer_refuses_are_refused() {
    for label in ["", "_x", "a b", "a/b", &"x".repeat(101)] {
        assert_eq!(Package::new(label, &plain()), Err(PackageError::Label), "{label}");
    }
    let client = Some(("CERTIFICATE".to_owned(), "KEY".to_owned()));
    let odd = Package::new("gxtv3_1", &Connection { client, ..plain() });
    assert_eq!(odd, Err(PackageError::ClientWithoutTls));
}
