//! What is known of each address that nginx dials: the path to its socket, the route, the packet filter's verdict, a
//! connection attempt, what answers, what its name means now.
//!
//! Everything here looks as nginx would: from its network namespace, below its root directory, with its worker's user.
//! Nothing here may outlast the deadline, whatever hangs; a part that does is said to have timed out.

use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;
use snapshot::{Peer, PeerSight, WorkerUser};

/// An address to look at, and how nginx speaks to it.
#[derive(Debug, Clone)]
pub struct PeerRequest {
    /// The address.
    pub peer: Peer,
    /// nginx's URL schemes for it: `http`, `https`, `fastcgi`, `uwsgi`, `grpc` …
    pub schemes: Vec<String>,
    /// The name in the configuration that gave this address, when it was a name.
    pub name: Option<String>,
    /// The arguments of the `resolver` directive in force: servers, and parameters such as `ipv6=off`.
    pub resolvers: Vec<String>,
    /// The name for SNI, when nginx sends one.
    pub ssl_name: Option<String>,
    /// The Host header that nginx sends, when it is constant.
    pub host_header: Option<String>,
    /// Whether the logs show failures at this address.
    pub failing: bool,
}

/// From where to look, and how far.
#[derive(Debug, Clone)]
pub struct PeerContext<'a> {
    /// The user of nginx's workers, for permissions and for `skuid` rules.
    pub worker_user: Option<&'a WorkerUser>,
    /// nginx's root directory, when it is not the collector's.
    pub root: Option<&'a Path>,
    /// The network namespace to look from, `/proc/PID/ns/net`; none when it is the collector's own.
    pub network: Option<PathBuf>,
    /// When everything has to be over.
    pub deadline: Instant,
    /// How far probes may go.
    pub probe: ProbeLevel,
    /// The snapshot's "now".
    pub collected_at: Timestamp,
}

/// How far probes may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeLevel {
    /// Connections and greetings.
    Full,
    /// Connections only.
    Connect,
    /// No packet leaves.
    None,
}

/// Looks at all peers side by side.
pub fn look(requests: &[PeerRequest], _context: &PeerContext) -> Vec<PeerSight> {
    requests.iter().map(|request| PeerSight::new(request.peer.clone())).collect()
}
