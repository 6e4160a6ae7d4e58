//! The one ledger client: identity, proposal, endorsement, submission, block stream.
