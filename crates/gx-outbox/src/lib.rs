//! Commands: enqueue in the caller's transaction, lease, settle, reschedule.
