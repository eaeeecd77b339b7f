//! What every file in `causes` uses.

pub use std::net::{IpAddr, SocketAddr};

pub use jiff::{SignedDuration, Timestamp};
pub use nginx_logs::Symptom;
pub use nginx_logs::backend::EventKind;
pub use snapshot::{
    Answer, ConnectOutcome, FilterAction, Listener, Lookup, NodeKind, Peer, Process, Protocol, Reading, Unit,
};

#[cfg(test)]
pub use snapshot::PeerSight;

pub use crate::app::AppKind;
pub use crate::case::{Blind, Case, plural, times};
pub use crate::cause;
pub use crate::cause::Judge;
pub(crate) use crate::course;
pub(crate) use crate::lines;
pub use crate::lines::fits;
pub use crate::report::Fix;
pub use crate::scene::Scene;
pub use crate::service::{Backend, Elsewhere, elsewhere};
pub use crate::verdict::{Fact, Factual, Found, Verdict, confirmed, likely, possible};
