//! HTTP route `GET /api/v1/ledger`, registered by [`crate::service`].

use axum::extract::State;
use gx_outbox::tip::Capability;
use gx_serve::{Problem, Reply};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::ServiceState;

/// Whether the ledger can change accounts now.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LedgerBody {
    capability: CapabilityName,
    /// Reason code of the pause, while the ledger is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pause_reason: Option<String>,
    /// Time of the last contact, while the ledger is unreachable.
    #[serde(skip_serializing_if = "Option::is_none", with = "gx_serve::moment::option")]
    contact_at: Option<OffsetDateTime>,
}

/// Whether the ledger can change accounts now. Transfers are accepted in every state except
/// `paused`, and wait until the state is `available`.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum CapabilityName {
    /// The ledger accepts all commands.
    Available,
    /// The ledger refuses all changes until it is resumed.
    Paused,
    /// The ledger has no supply yet.
    Empty,
    /// No worker reaches the ledger at the moment.
    Unreachable,
    /// No worker has ever reached a ledger.
    Unavailable,
}

impl From<Capability> for LedgerBody {
    fn from(capability: Capability) -> Self {
        let of = |capability| Self { capability, pause_reason: None, contact_at: None };
        match capability {
            Capability::Available => of(CapabilityName::Available),
            Capability::Paused { reason } => {
                Self { pause_reason: Some(reason), ..of(CapabilityName::Paused) }
            }
            Capability::Empty => of(CapabilityName::Empty),
            Capability::Unreachable { contact_at } => {
                Self { contact_at: Some(contact_at), ..of(CapabilityName::Unreachable) }
            }
            Capability::Unavailable => of(CapabilityName::Unavailable),
        }
    }
}

/// Returns whether the ledger can change accounts now.
#[utoipa::path(
    get,
    path = "/api/v1/ledger",
    tag = "ledger",
    responses((status = 200, description = "The state that the workers saw last.", body = LedgerBody))
)]
pub(crate) async fn ledger(
    State(state): State<ServiceState>,
) -> Result<Reply<LedgerBody>, Problem> {
    let mut conn = state.base.connection().await?;
    Ok(Reply::ok(state.base.capability(&mut conn).await?.into()))
}
