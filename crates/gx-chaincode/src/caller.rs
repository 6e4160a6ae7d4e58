//! Reads the signer of a proposal from the certificate, which the peer has verified. Called for
//! each transaction.

use gx_fabric_proto::attribute;
use gx_fabric_proto::msp::SerializedIdentity;
use prost::Message;
use x509_parser::pem::parse_x509_pem;

/// The attributes of the signer that the contracts need.
pub(crate) struct Caller {
    /// `None` if the certificate does not have the attribute.
    pub(crate) gxc_role: Option<String>,
    pub(crate) units: Vec<String>,
}

/// Returns the caller of a serialized identity, or `None` if its certificate or an attribute cannot
/// be read. The transaction then fails.
pub(crate) fn from_creator(creator: &[u8]) -> Option<Caller> {
    let identity = SerializedIdentity::decode(creator).ok()?;
    let (_, pem) = parse_x509_pem(&identity.id_bytes).ok()?;
    let certificate = pem.parse_x509().ok()?;
    let units = certificate
        .subject()
        .iter_organizational_unit()
        .map(|unit| unit.as_str().map(str::to_owned))
        .collect::<Result<_, _>>()
        .ok()?;
    Some(Caller { gxc_role: attribute(&certificate, "gxc_role").ok()?, units })
}
