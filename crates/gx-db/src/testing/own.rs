//! A server that one test has to itself: to stop it, kill it, promote it.

use std::path::Path;

use tempfile::TempDir;

use super::shared::{open, watch};
use crate::cluster::{ClusterOptions, Owner, PrivateCluster};

/// A server of one test's own, migrated or not as the test likes. It is stopped and deleted
/// when dropped, and stopped when the test process dies.
#[derive(Debug)]
pub struct TestServer {
    options: ClusterOptions,
    cluster: Option<PrivateCluster>,
    _users: std::fs::File,
    /// Last, so that it is deleted last.
    _folder: TempDir,
}

impl TestServer {
    /// Starts a server with an empty database `gx_protocol`.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The server's own user must get in.
        let owner = Owner::for_this_process().unwrap();
        owner.give(folder.path()).unwrap();
        let mut options = ClusterOptions::new(folder.path());
        options.durable = false;
        options.first_port = 56_000 + u16::from(rand::random::<u8>()) * 16;
        options.settings = [("max_connections", "60"), ("shared_buffers", "16MB")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
        let users = open(&folder.path().join("users"));
        users.lock_shared().unwrap();
        let cluster = PrivateCluster::start(options.clone()).await.unwrap();
        watch(&cluster, owner, folder.path());
        Self { options, cluster: Some(cluster), _users: users, _folder: folder }
    }

    /// URL of the database `gx_protocol`, the same over restarts.
    pub fn url(&self) -> String {
        self.running().url()
    }

    /// The folder the cluster lies in.
    pub fn folder(&self) -> &Path {
        self.running().folder()
    }

    /// Stops the server at once, as a crash would: connections break, nothing is flushed.
    pub fn crash(&self) {
        self.running().crash();
    }

    /// Starts it again on the same port.
    pub async fn restart(&mut self) {
        drop(self.cluster.take());
        self.cluster = Some(PrivateCluster::start(self.options.clone()).await.unwrap());
    }

    fn running(&self) -> &PrivateCluster {
        self.cluster.as_ref().expect("there from start to drop")
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(cluster) = self.cluster.take() {
            cluster.crash();
        }
    }
}
