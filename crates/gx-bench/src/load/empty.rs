//! Calls over the same transport to a gateway that does nothing. They are a part of the limits of
//! the devnet rows and of the row `submitter-idle`.

use gx_fabric_proto::gateway::SubmitRequest;
use gx_fabric_proto::gateway::gateway_client::GatewayClient;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use super::spread;
use crate::error::BenchError;
use crate::server::Target;

/// The connection to the gateway, which the first call makes.
pub(crate) struct Empty(GatewayClient<Channel>);

impl Empty {
    pub(crate) fn prepare(target: &Target) -> Result<Self, BenchError> {
        let tls =
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&target.tls_root_pem));
        let endpoint = Endpoint::from_shared(format!("https://{}", target.endpoint))?;
        Ok(Self(GatewayClient::new(endpoint.tls_config(tls)?.connect_lazy())))
    }

    pub(crate) async fn carry_out(&self, operations: u64) -> Result<(), BenchError> {
        let client = self.0.clone();
        let call = move |_| {
            let mut client = client.clone();
            async move {
                client.submit(SubmitRequest::default()).await?;
                Ok(())
            }
        };
        spread(0, operations, call).await
    }
}
