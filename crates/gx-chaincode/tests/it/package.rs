//! The package that an operator installs.

use gx_chaincode::{Connection, Package, PackageError};

fn plain() -> Connection {
    Connection { address: "chaincode.gx:7052".to_owned(), root_pem: None, client: None }
}

/// What a stored gzip file holds, with its trailer left unread.
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

/// The files of an archive, by name.
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

#[test]
fn a_package_tells_the_peer_where_and_how_to_dial() {
    let connection = Connection {
        root_pem: Some("ROOT".to_owned()),
        client: Some(("CERTIFICATE".to_owned(), "KEY".to_owned())),
        ..plain()
    };
    let package = Package::new("gxtv3_1", &connection).unwrap();
    let files = untarred(&unzipped(&package.bytes));
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["metadata.json", "code.tar.gz"]);
    let metadata: serde_json::Value = serde_json::from_slice(&files[0].1).unwrap();
    assert_eq!(metadata, serde_json::json!({ "path": "", "type": "ccaas", "label": "gxtv3_1" }));
    let code = untarred(&unzipped(&files[1].1));
    let connection: serde_json::Value = serde_json::from_slice(&code[0].1).unwrap();
    assert_eq!(
        connection,
        serde_json::json!({
            "address": "chaincode.gx:7052",
            "dial_timeout": "10s",
            "tls_required": true,
            "root_cert": "ROOT",
            "client_auth_required": true,
            "client_cert": "CERTIFICATE",
            "client_key": "KEY",
        })
    );
}

#[test]
fn content_of_many_blocks_stays_whole() {
    let root = "ROOT".repeat(40_000);
    let connection = Connection { root_pem: Some(root.clone()), ..plain() };
    let package = Package::new("gxtv3_1", &connection).unwrap();
    let files = untarred(&unzipped(&package.bytes));
    let code = untarred(&unzipped(&files[1].1));
    let connection: serde_json::Value = serde_json::from_slice(&code[0].1).unwrap();
    assert_eq!(connection["root_cert"], root);
}

#[test]
fn what_a_peer_would_refuse_is_refused_before() {
    for label in ["", "_x", "a b", "a/b", &"x".repeat(101)] {
        assert_eq!(Package::new(label, &plain()), Err(PackageError::Label), "{label}");
    }
    let client = Some(("CERTIFICATE".to_owned(), "KEY".to_owned()));
    let odd = Package::new("gxtv3_1", &Connection { client, ..plain() });
    assert_eq!(odd, Err(PackageError::ClientWithoutTls));
}
