//! A World for tests: database, development ledger and all services, with a vocabulary for stories.
