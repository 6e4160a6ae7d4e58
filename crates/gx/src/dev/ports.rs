//! The ports of the development stack. `gx dev` checks them before it starts anything, and `stack`
//! listens on them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use gx_auth::{Realm, RelyingParty};

use super::DevError;

/// The addresses of all parts, on 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    offset: u16,
}

/// Distance from a service's port to the port of its internal listener.
const INTERNAL_OFFSET: u16 = 10_000;

impl Ports {
    const IDENTITY: u16 = 3001;
    const TOKENOMICS: u16 = 3002;
    const ADMIN: u16 = 3006;
    const EDGE: u16 = 8443;
    const DEVNET: u16 = 7051;
    const SUBMITTER: u16 = 9090;
    const PROJECTOR: u16 = 9091;

    /// Returns the usual ports plus `offset`.
    pub(crate) fn with_offset(offset: u16) -> Self {
        Self { offset }
    }

    pub(crate) fn identity(self) -> SocketAddr {
        self.at(Self::IDENTITY)
    }

    pub(crate) fn tokenomics(self) -> SocketAddr {
        self.at(Self::TOKENOMICS)
    }

    pub(crate) fn admin(self) -> SocketAddr {
        self.at(Self::ADMIN)
    }

    pub(crate) fn edge(self) -> SocketAddr {
        self.at(Self::EDGE)
    }

    pub(crate) fn devnet(self) -> SocketAddr {
        self.at(Self::DEVNET)
    }

    pub(crate) fn submitter(self) -> SocketAddr {
        self.at(Self::SUBMITTER)
    }

    pub(crate) fn projector(self) -> SocketAddr {
        self.at(Self::PROJECTOR)
    }

    /// Returns the domain of passkeys, with the origins of a service's listeners that browsers can
    /// reach.
    pub(crate) fn local_relying_party(self, realm: Realm) -> RelyingParty {
        RelyingParty::local(realm, self.offset)
    }

    /// Returns the address of a service's internal listener.
    pub(crate) fn internal(service: SocketAddr) -> SocketAddr {
        SocketAddr::new(service.ip(), service.port() + INTERNAL_OFFSET)
    }

    /// Checks that every port is free before anything is started. `own_ledger` says whether the
    /// stack starts a ledger, whose port is checked too.
    ///
    /// # Errors
    /// [`DevError::PortTaken`] names the first port that is taken.
    pub(crate) fn check_free(self, own_ledger: bool) -> Result<(), DevError> {
        let services = [self.identity(), self.tokenomics(), self.admin()];
        let others = [self.edge(), self.submitter(), self.projector()];
        let ledger = own_ledger.then(|| self.devnet());
        let internal = services.map(Self::internal);
        for address in services.into_iter().chain(others).chain(internal).chain(ledger) {
            TcpListener::bind(address)
                .map_err(|source| DevError::PortTaken { port: address.port(), source })?;
        }
        Ok(())
    }

    fn at(self, port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port + self.offset))
    }
}
