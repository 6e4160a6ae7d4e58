//! `gx chaincode` as a process, to which peers connect.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use crate::role::log;
use crate::stack::signal;

/// A `gx chaincode` process, which is killed when dropped.
pub(crate) struct Chaincode {
    command: Command,
    child: Child,
}

impl Chaincode {
    /// Starts a service for the chaincode `name`, whose package has this id.
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

    /// Kills the process with SIGKILL.
    pub(crate) fn kill(&mut self) {
        signal("KILL", &self.child.id().to_string());
        self.child.wait().unwrap();
    }

    /// Starts the process again.
    pub(crate) fn restart(&mut self) {
        self.child = self.command.spawn().unwrap();
    }
}

/// Ends all processes that the test has started.
impl Drop for Chaincode {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a chaincode name that no other test uses.
pub(crate) fn fresh_name() -> String {
    format!("gx-{:08x}", rand::random::<u32>())
}

/// Returns an address on which no process listens.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}
