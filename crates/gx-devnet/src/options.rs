//! What a development ledger is started with.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use gx_model::Clock;

use crate::chaincode::ChaincodeService;
use crate::{Collections, SignaturePolicy};

/// What a peer gives a chaincode (`chaincode.executetimeout`).
const EXECUTE_TIMEOUT: Duration = Duration::from_secs(30);

/// Everything [`crate::Devnet::start`] needs to know.
#[derive(Clone, Debug)]
pub struct DevnetOptions {
    /// Keys, certificates and the ledger are kept here, and made here at the first start.
    pub data_dir: PathBuf,
    /// Where the peer of Org1MSP listens; port 0 takes any free port.
    pub listen: SocketAddr,
    /// Where the peer of Org2MSP listens.
    pub listen_org2: SocketAddr,
    /// Where the orderer listens.
    pub listen_orderer: SocketAddr,
    /// Where to listen for whoever steers the ledger (see `docs/devnet.md`): an address on the
    /// loopback interface. None: it is steered through [`crate::Devnet`] only.
    pub control: Option<SocketAddr>,
    /// The one channel.
    pub channel: String,
    /// The name under which the GX contracts answer.
    pub chaincode: String,
    /// Further chaincodes, which run as services and are dialled.
    pub services: Vec<ChaincodeService>,
    /// How long a service may take for one transaction.
    pub execute_timeout: Duration,
    /// Whose endorsements a chaincode's transactions need, by its name. Where none is given it
    /// is a peer of more than half of the channel's organisations, that is, of both.
    pub policies: BTreeMap<String, SignaturePolicy>,
    /// The collections of private data that a chaincode has, by its name.
    pub collections: BTreeMap<String, Collections>,
    /// When a block is made.
    pub cutting: BlockCutting,
    /// Judges timestamps and certificates.
    pub clock: Clock,
    /// Whether a commit waits for the disk. Without it a killed process loses nothing, but
    /// a crashed machine may.
    pub fsync: bool,
}

impl DevnetOptions {
    /// The defaults of `gx dev`: channel `gxchannel`, chaincode `gxtv3`, free ports on the
    /// loopback interface, endorsement by both organisations, a block at once for every
    /// transaction, fsync on.
    pub fn new(data_dir: impl Into<PathBuf>, clock: Clock) -> Self {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            data_dir: data_dir.into(),
            listen: any_port,
            listen_org2: any_port,
            listen_orderer: any_port,
            control: None,
            channel: "gxchannel".to_owned(),
            chaincode: "gxtv3".to_owned(),
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

/// When the orderer makes a block of what it has received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockCutting {
    /// Every transaction is a block of its own, at once.
    Immediate,
    /// As soon as one of the limits is reached.
    Batch {
        /// Transactions in a block at most.
        max_count: usize,
        /// Bytes of envelopes in a block; one that is larger by itself has its own block.
        max_bytes: usize,
        /// How long the first transaction waits for company.
        max_wait: Duration,
    },
    /// When [`crate::Devnet::cut_block`] says so.
    Manual,
}

/// `at-once`, `by-hand`, or `batch:COUNT:BYTES:MILLISECONDS`.
impl FromStr for BlockCutting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let batch = || {
            let mut limits = text.strip_prefix("batch:")?.split(':');
            let cutting = Self::Batch {
                max_count: limits.next()?.parse().ok().filter(|count| *count > 0)?,
                max_bytes: limits.next()?.parse().ok().filter(|bytes| *bytes > 0)?,
                max_wait: Duration::from_millis(limits.next()?.parse().ok()?),
            };
            limits.next().is_none().then_some(cutting)
        };
        match text {
            "at-once" => Ok(Self::Immediate),
            "by-hand" => Ok(Self::Manual),
            _ => batch().ok_or_else(|| {
                format!("{text:?} is not at-once, by-hand or batch:COUNT:BYTES:MILLISECONDS")
            }),
        }
    }
}
