//! Acts as rows of `Proposal` have them. A test reads every act back.

use gx_model::{CountryCode, ReasonCode};
use serde_json::{Value, json};

use super::{Act, ActKind, ActRequest, ActTexts, FreezeAction, PauseAction, SYSTEM};

impl Act {
    pub(crate) fn kind(&self) -> ActKind {
        match self {
            Self::Approve(_) => ActKind::Approve,
            Self::Freeze { action: FreezeAction::Freeze, .. } => ActKind::Freeze,
            Self::Freeze { action: FreezeAction::Unfreeze, .. } => ActKind::Unfreeze,
            Self::Pause(PauseAction::Pause(_)) => ActKind::Pause,
            Self::Pause(PauseAction::Resume) => ActKind::Resume,
            Self::ActivateTreasury(_) => ActKind::ActivateTreasury,
            Self::ResetUserFactors(_) => ActKind::ResetUserFactors,
            Self::ResetAdministratorFactors(_) => ActKind::ResetAdministratorFactors,
        }
    }

    /// Returns what the act is about: the id of a person or administrator, a country, or `SYSTEM`.
    pub(crate) fn target(&self) -> String {
        match self {
            Self::Approve(id)
            | Self::Freeze { profile_id: id, .. }
            | Self::ResetUserFactors(id) => id.to_string(),
            Self::ResetAdministratorFactors(id) => id.to_string(),
            Self::ActivateTreasury(country) => country.to_string(),
            Self::Pause(_) => SYSTEM.to_owned(),
        }
    }
}

impl ActRequest {
    /// Returns the codes of the act.
    pub(crate) fn arguments(&self) -> Value {
        match &self.act {
            Act::Freeze { reason, .. } | Act::Pause(PauseAction::Pause(reason)) => {
                json!({ "reasonCode": reason.to_string() })
            }
            _ => json!({}),
        }
    }

    /// Returns what the administrator wrote.
    pub(crate) fn stored_texts(&self) -> Value {
        json!({ "reason": self.texts.reason, "notes": self.texts.notes })
    }

    /// Returns the request that a row has, or `None` if another release wrote it.
    pub(crate) fn from_stored(
        act: &str,
        target: &str,
        arguments: &Value,
        texts: &Value,
    ) -> Option<Self> {
        let reason = || arguments["reasonCode"].as_str()?.parse::<ReasonCode>().ok();
        let freeze = |action| {
            let profile_id = target.to_owned().into();
            Some(Act::Freeze { profile_id, action, reason: reason()? })
        };
        let act = match ActKind::from_name(act)? {
            ActKind::Approve => Act::Approve(target.to_owned().into()),
            ActKind::Freeze => freeze(FreezeAction::Freeze)?,
            ActKind::Unfreeze => freeze(FreezeAction::Unfreeze)?,
            ActKind::Pause => Act::Pause(PauseAction::Pause(reason()?)),
            ActKind::Resume => Act::Pause(PauseAction::Resume),
            ActKind::ActivateTreasury => Act::ActivateTreasury(target.parse::<CountryCode>().ok()?),
            ActKind::ResetUserFactors => Act::ResetUserFactors(target.to_owned().into()),
            ActKind::ResetAdministratorFactors => {
                Act::ResetAdministratorFactors(target.to_owned().into())
            }
        };
        let text = |name: &str| texts[name].as_str().map(str::to_owned);
        Some(Self { act, texts: ActTexts { reason: text("reason"), notes: text("notes") } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// KYC-03: what is confirmed is what was proposed: every act is read back as it was stored.
    #[test]
    fn kyc_03_every_act_is_read_back_as_it_was_proposed() {
        let reason: ReasonCode = "COURT_ORDER".parse().unwrap();
        let person = || "01939b3c".to_owned().into();
        let freeze = |action| Act::Freeze { profile_id: person(), action, reason: reason.clone() };
        let acts = [
            Act::Approve(person()),
            freeze(FreezeAction::Freeze),
            freeze(FreezeAction::Unfreeze),
            Act::Pause(PauseAction::Pause(reason.clone())),
            Act::Pause(PauseAction::Resume),
            Act::ActivateTreasury("MY".parse().unwrap()),
            Act::ResetUserFactors(person()),
            Act::ResetAdministratorFactors("01939b3d".to_owned().into()),
        ];
        assert_eq!(acts.clone().map(|act| act.kind()), ActKind::ALL);
        for act in acts {
            let texts = ActTexts { reason: Some("phone lost".to_owned()), notes: None };
            let wanted = ActRequest { act, texts };
            let read = ActRequest::from_stored(
                wanted.act.kind().name(),
                &wanted.act.target(),
                &wanted.arguments(),
                &wanted.stored_texts(),
            );
            assert_eq!(read, Some(wanted));
        }
        assert_eq!(ActRequest::from_stored("DANCE", "", &json!({}), &json!({})), None);
    }
}
