//! The network stack: listeners with their queues, addresses, counters.

use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Reading;

/// The network of nginx's namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Net {
    /// Listening TCP sockets of both families.
    pub listeners: Reading<Vec<Listener>>,
    /// Listening unix sockets.
    pub unix_listeners: Reading<Vec<UnixListener>>,
    /// Addresses of this host's interfaces.
    pub addresses: Reading<Vec<Address>>,
    /// TCP connections, counted by remote address and state.
    pub connections: Reading<Vec<Connections>>,
    /// Counters of the namespace since its start (`/proc/net/netstat`, `/proc/net/snmp`): `TcpExtListenOverflows` …
    pub counters: Reading<Vec<(String, u64)>>,
    /// Settings such as `net.core.somaxconn`, `net.ipv4.ip_local_port_range`, `net.ipv6.conf.all.disable_ipv6`.
    pub settings: Reading<Vec<(String, String)>>,
    /// The other network namespaces of this machine, as far as programs live in them.
    #[serde(default = "Reading::not_asked")]
    pub other_networks: Reading<Vec<OtherNetwork>>,
}

/// Another network namespace of this machine: a container's, or the host's own where nginx lives in a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OtherNetwork {
    /// Whose it is, in sentences: `the host`, `container 3b4e5f607182`, `shop.service`.
    pub name: String,
    /// Whether it is the one that the host itself lives in.
    pub is_host: bool,
    /// Its addresses, without those of loopback.
    pub addresses: Vec<IpAddr>,
    /// Its listening TCP sockets.
    pub listeners: Vec<Listener>,
}

/// A listening TCP socket. Source: sock_diag(7), else /proc/net/tcp{,6}.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listener {
    /// Where it listens.
    pub address: SocketAddr,
    /// An IPv6 wildcard that refuses IPv4 (IPV6_V6ONLY); false for IPv4. None when it cannot be told (/proc).
    pub v6_only: Option<bool>,
    /// Connections that wait to be accepted.
    pub waiting: u32,
    /// The backlog; none where the source does not tell (/proc).
    pub backlog: Option<u32>,
    /// Pids of the processes that hold it, as far as they may be seen; the oldest first.
    pub pids: Vec<u32>,
    /// Inode of the socket; 0 when unknown.
    pub inode: u64,
    /// Uid that made it.
    pub uid: u32,
}

/// A listening unix socket. Source: sock_diag(7) with UDIAG_SHOW_RQLEN, else /proc/net/unix (no queue there).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnixListener {
    /// Its path; an abstract one begins with `@`. As the owner bound it: it may be relative, and the file may be gone.
    pub path: String,
    /// Connections that wait to be accepted; none where the source does not tell.
    pub waiting: Option<u32>,
    /// The backlog; none likewise.
    pub backlog: Option<u32>,
    /// Pids of the processes that hold it; the oldest first.
    pub pids: Vec<u32>,
    /// Inode of the socket (not of the file).
    pub inode: u64,
    /// Whether the file at `path` exists and is this socket's (same device and inode); none when it cannot be told.
    pub reachable: Option<bool>,
}

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// Prefix length.
    pub prefix_length: u8,
    /// The interface.
    pub interface: String,
    /// Whether the interface is up.
    pub up: bool,
}

/// How many connections there are to one remote address, or accepted on one local one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// The service's address: the remote one of connections that this host opened, the local one of accepted ones.
    pub address: SocketAddr,
    /// True when this host opened them.
    pub outgoing: bool,
    /// `established`, `syn-sent`, `time-wait`, `close-wait` … as ss(8) names them.
    pub state: String,
    /// How many.
    pub count: u32,
}

impl Net {
    /// A network that nobody looked at.
    pub fn unread() -> Net {
        Net {
            listeners: Reading::not_asked(),
            unix_listeners: Reading::not_asked(),
            addresses: Reading::not_asked(),
            connections: Reading::not_asked(),
            counters: Reading::not_asked(),
            settings: Reading::not_asked(),
            other_networks: Reading::not_asked(),
        }
    }

    /// Loopback and one LAN address, nothing listening.
    pub fn quiet(now: Timestamp) -> Net {
        let address = |ip: &str, prefix_length, interface: &str| Address {
            ip: ip.parse().expect("a constant"),
            prefix_length,
            interface: interface.into(),
            up: true,
        };
        let addresses =
            vec![address("127.0.0.1", 8, "lo"), address("::1", 128, "lo"), address("10.0.0.5", 24, "eth0")];
        Net {
            listeners: Reading::seen(Vec::new(), "sock_diag", now),
            unix_listeners: Reading::seen(Vec::new(), "sock_diag", now),
            addresses: Reading::seen(addresses, "getifaddrs", now),
            connections: Reading::seen(Vec::new(), "sock_diag", now),
            counters: Reading::seen(Vec::new(), "/proc/net/netstat", now),
            settings: Reading::seen(Vec::new(), "/proc/sys/net", now),
            other_networks: Reading::seen(Vec::new(), "sock_diag", now),
        }
    }

    /// A counter, by name, if the counters were read and have it.
    pub fn counter(&self, name: &str) -> Option<u64> {
        self.counters.value()?.iter().find(|(it, _)| it == name).map(|(_, count)| *count)
    }

    /// A setting, by name.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.value()?.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }
}

impl Listener {
    /// Whether a connection to `dialled` reaches this socket. A wildcard accepts every address of its family, an IPv6
    /// one without V6ONLY also IPv4.
    pub fn accepts(&self, dialled: SocketAddr) -> bool {
        if self.address.port() != dialled.port() {
            return false;
        }
        match (self.address.ip(), dialled.ip()) {
            (mine, theirs) if mine == theirs => true,
            (IpAddr::V4(mine), IpAddr::V4(_)) => mine.is_unspecified(),
            (IpAddr::V6(mine), IpAddr::V6(_)) => mine.is_unspecified(),
            (IpAddr::V6(mine), IpAddr::V4(theirs)) => {
                mine.to_ipv4_mapped() == Some(theirs) || mine.is_unspecified() && self.v6_only != Some(true)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) => false,
        }
    }
}
