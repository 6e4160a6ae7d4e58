//! The address of a client. Found by the connection service; read by the request layer and by
//! handlers.

use std::net::IpAddr;

/// The client's address, an extension of each request: the other end of the connection, or the
/// client that trusted proxies name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerAddress(pub(crate) IpAddr);

/// Gives a request a client's address, which a listener does otherwise.
#[cfg(feature = "testing")]
pub fn set_client_address(extensions: &mut http::Extensions, address: IpAddr) {
    extensions.insert(PeerAddress(address));
}
