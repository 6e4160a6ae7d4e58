//! A one-process development ledger that speaks the Fabric Gateway and Deliver protocols.
