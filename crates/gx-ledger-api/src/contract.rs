//! The interface between a contract and the program that runs it. `gx-contract` implements
//! [`Contract`]. The chaincode service (`gx-chaincode`) and the development ledger (`gx-devnet`)
//! implement [`State`], and call the contract once for each proposal that is endorsed or evaluated.

use std::fmt;

use time::OffsetDateTime;

/// The code of a chaincode.
pub trait Contract: fmt::Debug + Send + Sync {
    /// Carries out one call and returns the response. The caller writes [`Response::writes`] to the
    /// state.
    ///
    /// # Errors
    /// [`StateError`] if the state cannot be read; the caller fails the proposal, so that no
    /// transaction exists.
    fn invoke(
        &self,
        state: &mut dyn State,
        call: &ContractCall<'_>,
    ) -> Result<Response, StateError>;
}

/// One call of a chaincode.
#[derive(Clone, Debug)]
pub struct ContractCall<'a> {
    /// The name of the function and its arguments.
    pub args: &'a [Vec<u8>],
    /// The id of the transaction.
    pub tx_id: &'a str,
    /// The time of the transaction; the client sets it.
    pub timestamp: OffsetDateTime,
    /// The attribute `gxc_role` in the certificate of the proposal's signer.
    pub gxc_role: Option<&'a str>,
    /// The organisational units in that certificate.
    pub units: &'a [String],
    /// The chaincode that the signed proposal names.
    pub chaincode_named_in_proposal: &'a str,
    /// The name under which this chaincode was deployed.
    pub own_name: &'a str,
}

/// The state of the ledger, as one transaction or query reads it.
pub trait State {
    /// Returns one value, without the writes of the running transaction.
    ///
    /// # Errors
    /// [`StateError`] if the state cannot be read; the call must then be abandoned.
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, StateError>;

    /// Returns several values in the order of the keys, in as few round trips as possible.
    ///
    /// # Errors
    /// As [`State::get`].
    fn get_many(&mut self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, StateError> {
        keys.iter().map(|key| self.get(key)).collect()
    }

    /// Returns the keys from `start` up to but not including `end`, sorted, with their values, and
    /// fetches as many pages as necessary. Only queries read ranges.
    ///
    /// # Errors
    /// As [`State::get`].
    fn range(&mut self, start: &str, end: &str) -> Result<Vec<(String, Vec<u8>)>, StateError>;
}

/// Error: the state cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger's state cannot be read: {0}")]
pub struct StateError(pub String);

/// The answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// 200, or 400 and more for an error: there are no writes then, and the call must not be
    /// endorsed.
    pub status: i32,
    /// Empty, or a stable code and the cause: `CODE: detail`.
    pub message: String,
    /// JSON: the result of a query or the entry of a direct call. Empty for a batch.
    pub payload: Vec<u8>,
    /// The keys with their new values; `None` deletes the key.
    pub writes: Vec<(String, Option<Vec<u8>>)>,
    /// The name and payload of the one chaincode event.
    pub event: Option<(String, Vec<u8>)>,
}

impl Response {
    /// Status: the call was carried out.
    pub const OK: i32 = 200;
    /// Status: a rule refused the call.
    pub const REFUSED: i32 = 400;
    /// Status: the role of the signer does not allow the function.
    pub const FORBIDDEN: i32 = 403;
    /// Status: the state is damaged.
    pub const DAMAGED: i32 = 500;

    /// Returns a response without writes, payload and event.
    pub fn without_effect(status: i32, message: String) -> Self {
        Self { status, message, payload: vec![], writes: vec![], event: None }
    }
}
