//! What was seen of each address that nginx dials.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{PathNode, Reading};

/// An address that nginx dials.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Peer {
    /// `127.0.0.1:8080`, `[::1]:8080`.
    Tcp(SocketAddr),
    /// `unix:/run/app.sock`; the path only.
    Unix(String),
    /// A name that still has to be resolved: `app.internal:8080`.
    Name {
        /// The host name.
        host: String,
        /// The port.
        port: u16,
    },
    /// What is logged when no peer was chosen: the name of the upstream group.
    Group(String),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Tcp(address) => write!(f, "{address}"),
            Peer::Unix(path) => write!(f, "unix:{path}"),
            Peer::Name { host, port } => write!(f, "{host}:{port}"),
            Peer::Group(name) => f.write_str(name),
        }
    }
}

impl From<Peer> for String {
    fn from(peer: Peer) -> String {
        peer.to_string()
    }
}

impl FromStr for Peer {
    type Err = std::convert::Infallible;

    /// Every text is some peer: what is neither an address, a unix path nor `name:port` is a group's name.
    fn from_str(text: &str) -> Result<Peer, Self::Err> {
        Ok(if let Some(path) = text.strip_prefix("unix:") {
            Peer::Unix(path.trim_end_matches(':').to_owned())
        } else if let Ok(address) = text.parse() {
            Peer::Tcp(address)
        } else if let Some((host, port)) = text.rsplit_once(':')
            && let Ok(port) = port.parse()
            && !host.is_empty()
        {
            Peer::Name { host: host.to_owned(), port }
        } else {
            Peer::Group(text.to_owned())
        })
    }
}

impl From<String> for Peer {
    fn from(text: String) -> Peer {
        text.parse().unwrap_or(Peer::Group(text))
    }
}

/// Everything that was looked up for one address. Fields that make no sense for it are `NotAsked`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeerSight {
    /// The address.
    pub peer: Peer,
    /// The protocols that nginx is configured to speak to it, as nginx's URL schemes: `http`, `fastcgi`, `uwsgi` …
    pub schemes: Vec<String>,
    /// The name in the configuration that gave this address, when it was a name.
    pub name: Option<String>,
    /// The steps of a unix socket's path, from `/` down to the socket; shorter when a step does not exist.
    pub path: Reading<Vec<PathNode>>,
    /// How the kernel would send there.
    pub route: Reading<Route>,
    /// The link-layer neighbour that the packets would go to; none on loopback or when there is no entry.
    pub neighbour: Reading<Option<Neighbour>>,
    /// What the packet filter would do to nginx's very packet.
    pub filter: Reading<FilterVerdict>,
    /// A connection attempt, made from nginx's network namespace.
    pub connect: Reading<ConnectOutcome>,
    /// What answered to which greeting.
    pub greetings: Vec<Greeting>,
    /// What its TLS server shows in the open; none when it shows nothing or was not asked: only peers that fail are.
    #[serde(default)]
    pub tls_flight: Option<TlsFlight>,
    /// For a name: what it resolves to now. For an address that came from a name likewise.
    pub resolution: Reading<Resolution>,
}

impl PeerSight {
    /// A peer of which nothing was looked up yet.
    pub fn new(peer: Peer) -> PeerSight {
        PeerSight {
            peer,
            schemes: Vec::new(),
            name: None,
            path: Reading::not_asked(),
            route: Reading::not_asked(),
            neighbour: Reading::not_asked(),
            filter: Reading::not_asked(),
            connect: Reading::not_asked(),
            greetings: Vec::new(),
            tls_flight: None,
            resolution: Reading::not_asked(),
        }
    }
}

/// A route. Source: RTM_GETROUTE for that destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// `unicast`, `local`, `unreachable`, `prohibit`, `blackhole`, `throw`; `none` when the kernel has no route.
    pub kind: String,
    /// The interface; empty when none.
    pub interface: String,
    /// The gateway, if any.
    pub gateway: Option<IpAddr>,
    /// The source address that the kernel would choose.
    pub source: Option<IpAddr>,
    /// The route as `ip route get` words it, or the kernel's error.
    pub text: String,
}

/// A neighbour entry. Source: RTM_GETNEIGH, ip-neighbour(8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// The next hop.
    pub ip: IpAddr,
    /// `reachable`, `stale`, `delay`, `probe`, `failed`, `incomplete`, `permanent`, `noarp`.
    pub state: String,
}

/// The packet filter's verdict on one packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterVerdict {
    /// What happens to it.
    pub action: FilterAction,
    /// The rule or policy that decides, as its tool prints it; empty for `accept` by default.
    pub rule: String,
    /// Where: `inet filter output`, `iptables INPUT → HARDEN`.
    pub chain: String,
    /// Rules on the way that could not be evaluated (unknown matches, sets not read): then the verdict is not sure.
    pub not_understood: Vec<String>,
    /// Whether the deciding rule's counter moved during our own probe; none without a counter or a probe.
    pub counter_moved: Option<bool>,
}

/// What a packet filter does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FilterAction {
    /// It passes.
    Accept,
    /// It vanishes.
    Drop,
    /// It is refused with a reset or an ICMP message.
    Reject,
}

/// How a connection attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectOutcome {
    /// It was established.
    Connected {
        /// After that many microseconds.
        micros: u64,
    },
    /// The kernel gave this errno.
    Failed {
        /// Such as 111.
        errno: i32,
    },
    /// No answer before the probe's deadline.
    TimedOut {
        /// That deadline in milliseconds.
        after_millis: u64,
    },
}

/// One exchange with a peer: what was said, what came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// The protocol that was spoken.
    pub protocol: Protocol,
    /// What came back.
    pub answer: Answer,
    /// The first bytes of the answer, escaped, or the values that it gave; empty for silence.
    pub detail: String,
}

/// The open part of a TLS handshake, up to TLS 1.2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsFlight {
    /// The server's own certificate first. Those that could not be read are left out.
    pub certificates: Vec<Certificate>,
    /// Whether it asks the client for a certificate.
    pub asks_for_certificate: bool,
}

/// What matters of an X.509 certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The subject's common name, or its organization.
    pub subject: String,
    /// The issuer's, likewise.
    pub issuer: String,
    /// The DNS names and addresses that it is for (subjectAltName), a dozen at most.
    pub names: Vec<String>,
    /// The moment from which on it is valid.
    pub not_before: Timestamp,
    /// The last moment at which it is.
    pub not_after: Timestamp,
}

/// Protocols that a probe can speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// FastCGI FCGI_GET_VALUES: answered by the library, runs no application code.
    Fastcgi,
    /// An HTTP/1.1 `OPTIONS *` request.
    Http,
    /// The uwsgi protocol, with a block that runs no application code.
    Uwsgi,
    /// A TLS ClientHello.
    Tls,
    /// The HTTP/2 connection preface with prior knowledge.
    Http2,
    /// HTTP after a PROXY protocol header.
    ProxyProtocol,
}

/// What a peer answered to a greeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It speaks that protocol.
    Spoken,
    /// It answered in another protocol, which `detail` shows: recognisable as HTTP.
    SpokeHttp,
    /// Likewise TLS (an alert or a hello).
    SpokeTls,
    /// Likewise FastCGI.
    SpokeFastcgi,
    /// Likewise HTTP/2.
    SpokeHttp2,
    /// Bytes that are none of these.
    SpokeOther,
    /// It closed without a byte.
    Closed,
    /// It reset the connection.
    Reset,
    /// It kept the connection open and said nothing before the deadline.
    Silent,
    /// The connection could not be made.
    NotConnected,
}

/// What a name means now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resolution {
    /// The name.
    pub name: String,
    /// As the system's libc resolves it (what nginx does at start): addresses in its order, or the error.
    pub system: Lookup,
    /// As each server of nginx's `resolver` answers (what nginx does at run time): `(server, answer)`.
    pub resolvers: Vec<(String, Lookup)>,
}

/// The answer to one look-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lookup {
    /// These addresses.
    Found(Vec<IpAddr>),
    /// The name does not exist (NXDOMAIN), or has no address of the families asked for.
    NotFound,
    /// The server answered with an error: `SERVFAIL`, `REFUSED`.
    Failed(String),
    /// No answer before the deadline.
    TimedOut,
    /// The server could not be reached at all: the errno's words.
    Unreachable(String),
    /// Not asked.
    NotAsked,
}
