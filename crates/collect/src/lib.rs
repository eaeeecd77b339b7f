//! Every impure reader.

pub mod peer;
pub mod php_fpm;
mod probe;
