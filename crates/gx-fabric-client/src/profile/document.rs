//! The structure of a connection profile file. `Profile::parse` reads it; a value of the wrong type
//! or an unknown name under `x-gx` is `ProfileError::Malformed`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

/// Fabric's common connection profile. Other software reads the same file, so unknown names are
/// ignored here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Document {
    pub(super) client: Client,
    pub(super) organizations: BTreeMap<String, Organization>,
    pub(super) peers: BTreeMap<String, PeerEntry>,
    pub(super) channels: BTreeMap<String, ChannelEntry>,
    #[serde(rename = "x-gx")]
    pub(super) gx: GxSection,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Client {
    pub(super) organization: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Organization {
    pub(super) mspid: String,
    pub(super) peers: Vec<String>,
    pub(super) signed_cert: Option<PemEntry>,
    pub(super) admin_private_key: Option<PemEntry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PeerEntry {
    pub(super) url: String,
    #[serde(rename = "tlsCACerts")]
    pub(super) tls_ca_certs: Option<PemEntry>,
    pub(super) grpc_options: GrpcOptions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct GrpcOptions {
    #[serde(rename = "ssl-target-name-override")]
    pub(super) ssl_target_name_override: Option<String>,
    #[serde(rename = "hostnameOverride")]
    pub(super) hostname_override: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ChannelEntry {
    pub(super) peers: Option<Names>,
}

/// The peers of a channel: some files have names with options, others only names.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Names {
    WithOptions(BTreeMap<String, IgnoredAny>),
    Alone(Vec<String>),
}

/// The section that only GX reads. Unknown names are errors here.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct GxSection {
    pub(super) channel: Option<String>,
    pub(super) chaincode: Option<String>,
    pub(super) signers: Signers,
    pub(super) tls_client: Option<Credential>,
    pub(super) timeouts: Timeouts,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Signers {
    pub(super) admin: Option<Credential>,
    pub(super) super_admin: Option<Credential>,
    pub(super) partner_api: Option<Credential>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Credential {
    pub(super) certificate: PemEntry,
    pub(super) private_key: PemEntry,
}

/// A PEM text, or the file that has it. Other content may be a key in the wrong place, which an
/// error of serde would quote, so it is accepted here and refused later.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum PemEntry {
    Given {
        path: Option<String>,
        pem: Option<Lines>,
        /// Names that GX does not know.
        #[serde(flatten)]
        others: BTreeMap<String, IgnoredAny>,
    },
    SomethingElse(IgnoredAny),
}

/// Does not show the text, which may be a key.
impl std::fmt::Debug for PemEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PemEntry")
    }
}

/// Some files have several certificates as one text, others as a list.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Lines {
    Text(String),
    List(Vec<String>),
}

/// Timeouts in milliseconds.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Timeouts {
    pub(super) connect_ms: Option<u64>,
    pub(super) evaluate_ms: Option<u64>,
    pub(super) endorse_ms: Option<u64>,
    pub(super) submit_ms: Option<u64>,
    pub(super) commit_status_ms: Option<u64>,
    pub(super) block_ms: Option<u64>,
    pub(super) height_ms: Option<u64>,
}
