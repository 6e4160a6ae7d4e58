//! Asks the chain by evaluations, which need no transaction, with a limited number at a time.
//! Called by `fact_reader`. One question that fails ends the comparison.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use gx_fabric_client::Ledger;
use gx_model::{Country, CountryCode, GrantRefusal, Qirat, ReasonCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::VerifyError;
use crate::leader::StepProgress;

/// Answer of `AdminContract:GetSystemStatus`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SystemView {
    pub(super) bootstrapped: bool,
    pub(super) paused: bool,
    pub(super) reason_code: Option<ReasonCode>,
    pub(super) share_ppb: u64,
}

/// Answer of `AdminContract:GetCountryStats`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CountryView {
    pub(super) country: Country,
    pub(super) users: u64,
    pub(super) user_total: Qirat,
    pub(super) treasury_total: Qirat,
    pub(super) treasury_balance: Qirat,
    pub(super) treasury_active: bool,
}

/// Answer of `IdentityContract:GetUser`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserView {
    pub(super) user_id: String,
    pub(super) nationality: CountryCode,
    pub(super) tx_id: String,
    pub(super) balance: Qirat,
    pub(super) standing: StandingView,
    pub(super) grant: Option<GrantView>,
}

/// Whether an account may spend.
#[derive(Debug, Deserialize)]
#[serde(tag = "is", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
pub(super) enum StandingView {
    Open {},
    Locked {},
    Frozen { reason_code: ReasonCode },
}

/// A person's grant.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GrantView {
    pub(super) tx_id: String,
    pub(super) phase: Option<u8>,
    pub(super) amount: Qirat,
    pub(super) refusal: Option<GrantRefusal>,
}

/// One pool in the answer of `TokenomicsContract:GetPoolStatus`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PoolView {
    pub(super) pool_id: String,
    pub(super) balance: Qirat,
}

/// Answer of `TokenomicsContract:GetSupplyStatus`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SupplyView {
    pub(super) in_pools: Qirat,
    pub(super) in_circulation: Qirat,
    pub(super) users: u64,
}

/// Asks the chain.
#[derive(Clone, Debug)]
pub(super) struct ChainReader {
    pub(super) ledger: Ledger,
    /// Limit of the questions at a time, because a peer limits its gateway calls.
    pub(super) questions_at_once: usize,
    /// Progress of the step that is told of each answer.
    pub(super) progress: StepProgress,
}

impl ChainReader {
    pub(super) async fn system(&self) -> Result<SystemView, VerifyError> {
        self.ask("AdminContract:GetSystemStatus", None).await
    }

    pub(super) async fn pools(&self) -> Result<Vec<PoolView>, VerifyError> {
        self.ask("TokenomicsContract:GetPoolStatus", None).await
    }

    pub(super) async fn supply(&self) -> Result<SupplyView, VerifyError> {
        self.ask("TokenomicsContract:GetSupplyStatus", None).await
    }

    /// Returns each named country, in order; `None` for a country that the chain does not have.
    pub(super) async fn countries(
        &self,
        codes: &[String],
    ) -> Result<Vec<Option<CountryView>>, VerifyError> {
        self.ask_each("AdminContract:GetCountryStats", codes).await
    }

    /// Returns each named person, in order; `None` for a person that the chain does not have.
    pub(super) async fn users(&self, ids: &[String]) -> Result<Vec<Option<UserView>>, VerifyError> {
        self.ask_each("IdentityContract:GetUser", ids).await
    }

    async fn ask_each<T: DeserializeOwned>(
        &self,
        function: &'static str,
        arguments: &[String],
    ) -> Result<Vec<T>, VerifyError> {
        // Each future owns its argument, so that it can move between threads.
        let questions = arguments.iter().cloned().map(|argument| {
            let chain = self.clone();
            async move { chain.ask(function, Some(argument)).await }
        });
        stream::iter(questions).buffered(self.questions_at_once).try_collect().await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        function: &'static str,
        argument: Option<String>,
    ) -> Result<T, VerifyError> {
        let arguments: Vec<String> = argument.into_iter().collect();
        let answer = self.ledger.evaluate(function, &arguments).await;
        self.progress.beat();
        let answer = answer?;
        serde_json::from_slice(&answer).map_err(|why| VerifyError::Unreadable { function, why })
    }
}
