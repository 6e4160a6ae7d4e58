//! `GET /api/v1/ledger`.

use axum::extract::State as Axum;
use gx_outbox::capability::Capability;
use gx_serve::{Problem, Reply};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::State;

/// What the ledger can do now.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LedgerBody {
    capability: CapabilityName,
    /// Code of the reason, while it is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pause_reason: Option<String>,
    /// When it was heard of last, while nobody reaches it.
    #[serde(skip_serializing_if = "Option::is_none", with = "gx_serve::moment::option")]
    contact_at: Option<OffsetDateTime>,
}

/// What the ledger can do now. Orders are taken in every state but `paused`; they wait until it
/// is `available`.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum CapabilityName {
    /// It takes every command.
    Available,
    /// It refuses every change until it is resumed.
    Paused,
    /// It holds no supply yet.
    Empty,
    /// Nobody reaches it at the moment.
    Unreachable,
    /// There is none.
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

/// What the ledger can do now.
#[utoipa::path(
    get,
    path = "/api/v1/ledger",
    tag = "ledger",
    responses((status = 200, description = "As far as the workers know.", body = LedgerBody))
)]
pub(crate) async fn ledger(Axum(state): Axum<State>) -> Result<Reply<LedgerBody>, Problem> {
    let mut conn = state.base.connection().await?;
    Ok(Reply::ok(state.base.capability(&mut conn).await?.into()))
}
