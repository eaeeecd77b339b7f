//! The logs that nginx and its backends write: grammar, catalogue of messages, time windows.
//!
//! Everything here is a function of bytes that the caller hands in. Nothing opens a file, asks the clock or
//! looks at the host (`clippy.toml` sees to that), so the same bytes give the same records everywhere.
//! Records borrow from the buffer they were read from, and no byte string, however hostile, makes a parser
//! panic.
//!
//! * [`error`]: entries of the error log, and [`error::ErrorRecord::symptom`];
//! * [`catalogue`]: which message is which [`Symptom`], and what it means;
//! * [`access`]: access logs, read by the `log_format` in force;
//! * [`split`]: the same grammars at the speed of the disk, for lines that are as usual;
//! * [`window`]: where in a long log a span of time begins;
//! * [`reason`]: why a request failed, in two letters;
//! * [`records`]: every record as JSON or CSV;
//! * [`backend`]: what PHP-FPM, gunicorn, uwsgi, the kernel, systemd and others say when they fail.

pub mod access;
pub mod access_time;
pub mod action;
pub mod backend;
mod block;
mod bytes;
pub mod carrier;
pub mod catalogue;
mod catalogue_table;
pub mod entries;
pub mod errno;
pub mod error;
mod fields;
mod json;
mod kind;
pub mod reason;
mod recognise;
pub mod records;
mod signature;
pub mod split;
pub mod split_error;
mod split_marks;
#[cfg(test)]
mod split_tests;
mod symptom;
pub mod times;
pub mod window;
mod zone;

pub use block::Block;
pub use carrier::{Carried, Carrier, Stream};
pub use kind::{Kind, Program, Shape};
pub use symptom::{Symptom, UnknownSymptom};
pub use zone::zone_from_requests;
