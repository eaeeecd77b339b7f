//! Every impure reader.
