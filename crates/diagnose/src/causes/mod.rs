//! Root causes, one file each. The list is sorted by id; `cargo xtask new-cause` keeps it so.

use crate::cause::Cause;

mod upstream_address_mismatch;
mod wrong_upstream_port;

/// Every cause, sorted by id.
pub static CAUSES: &[&Cause] = &[
    &upstream_address_mismatch::CAUSE,
    &wrong_upstream_port::CAUSE,
];
