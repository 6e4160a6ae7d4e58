//! Writes the files for clients: the addresses of the nodes and the keys of their users. Called at
//! each start, after the servers; an error prevents the start.

mod yaml;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gx_ledger_api::SignerRole;
use serde_json::{Map, Value, json};

use crate::msp::{Organizations, PeerFiles, user_name};
use crate::node::Node;
use crate::{BlockCutting, DevnetError, DevnetOptions};

/// A short description of the network, in the format of our lab with real nodes.
const NETWORK: &str = "network.json";
/// Fabric's common connection profile, in two formats with the same content.
const PROFILES: [&str; 2] = ["connection-profile.json", "connection-profile.yaml"];

/// An address on which no process listens: the peer of the organisation outside the channel.
const NOBODY: &str = "localhost:1";

/// Writes the files. Each is replaced as a whole, so a reader never sees half of it.
pub(crate) fn write(
    options: &DevnetOptions,
    node: &Node,
    organizations: &Organizations,
) -> Result<(), DevnetError> {
    let unusable = |path: &Path, reason| DevnetError::DataDir { path: path.to_owned(), reason };
    // Readers of these files may be in another folder.
    let folder = std::fs::canonicalize(&options.data_dir)
        .map_err(|reason| unusable(&options.data_dir, reason))?;
    let files = organizations.peer_files();
    let profile = profile(options, node, &files);
    let texts = [
        (PROFILES[0], format!("{profile:#}\n")),
        (PROFILES[1], yaml::text(&profile)),
        (NETWORK, format!("{:#}\n", network(options, node, organizations, &files, &folder))),
    ];
    for (name, text) in texts {
        let path = folder.join(name);
        replace(&path, &text).map_err(|reason| unusable(&path, reason))?;
    }
    Ok(())
}

/// Writes a file next to its place and moves it there.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let aside = path.with_added_extension("new");
    std::fs::File::create(&aside)?.write_all(text.as_bytes())?;
    std::fs::rename(&aside, path)
}

/// Returns the short description. Its paths are absolute.
fn network(
    options: &DevnetOptions,
    node: &Node,
    organizations: &Organizations,
    files: &[PeerFiles],
    folder: &Path,
) -> Value {
    let absolute = |path: &Path| folder.join(path).display().to_string();
    let data_dir = &options.data_dir;
    let below = |path: PathBuf| absolute(path.strip_prefix(data_dir).unwrap_or(&path));
    let orgs = files.iter().map(|files| {
        let peer = node.peers.iter().find(|peer| peer.msp_id == files.msp_id);
        let user = |name| (files.certificate(name), files.key(name));
        let ((cert, key), (admin_cert, admin_key)) = (user("User1"), user("Admin"));
        json!({
            "mspId": files.msp_id,
            "peer": peer.map_or(NOBODY, |peer| &peer.address),
            "tlsCa": below(files.tls_root()),
            "cert": below(cert),
            "key": below(key),
            "adminCert": below(admin_cert),
            "adminKey": below(admin_key),
        })
    });
    json!({
        "channel": options.channel,
        "batchTimeout": batch_timeout(&options.cutting),
        "orderer": {
            "address": node.orderer_address,
            "tlsCa": below(organizations.orderer_tls_root()),
        },
        "orgs": orgs.collect::<Vec<_>>(),
    })
}

fn batch_timeout(cutting: &BlockCutting) -> String {
    let wait = match cutting {
        BlockCutting::Batch { max_wait, .. } => *max_wait,
        BlockCutting::Immediate | BlockCutting::Manual => Duration::ZERO,
    };
    format!("{}ms", wait.as_millis())
}

/// Returns the connection profile. Its paths are relative to it, so the folder can be moved.
fn profile(options: &DevnetOptions, node: &Node, files: &[PeerFiles]) -> Value {
    let data_dir = &options.data_dir;
    let below = |path: PathBuf| path.strip_prefix(data_dir).unwrap_or(&path).display().to_string();
    let (mut organizations, mut peers, mut in_channel) = (Map::new(), Map::new(), Map::new());
    for (peer, files) in node.peers.iter().zip(files) {
        organizations.insert(
            files.msp_id.trim_end_matches("MSP").to_owned(),
            json!({ "mspid": files.msp_id, "peers": [files.peer_name] }),
        );
        peers.insert(
            files.peer_name.clone(),
            json!({
                "url": format!("grpcs://{}", peer.address),
                "tlsCACerts": { "path": below(files.tls_root()) },
            }),
        );
        in_channel.insert(
            files.peer_name.clone(),
            json!({
                "endorsingPeer": true,
                "chaincodeQuery": true,
                "ledgerQuery": true,
                "eventSource": true,
            }),
        );
    }
    let signer = |role| {
        let (own, name) = (&files[0], user_name(role));
        json!({
            "certificate": { "path": below(own.certificate(name)) },
            "privateKey": { "path": below(own.key(name)) },
        })
    };
    json!({
        "name": "gx-devnet",
        "version": "1.0.0",
        "client": { "organization": "Org1" },
        "organizations": organizations,
        "peers": peers,
        "channels": { options.channel.as_str(): { "peers": in_channel } },
        "x-gx": {
            "channel": options.channel,
            "chaincode": options.chaincode,
            "signers": {
                "admin": signer(SignerRole::Admin),
                "superAdmin": signer(SignerRole::SuperAdmin),
                "partnerApi": signer(SignerRole::PartnerApi),
            },
        },
    })
}
