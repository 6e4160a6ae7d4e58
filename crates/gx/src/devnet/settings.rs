//! The command line of `gx devnet`. The parent module turns it into the options of the ledger; a
//! value that is malformed or given twice ends the start.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use gx_devnet::{BlockCutting, ChaincodeService, Collections, DevnetOptions, SignaturePolicy};
use gx_model::Clock;
use gx_serve::telemetry::LogSettings;

use crate::CliError;

/// Default folder of the ledger.
pub(super) const DATA_DIR: &str = ".gx/devnet";

/// The folder, addresses, chaincodes and block cutting of the ledger.
#[derive(Debug, Args)]
pub(super) struct LedgerSettings {
    /// Folder for keys, certificates and blocks
    #[arg(long, default_value = DATA_DIR)]
    data_dir: PathBuf,
    /// Address of the peer of Org1MSP
    #[arg(long, default_value = "127.0.0.1:7051")]
    listen: SocketAddr,
    /// Address of the peer of Org2MSP [default: a free port on the host of --listen]
    #[arg(long)]
    listen_org2: Option<SocketAddr>,
    /// Address of the orderer [default: a free port on the host of --listen]
    #[arg(long)]
    listen_orderer: Option<SocketAddr>,
    /// Address of the control endpoint, on the loopback interface [default: a free port if --listen
    /// is on the loopback interface, else none]
    #[arg(long)]
    control: Option<SocketAddr>,
    /// Start without a control endpoint
    #[arg(long, conflicts_with = "control")]
    no_control: bool,
    /// Name of the channel
    #[arg(long, default_value = "gxchannel")]
    channel: String,
    /// Run a chaincode service under this name; may be given several times
    #[arg(long = "chaincode", value_name = "NAME=HOST:PORT")]
    chaincodes: Vec<ChaincodeService>,
    /// Endorsement policy of a chaincode, such as
    /// basic=OR('Org1MSP.peer','Org2MSP.peer') [default: both organisations]
    #[arg(long = "policy", value_name = "NAME=POLICY", value_parser = parse_named::<SignaturePolicy>)]
    policies: Vec<(String, SignaturePolicy)>,
    /// The collections of private data that a chaincode has, from a file as
    /// `peer lifecycle chaincode approveformyorg --collections-config` takes it
    #[arg(long = "collections", value_name = "NAME=FILE.json", value_parser = parse_collections)]
    collections: Vec<(String, Collections)>,
    /// Time of a new block: at-once, by-hand (at the control endpoint), or
    /// batch:COUNT:BYTES:MILLISECONDS as soon as one of these is reached
    #[arg(long, default_value = "at-once")]
    cut: BlockCutting,
    #[command(flatten)]
    pub(super) log: LogSettings,
}

impl LedgerSettings {
    /// Returns the options of the ledger.
    pub(super) fn into_options(self) -> Result<DevnetOptions, CliError> {
        let free_port = SocketAddr::new(self.listen.ip(), 0);
        let control = match self.control {
            None if self.no_control || !self.listen.ip().is_loopback() => None,
            None => Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            given => given,
        };
        let defaults =
            DevnetOptions::new(self.data_dir, Clock::adjustable(), gx_contract::Contracts);
        Ok(DevnetOptions {
            listen: self.listen,
            listen_org2: self.listen_org2.unwrap_or(free_port),
            listen_orderer: self.listen_orderer.unwrap_or(free_port),
            control,
            channel: self.channel,
            services: self.chaincodes,
            policies: by_name("--policy", self.policies)?,
            collections: by_name("--collections", self.collections)?,
            cutting: self.cut,
            ..defaults
        })
    }
}

/// Returns the values of an option by chaincode. Fails if a chaincode has two values.
fn by_name<T>(option: &str, said: Vec<(String, T)>) -> Result<BTreeMap<String, T>, CliError> {
    let mut by_name = BTreeMap::new();
    for (name, value) in said {
        if by_name.insert(name.clone(), value).is_some() {
            return Err(CliError::message(format!(
                "`{option}` is given twice for {name}; give it once"
            )));
        }
    }
    Ok(by_name)
}

/// Parses `NAME=VALUE`.
fn parse_named<T>(text: &str) -> Result<(String, T), String>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let parts = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = parts.ok_or_else(|| format!("{text:?} is not NAME=VALUE"))?;
    let value = value.parse().map_err(|error: T::Err| error.to_string())?;
    Ok((name.to_owned(), value))
}

/// Parses `NAME=FILE` and reads the file.
fn parse_collections(text: &str) -> Result<(String, Collections), String> {
    let (name, path) = parse_named::<String>(text)?;
    let text = std::fs::read_to_string(&path).map_err(|error| format!("`{path}`: {error}"))?;
    let read = Collections::from_json(&text).map_err(|error| format!("`{path}`: {error}"))?;
    Ok((name, read))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        ledger: LedgerSettings,
    }

    fn options(arguments: &[&str]) -> Result<DevnetOptions, String> {
        let line = std::iter::once("devnet").chain(arguments.iter().copied());
        let line = Line::try_parse_from(line).map_err(|error| error.to_string())?;
        line.ledger.into_options().map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_control_endpoint_is_on_loopback_and_exists_by_default_only_if_the_peer_is_too() {
        assert!(options(&[]).unwrap().control.unwrap().ip().is_loopback());
        assert_eq!(options(&["--no-control"]).unwrap().control, None);
        assert_eq!(options(&["--listen", "0.0.0.0:7051"]).unwrap().control, None);
        let both = ["--listen", "0.0.0.0:7051", "--control", "127.0.0.1:7059"];
        assert_eq!(options(&both).unwrap().control, Some("127.0.0.1:7059".parse().unwrap()));
    }

    #[test]
    fn nodes_without_an_address_listen_on_the_host_of_the_first() {
        let options = options(&["--listen", "[::1]:7051"]).unwrap();
        for address in [options.listen_org2, options.listen_orderer] {
            assert_eq!(address, "[::1]:0".parse().unwrap());
        }
    }

    #[test]
    fn an_option_of_a_chaincode_is_read_and_may_be_given_once() {
        let policy = ["--policy", "basic=OR('Org1MSP.peer','Org2MSP.peer')"];
        let service = ["--chaincode", "basic=127.0.0.1:9999"];
        let read = options(&[service, policy].concat()).unwrap();
        assert_eq!(read.services[0].name, "basic");
        assert!(read.policies.contains_key("basic"));
        for (wrong, named) in [
            ([policy, policy].concat(), "`--policy` is given twice for basic"),
            (vec!["--chaincode", "basic"], "NAME=HOST:PORT"),
            (vec!["--policy", "gxtv3=OR("], "--policy"),
            (vec!["--cut", "sometimes"], "by-hand"),
        ] {
            let refused = options(&wrong).unwrap_err();
            assert!(refused.contains(named), "{refused}");
        }
    }
}
