//! Who signed a proposal, read from the certificate that the peer has verified.

use gx_contract::Caller;
use gx_fabric_proto::msp::SerializedIdentity;
use prost::Message;
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::Oid;
use x509_parser::pem::parse_x509_pem;

/// Where Fabric CA puts a certificate's attributes.
const ATTRIBUTES_OID: [u64; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 1];

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
    let role = gxc_role(&certificate)?;
    Some(Caller::from_attributes(role.as_deref(), &units))
}

/// The attribute, if there is one; the outer None stands for attributes that are malformed.
#[allow(clippy::option_option, reason = "absent and malformed are different answers")]
fn gxc_role(certificate: &X509Certificate<'_>) -> Option<Option<String>> {
    let oid = Oid::from(&ATTRIBUTES_OID).expect("the constant is an object identifier");
    let Some(extension) = certificate.get_extension_unique(&oid).ok()? else { return Some(None) };
    let value: serde_json::Value = serde_json::from_slice(extension.value).ok()?;
    match value.get("attrs").and_then(|attributes| attributes.get("gxc_role")) {
        None => Some(None),
        Some(role) => Some(Some(role.as_str()?.to_owned())),
    }
}
