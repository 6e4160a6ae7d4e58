//! Phases, grants, ages and fees: the constants and the arithmetic on them.
