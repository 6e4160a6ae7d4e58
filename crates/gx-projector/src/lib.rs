//! projector: turns blocks into the read model.
