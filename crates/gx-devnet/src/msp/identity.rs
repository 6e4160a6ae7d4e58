//! A verified certificate with its public key. `TrustedRoots` reads it; policies and signatures are
//! checked with it.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey};
use gx_fabric_proto::attribute;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;

use super::own_signatures::OwnSignatures;
use super::signature::has_low_s;

/// The role that the organisational unit gives a certificate in its organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeRole {
    Client,
    Admin,
    Peer,
    Orderer,
}

/// A certificate that an authority of the channel has issued.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) msp_id: String,
    /// The role; `None` if no unit or more than one names a role. Such an identity is not valid.
    pub(crate) role: Option<NodeRole>,
    pub(crate) units: Vec<String>,
    /// The attribute `gxc_role`; `None` if the certificate does not have it.
    pub(crate) gxc_role: Option<String>,
    not_after: OffsetDateTime,
    key: ParsedPublicKey,
    own: OwnSignatures,
}

impl Identity {
    /// Reads a certificate whose issuer was checked. Returns `None` if the key is not ECDSA P-256
    /// or a part is malformed.
    pub(super) fn read(msp_id: &str, certificate: &X509Certificate<'_>) -> Option<Self> {
        let key = &certificate.public_key().subject_public_key.data;
        let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.as_ref()).ok()?;
        let units: Vec<String> = certificate
            .subject()
            .iter_organizational_unit()
            .map(|unit| unit.as_str().map(str::to_owned))
            .collect::<Result<_, _>>()
            .ok()?;
        Some(Self {
            msp_id: msp_id.to_owned(),
            role: node_role(&units),
            units,
            gxc_role: attribute(certificate, "gxc_role").ok()?,
            not_after: certificate.validity().not_after.to_datetime(),
            key,
            own: OwnSignatures::default(),
        })
    }

    /// Returns whether the certificate has expired.
    pub(crate) fn is_expired(&self, now: OffsetDateTime) -> bool {
        now > self.not_after
    }

    /// Returns whether the signature over the message is valid and has a low S.
    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        self.own.contain(message, signature)
            || (has_low_s(signature) && self.key.verify_sig(message, signature).is_ok())
    }

    /// Remembers a signature that this process has made with the identity's key, so that it need
    /// not be verified when it returns in an envelope.
    pub(crate) fn remember_signature(&self, message: &[u8], signature: &[u8]) {
        self.own.remember(message, signature);
    }
}

/// Returns the role of these units, or `None` if no unit or more than one names a role.
fn node_role(units: &[String]) -> Option<NodeRole> {
    let mut roles = units.iter().filter_map(|unit| match unit.as_str() {
        "client" => Some(NodeRole::Client),
        "admin" => Some(NodeRole::Admin),
        "peer" => Some(NodeRole::Peer),
        "orderer" => Some(NodeRole::Orderer),
        _ => None,
    });
    let role = roles.next()?;
    roles.next().is_none().then_some(role)
}
