//! The servers that are put under load. Each prints its address on its first line and ends with its
//! standard input. Called by `main`, which each row runs again as the server.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use gx_devnet::{BlockCutting, Devnet, DevnetOptions};
use gx_fabric_client::{PemSource, Profile};
use gx_fabric_proto::gateway::gateway_server::{Gateway, GatewayServer};
use gx_fabric_proto::gateway::{
    ChaincodeEventsResponse, CommitStatusResponse, EndorseRequest, EndorseResponse,
    EvaluateRequest, EvaluateResponse, SignedChaincodeEventsRequest, SignedCommitStatusRequest,
    SubmitRequest, SubmitResponse,
};
use gx_model::{Clock, SignerRole};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_stream::Stream;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

use crate::error::BenchError;
use crate::stdin_commands;

/// Blocks as an orderer cuts them, with a shorter wait than on a network.
const BLOCK_TRANSACTIONS: usize = 500;
const BLOCK_BYTES: usize = 2 * 1024 * 1024;
const BLOCK_WAIT: Duration = Duration::from_millis(10);

/// The default names of a development ledger.
const CHANNEL: &str = "gxchannel";
const CHAINCODE: &str = "gxtv3";

/// The address of a ledger, with the identities that may sign.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Target {
    pub(crate) endpoint: String,
    pub(crate) tls_root_pem: String,
    /// The name in its TLS certificate, if that is not the host.
    pub(crate) server_name: Option<String>,
    pub(crate) channel: String,
    pub(crate) chaincode: String,
    /// The signers; the empty server needs none.
    pub(crate) signers: Option<Signers>,
}

impl Target {
    /// Reads the file with a server's first line. An error ends the process that needs the server.
    pub(crate) fn read(file: &Path) -> Result<Self, BenchError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| BenchError::File { path: file.to_owned(), source })?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Returns the first peer of the organisation that signs, with both signers of the profile.
    pub(crate) fn of_network(profile: &Path) -> Result<Self, BenchError> {
        let profile = Profile::read(profile).map_err(|why| BenchError::Keys(why.to_string()))?;
        let read = |source: &PemSource| {
            source.read().map_err(|finding| BenchError::Keys(finding.to_string()))
        };
        let missing =
            |what: &str| BenchError::Keys(format!("the connection profile has no {what}; add one"));
        let own = profile.peers.iter().find(|peer| peer.msp_id == profile.msp_id);
        let peer = own.ok_or_else(|| missing("peer of the organisation that signs"))?;
        let signer = |role| {
            let source = profile.signer(role).ok_or_else(|| missing("signer"))?;
            Ok::<_, BenchError>(Signer {
                msp_id: profile.msp_id.clone(),
                certificate_pem: read(&source.certificate)?,
                private_key_pem: read(&source.private_key)?,
            })
        };
        Ok(Self {
            endpoint: peer.endpoint.clone(),
            tls_root_pem: read(&peer.tls_root)?,
            server_name: peer.server_name.clone(),
            channel: profile.channel.clone(),
            chaincode: profile.chaincode.clone(),
            signers: Some(Signers {
                super_admin: signer(SignerRole::SuperAdmin)?,
                admin: signer(SignerRole::Admin)?,
            }),
        })
    }
}

/// The identities that change the ledger.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Signers {
    pub(crate) super_admin: Signer,
    pub(crate) admin: Signer,
}

/// An identity in PEM.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Signer {
    pub(crate) msp_id: String,
    pub(crate) certificate_pem: String,
    pub(crate) private_key_pem: String,
}

/// Runs a development ledger that waits for the disk at every block.
pub(crate) async fn devnet(data_dir: PathBuf) -> Result<(), BenchError> {
    let cutting = BlockCutting::Batch {
        max_count: BLOCK_TRANSACTIONS,
        max_bytes: BLOCK_BYTES,
        max_wait: BLOCK_WAIT,
    };
    let options = DevnetOptions {
        cutting,
        ..DevnetOptions::new(data_dir, Clock::system(), gx_contract::Contracts)
    };
    let devnet = Devnet::start(options).await?;
    let signer = |role| {
        let pem = devnet.identity(role);
        Signer {
            msp_id: pem.msp_id,
            certificate_pem: pem.certificate_pem,
            private_key_pem: pem.private_key_pem,
        }
    };
    let signers =
        Signers { super_admin: signer(SignerRole::SuperAdmin), admin: signer(SignerRole::Admin) };
    print_target(&Target {
        endpoint: devnet.endpoint(),
        tls_root_pem: devnet.tls_root_pem(),
        server_name: None,
        channel: CHANNEL.to_owned(),
        chaincode: CHAINCODE.to_owned(),
        signers: Some(signers),
    })?;
    until_input_ends().await;
    devnet.stop().await;
    Ok(())
}

/// Runs a gateway with TLS that answers submissions without looking at them.
pub(crate) async fn empty() -> Result<(), BenchError> {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()])
        .map_err(|why| BenchError::Keys(why.to_string()))?;
    let pem = certified.cert.pem();
    let identity = Identity::from_pem(&pem, certified.signing_key.serialize_pem());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("localhost:{}", listener.local_addr()?.port());
    print_target(&Target {
        endpoint,
        tls_root_pem: pem,
        server_name: None,
        channel: CHANNEL.to_owned(),
        chaincode: CHAINCODE.to_owned(),
        signers: None,
    })?;
    let serving = Server::builder()
        .tls_config(ServerTlsConfig::new().identity(identity))?
        .add_service(GatewayServer::new(EmptyGateway))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    tokio::select! {
        served = serving => Ok(served?),
        () = until_input_ends() => Ok(()),
    }
}

fn print_target(target: &Target) -> Result<(), BenchError> {
    println!("{}", serde_json::to_string(target)?);
    Ok(())
}

/// Waits for the end of standard input, which tells the process to end.
pub(crate) async fn until_input_ends() {
    let mut orders = stdin_commands::lines();
    while orders.recv().await.is_some() {}
}

/// Acknowledges every Submit without passing it on.
struct EmptyGateway;

#[tonic::async_trait]
impl Gateway for EmptyGateway {
    type ChaincodeEventsStream =
        Pin<Box<dyn Stream<Item = Result<ChaincodeEventsResponse, Status>> + Send>>;

    async fn submit(&self, _: Request<SubmitRequest>) -> Result<Response<SubmitResponse>, Status> {
        Ok(Response::new(SubmitResponse {}))
    }

    async fn evaluate(
        &self,
        _: Request<EvaluateRequest>,
    ) -> Result<Response<EvaluateResponse>, Status> {
        Err(Status::unimplemented("only submissions are answered"))
    }

    async fn endorse(
        &self,
        _: Request<EndorseRequest>,
    ) -> Result<Response<EndorseResponse>, Status> {
        Err(Status::unimplemented("only submissions are answered"))
    }

    async fn commit_status(
        &self,
        _: Request<SignedCommitStatusRequest>,
    ) -> Result<Response<CommitStatusResponse>, Status> {
        Err(Status::unimplemented("only submissions are answered"))
    }

    async fn chaincode_events(
        &self,
        _: Request<SignedChaincodeEventsRequest>,
    ) -> Result<Response<Self::ChaincodeEventsStream>, Status> {
        Err(Status::unimplemented("only submissions are answered"))
    }
}
