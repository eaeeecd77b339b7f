//! One real request that the operator agreed to: through nginx, and the same one straight to its peers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ConnectOutcome, Peer};

/// A GET request through nginx and, beside it, without nginx.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The URL as asked for.
    pub url: String,
    /// The Host header.
    pub host: String,
    /// Path and arguments, as sent.
    pub target: String,
    /// Through nginx's own listener on this host, whatever the name resolves to.
    pub through: Exchange,
    /// To each peer that the configuration chooses for that URL, in the protocol that nginx speaks to it. Empty when it
    /// chooses none.
    pub straight: Vec<Exchange>,
    /// Why no peer was asked, or which part of what nginx would do could not be imitated; empty when there is nothing to say.
    pub remark: String,
}

/// One request and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// What was dialled.
    pub to: Peer,
    /// The protocol, as nginx's URL schemes: `http`, `https`, `fastcgi`, `uwsgi` …
    pub scheme: String,
    /// When it began.
    pub sent_at: Timestamp,
    /// Until the end of it, in seconds.
    pub seconds: f64,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A whole response header came.
    Answered(Answered),
    /// No connection.
    NotConnected(ConnectOutcome),
    /// A connection, but no TLS on it: the library's words.
    NoHandshake(String),
    /// It was closed in good order before a whole header had come.
    Closed {
        /// So many bytes had come.
        received_bytes: u64,
    },
    /// It was reset before a whole header had come.
    Reset,
    /// No whole header before we gave up, which is `seconds` later.
    Silent,
    /// What came is not that protocol: its first bytes, escaped.
    SpokeOther(String),
    /// Nobody here speaks that protocol.
    NotAsked,
}

/// A response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// Its status.
    pub status: u16,
    /// Seconds until the whole header was there.
    pub header_seconds: f64,
    /// Size of the header with its empty line, and without the framing of FastCGI.
    pub header_bytes: u64,
    /// As much of the body as came before it ended, or before we had seen enough.
    pub body_bytes: u64,
    /// The Server header; empty when there is none.
    pub server: String,
    /// The Location header; empty when there is none.
    pub location: String,
}

impl Exchange {
    /// The response, if there was one.
    pub fn answered(&self) -> Option<&Answered> {
        match &self.outcome {
            Outcome::Answered(it) => Some(it),
            _ => None,
        }
    }
}
