//! Who signed a proposal, read from the certificate that the peer has verified.

use gx_contract::Caller;
use gx_fabric_proto::attribute;
use gx_fabric_proto::msp::SerializedIdentity;
use prost::Message;
use x509_parser::pem::parse_x509_pem;

/// The caller behind a serialized identity; none where its certificate cannot be read.
pub(crate) fn from_creator(creator: &[u8]) -> Option<Caller> {
    let identity = SerializedIdentity::decode(creator).ok()?;
    let (_, pem) = parse_x509_pem(&identity.id_bytes).ok()?;
    let certificate = pem.parse_x509().ok()?;
    let units: Vec<&str> = certificate
        .subject()
        .iter_organizational_unit()
        .map(|unit| unit.as_str())
        .collect::<Result<_, _>>()
        .ok()?;
    let role = attribute(&certificate, "gxc_role").ok()?;
    Some(Caller::from_attributes(role.as_deref(), &units))
}
