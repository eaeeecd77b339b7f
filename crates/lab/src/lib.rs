//! Throw-away hosts.
