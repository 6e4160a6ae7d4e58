//! The attributes that a Fabric certificate authority adds to a certificate. Read by the ledger
//! client from a signer's certificate, and by the chaincode service and the devnet from the
//! certificate of a transaction's creator.

use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::Oid;

/// The extension that holds a certificate's attributes, as JSON.
pub const ATTRIBUTES_OID: [u64; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 1];

/// Error: the attributes do not have the form in which an authority writes them. The chaincode
/// service and the devnet refuse the certificate; the client reports the signer to the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedAttributes;

/// Returns the value of an attribute, or `None` if the certificate does not have it.
///
/// # Errors
/// [`MalformedAttributes`] if the extension cannot be read. A certificate without one is valid.
pub fn attribute(
    certificate: &X509Certificate<'_>,
    name: &str,
) -> Result<Option<String>, MalformedAttributes> {
    let oid = Oid::from(&ATTRIBUTES_OID).expect("the constant is an object identifier");
    let extension = certificate.get_extension_unique(&oid).map_err(|_| MalformedAttributes)?;
    let Some(extension) = extension else { return Ok(None) };
    let value: serde_json::Value =
        serde_json::from_slice(extension.value).map_err(|_| MalformedAttributes)?;
    match value.get("attrs").and_then(|attributes| attributes.get(name)) {
        None => Ok(None),
        Some(value) => Ok(Some(value.as_str().ok_or(MalformedAttributes)?.to_owned())),
    }
}
