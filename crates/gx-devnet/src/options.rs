//! The options of a development ledger. Filled in by `gx devnet`, `gx dev`, the benchmarks, the
//! simulation and tests.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gx_ledger_api::{Clock, Contract};

use crate::chaincode::ChaincodeService;
use crate::ledger::BlockCutting;
use crate::{Collections, SignaturePolicy};

/// The default time limit of a chaincode (`chaincode.executetimeout`).
const EXECUTE_TIMEOUT: Duration = Duration::from_secs(30);

/// The options of [`crate::Devnet::start`].
#[derive(Clone, Debug)]
pub struct DevnetOptions {
    /// The folder of keys, certificates and the ledger; created at the first start.
    pub data_dir: PathBuf,
    /// The address of the peer of Org1MSP; port 0 means any free port.
    pub listen: SocketAddr,
    /// The address of the peer of Org2MSP.
    pub listen_org2: SocketAddr,
    /// The address of the orderer.
    pub listen_orderer: SocketAddr,
    /// The address of the control endpoint (see `docs/devnet.md`), which must be on the loopback
    /// interface. `None`: the ledger is controlled only through [`crate::Devnet`].
    pub control: Option<SocketAddr>,
    /// The name of the one channel.
    pub channel: String,
    /// The chaincode name of the contract.
    pub chaincode: String,
    /// The contract that runs in this process.
    pub contract: Arc<dyn Contract>,
    /// Further chaincodes, which run as services.
    pub services: Vec<ChaincodeService>,
    /// Time limit of a service for one transaction.
    pub execute_timeout: Duration,
    /// Endorsement policies by chaincode name. The default is a peer of more than half of the
    /// channel's organisations, which means of both.
    pub policies: BTreeMap<String, SignaturePolicy>,
    /// Collections of private data by chaincode name.
    pub collections: BTreeMap<String, Collections>,
    /// The rule by which blocks are cut.
    pub cutting: BlockCutting,
    /// The clock for timestamps and certificates.
    pub clock: Clock,
    /// Whether a commit waits for the disk. If not, a killed process loses nothing, but a crashed
    /// machine may lose blocks.
    pub fsync: bool,
}

impl DevnetOptions {
    /// Returns the defaults of `gx dev`: channel `gxchannel`, chaincode `gxtv3`, free ports on the
    /// loopback interface, endorsement by both organisations, one block for each transaction, fsync
    /// on.
    pub fn new(
        data_dir: impl Into<PathBuf>,
        clock: Clock,
        contract: impl Contract + 'static,
    ) -> Self {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            data_dir: data_dir.into(),
            listen: any_port,
            listen_org2: any_port,
            listen_orderer: any_port,
            control: None,
            channel: "gxchannel".to_owned(),
            chaincode: "gxtv3".to_owned(),
            contract: Arc::new(contract),
            services: Vec::new(),
            execute_timeout: EXECUTE_TIMEOUT,
            policies: BTreeMap::new(),
            collections: BTreeMap::new(),
            cutting: BlockCutting::Immediate,
            clock,
            fsync: true,
        }
    }
}
