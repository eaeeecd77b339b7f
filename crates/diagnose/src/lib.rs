//! Pure: what a Snapshot means.
