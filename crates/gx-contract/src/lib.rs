//! The ledger's rules as pure functions: state read and command in, writes and events out.
