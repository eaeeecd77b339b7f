//! The evidence model.
