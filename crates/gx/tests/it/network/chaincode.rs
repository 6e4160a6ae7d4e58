//! The GX contracts as a process that peers dial.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use crate::role::log;
use crate::stack::signal;

/// `gx chaincode`, killed when dropped.
pub(crate) struct Chaincode {
    command: Command,
    child: Child,
}

impl Chaincode {
    /// Serves the contracts of the chaincode `name`, whose package has this id.
    pub(crate) fn start(name: &str, id: &str, address: SocketAddr) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gx"));
        command
            .arg("chaincode")
            .env("CHAINCODE_ID", id)
            .env("CHAINCODE_SERVER_ADDRESS", address.to_string())
            .env("FABRIC_CHAINCODE_NAME", name)
            .env("GX_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(log("chaincode", address)).unwrap());
        let child = command.spawn().unwrap();
        Self { command, child }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        signal("KILL", &self.child.id().to_string());
        self.child.wait().unwrap();
    }

    /// Starts it again.
    pub(crate) fn restart(&mut self) {
        self.child = self.command.spawn().unwrap();
    }
}

/// Nothing that a test started outlives it.
impl Drop for Chaincode {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A name that no other story's chaincode has.
pub(crate) fn fresh_name() -> String {
    format!("gx-{:08x}", rand::random::<u32>())
}

/// An address on which nobody listens.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}
