//! Routes and link-layer neighbours, asked of the kernel by rtnetlink(7).
//!
//! The kernel answers a look-up with the route, or with the errno that connect(2) would give. Which `unreachable`,
//! `prohibit` or `blackhole` route that errno came from is only found by reading all tables; that is left to `ip`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netdevice, recv, sendto, socket_with,
};
use snapshot::{Neighbour, Reading, Reason, Route, Unread};

use crate::host::command;
use crate::probe::connect::until;

// linux/netlink.h, linux/rtnetlink.h, linux/neighbour.h
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const RTM_NEWNEIGH: u16 = 28;
const RTM_GETNEIGH: u16 = 30;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PREFSRC: u16 = 7;
const RTA_VIA: u16 = 18;
const RTA_UID: u16 = 25;
const NDA_DST: u16 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const MESSAGE_HEADER_BYTES: usize = 16;
const ROUTE_HEADER_BYTES: usize = 12;

/// An rtnetlink socket of the calling thread's network namespace.
pub(super) struct Kernel {
    socket: OwnedFd,
    deadline: Instant,
    /// All routes as `ip` prints them, by family; read when a refusal has to be explained.
    tables: [OnceLock<String>; 2],
}

impl Kernel {
    pub(super) fn open(deadline: Instant) -> Result<Kernel, Unread> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None).map_err(|errno| {
            let reason = if errno == Errno::ACCESS || errno == Errno::PERM {
                Reason::Denied
            } else {
                Reason::Unsupported
            };
            Unread { reason, source: "rtnetlink".into(), detail: errno.to_string() }
        })?;
        Ok(Kernel { socket, deadline, tables: Default::default() })
    }

    /// The route to `destination` for a socket of user `uid` (`ip rule` may ask for it).
    pub(super) fn route(&self, destination: IpAddr, uid: Option<u32>) -> Result<Route, Unread> {
        let mut body = vec![family(destination), prefix_length(destination)];
        body.extend([0; ROUTE_HEADER_BYTES - 2]);
        attribute(&mut body, RTA_DST, &octets(destination));
        if let Some(uid) = uid {
            attribute(&mut body, RTA_UID, &uid.to_ne_bytes());
        }
        match self.ask(RTM_GETROUTE, &body, "RTM_GETROUTE")? {
            Ok(reply) => {
                parse_route(&reply, |index| self.interface(index)).ok_or_else(|| malformed("RTM_GETROUTE"))
            }
            Err(errno) => Ok(self.refusal(destination, errno)),
        }
    }

    /// The neighbour that packets on that route go to.
    pub(super) fn neighbour(&self, destination: IpAddr, route: &Route) -> Result<Option<Neighbour>, Unread> {
        if route.kind != "unicast" || route.interface.is_empty() {
            return Ok(None);
        }
        let next_hop = route.gateway.unwrap_or(destination);
        let Ok(index) = netdevice::name_to_index(&self.socket, &route.interface) else { return Ok(None) };
        let mut body = vec![family(next_hop), 0, 0, 0];
        body.extend(index.to_ne_bytes());
        body.extend([0; 4]);
        attribute(&mut body, NDA_DST, &octets(next_hop));
        match self.ask(RTM_GETNEIGH, &body, "RTM_GETNEIGH")? {
            Ok(reply) => match parse_neighbour_state(&reply) {
                Some(state) => Ok(Some(Neighbour { ip: next_hop, state })),
                None => Err(malformed("RTM_GETNEIGH")),
            },
            Err(Errno::NOENT) => Ok(None),
            // Before Linux 5.0 single entries cannot be asked for.
            Err(errno) => Err(Unread {
                reason: Reason::Unsupported,
                source: "RTM_GETNEIGH".into(),
                detail: errno.to_string(),
            }),
        }
    }

    /// Sends one request and reads its answer: the message, or the errno that the kernel gave instead.
    fn ask(&self, kind: u16, body: &[u8], source: &str) -> Result<Result<Vec<u8>, Errno>, Unread> {
        let unread = |reason, detail: String| Unread { reason, source: source.to_owned(), detail };
        let failed = |errno: Errno| unread(Reason::Unsupported, errno.to_string());
        let length = (MESSAGE_HEADER_BYTES + body.len()) as u32;
        let mut request = length.to_ne_bytes().to_vec();
        request.extend(kind.to_ne_bytes());
        request.extend(NLM_F_REQUEST.to_ne_bytes());
        // One request at a time: no sequence number is needed to tell the answers apart.
        request.extend([0; 8]);
        request.extend(body);
        sendto(&self.socket, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0)).map_err(failed)?;
        let mut buffer = vec![0; 8192];
        loop {
            let mut waiting = [PollFd::new(&self.socket, PollFlags::IN)];
            match poll(&mut waiting, Some(&until(self.deadline))) {
                Ok(0) => return Err(unread(Reason::TimedOut, "no answer from the kernel".into())),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(failed(errno)),
            }
            match recv(&self.socket, &mut buffer[..], RecvFlags::empty()) {
                Ok((bytes, _)) => return reply(&buffer[..bytes], source),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
    }

    fn interface(&self, index: u32) -> String {
        netdevice::index_to_name(&self.socket, index).unwrap_or_default()
    }

    /// Names a refused look-up by its errno (fib_props in net/ipv4/fib_semantics.c) and quotes the route behind it.
    fn refusal(&self, destination: IpAddr, errno: Errno) -> Route {
        let kind = match errno {
            Errno::HOSTUNREACH => "unreachable",
            Errno::ACCESS => "prohibit",
            Errno::INVAL => "blackhole",
            Errno::AGAIN => "throw",
            _ => "none",
        };
        let quoted = if kind == "none" { None } else { quote(self.table(destination), kind, destination) };
        Route {
            kind: kind.into(),
            interface: String::new(),
            gateway: None,
            source: None,
            text: quoted.unwrap_or_else(|| format!("RTNETLINK answers: {}", words(errno))),
        }
    }

    fn table(&self, destination: IpAddr) -> &str {
        let (table, family) = if destination.is_ipv4() { (0, "-4") } else { (1, "-6") };
        self.tables[table].get_or_init(|| {
            let output =
                command::run("ip", &[family, "route", "show", "table", "all"], self.deadline, "ip route");
            output.map(|it| String::from_utf8_lossy(&it.stdout).into_owned()).unwrap_or_default()
        })
    }
}

/// As a reading of the route to `destination`.
pub(super) fn reading(
    route: Result<Route, Unread>,
    destination: IpAddr,
    at: jiff::Timestamp,
) -> Reading<Route> {
    match route {
        Ok(route) => Reading::seen(route, format!("ip route get {destination}"), at),
        Err(unread) => Reading::Unread(unread),
    }
}

fn malformed(source: &str) -> Unread {
    Unread {
        reason: Reason::Malformed,
        source: source.into(),
        detail: "an answer that ends too early".into(),
    }
}

/// The kernel's words for an errno, without its number.
fn words(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn family(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { AF_INET } else { AF_INET6 }
}

fn prefix_length(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(octets).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|it| Ipv6Addr::from(it).into())
}

fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    body.extend((value.len() as u16 + 4).to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

fn attributes(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    while let [a, b, c, d, ..] = bytes {
        let length = usize::from(u16::from_ne_bytes([*a, *b]));
        let Some(value) = bytes.get(4..length) else { break };
        found.push((u16::from_ne_bytes([*c, *d]), value));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

fn reply(bytes: &[u8], source: &str) -> Result<Result<Vec<u8>, Errno>, Unread> {
    let kind = bytes.get(4..6).map(|it| u16::from_ne_bytes([it[0], it[1]]));
    match (kind, bytes.get(MESSAGE_HEADER_BYTES..)) {
        (Some(NLMSG_ERROR), Some([a, b, c, d, ..])) => {
            Ok(Err(Errno::from_raw_os_error(i32::from_ne_bytes([*a, *b, *c, *d]).saturating_neg().max(1))))
        }
        (Some(RTM_NEWROUTE | RTM_NEWNEIGH), Some(body)) => Ok(Ok(body.to_vec())),
        _ => Err(malformed(source)),
    }
}

fn parse_route(body: &[u8], interface: impl Fn(u32) -> String) -> Option<Route> {
    let kind = *body.get(7)?;
    let mut route = Route {
        kind: kind_name(kind).into(),
        interface: String::new(),
        gateway: None,
        source: None,
        text: String::new(),
    };
    let mut destination = None;
    for (kind, value) in attributes(body.get(ROUTE_HEADER_BYTES..)?) {
        match kind {
            RTA_DST => destination = address(value),
            RTA_OIF => route.interface = interface(u32::from_ne_bytes(value.try_into().ok()?)),
            RTA_GATEWAY => route.gateway = address(value),
            // A gateway of the other family: its family in two bytes goes first.
            RTA_VIA => route.gateway = address(value.get(2..)?),
            RTA_PREFSRC => route.source = address(value),
            _ => {}
        }
    }
    let mut words = Vec::new();
    if route.kind != "unicast" {
        words.push(route.kind.clone());
    }
    words.extend(destination.map(|it| it.to_string()));
    words.extend(route.gateway.map(|it| format!("via {it}")));
    if !route.interface.is_empty() {
        words.push(format!("dev {}", route.interface));
    }
    words.extend(route.source.map(|it| format!("src {it}")));
    route.text = words.join(" ");
    Some(route)
}

/// rtm_type of linux/rtnetlink.h.
fn kind_name(kind: u8) -> &'static str {
    match kind {
        1 => "unicast",
        2 => "local",
        3 => "broadcast",
        4 => "anycast",
        5 => "multicast",
        6 => "blackhole",
        7 => "unreachable",
        8 => "prohibit",
        9 => "throw",
        _ => "unknown",
    }
}

/// NUD_* of linux/neighbour.h.
fn parse_neighbour_state(body: &[u8]) -> Option<String> {
    let state = body.get(8..10)?;
    let name = match u16::from_ne_bytes([state[0], state[1]]) {
        0x01 => "incomplete",
        0x02 => "reachable",
        0x04 => "stale",
        0x08 => "delay",
        0x10 => "probe",
        0x20 => "failed",
        0x40 => "noarp",
        0x80 => "permanent",
        _ => "none",
    };
    Some(name.into())
}

/// The line of `ip route` of that kind whose prefix holds the address most narrowly.
fn quote(table: &str, kind: &str, destination: IpAddr) -> Option<String> {
    let lines = table.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let prefix = (words.next()? == kind).then(|| words.next()).flatten()?;
        Some((narrowness(prefix, destination)?, line.trim()))
    });
    lines.max_by_key(|(narrowness, _)| *narrowness).map(|(_, line)| line.to_owned())
}

/// The length of the prefix, if it holds the address.
fn narrowness(prefix: &str, destination: IpAddr) -> Option<u8> {
    if prefix == "default" {
        return Some(0);
    }
    let (network, length) = match prefix.split_once('/') {
        Some((network, length)) => (network, length.parse().ok()?),
        None => (prefix, prefix_length(destination)),
    };
    super::filter::within(destination, network.parse().ok()?, length).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_a_local_route() {
        let kernel = Kernel::open(Instant::now() + std::time::Duration::from_secs(2)).ok().unwrap();
        let route = kernel.route("127.0.0.1".parse().unwrap(), Some(33)).ok().unwrap();
        assert_eq!(route.text, "local 127.0.0.1 dev lo src 127.0.0.1");
        assert_eq!(kernel.neighbour("127.0.0.1".parse().unwrap(), &route).ok().unwrap(), None);
    }

    #[test]
    fn a_route_by_a_gateway_is_worded_and_every_prefix_is_survived() {
        let mut body = vec![AF_INET, 32, 0, 0, 254, 2, 0, 1, 0, 0, 0, 0];
        attribute(&mut body, RTA_DST, &[10, 1, 2, 3]);
        attribute(&mut body, RTA_OIF, &2u32.to_ne_bytes());
        attribute(&mut body, RTA_GATEWAY, &[10, 0, 0, 1]);
        attribute(&mut body, RTA_PREFSRC, &[10, 0, 0, 5]);
        let route = parse_route(&body, |_| "eth0".into()).unwrap();
        assert_eq!(route.text, "10.1.2.3 via 10.0.0.1 dev eth0 src 10.0.0.5");
        for end in 0..body.len() {
            let _ = parse_route(&body[..end], |_| String::new());
            let _ = parse_neighbour_state(&body[..end]);
            let _ = reply(&body[..end], "test");
        }
    }

    #[test]
    fn the_narrowest_route_of_that_kind_is_quoted() {
        let table = "default via 10.0.0.1 dev eth0 \nprohibit 10.9.0.0/16 \nprohibit 10.9.1.0/24 metric 5 \n\
            unreachable 10.9.1.7 table 7\nunreachable default dev lo metric 4294967295 error -101 pref medium\n";
        let quoted = |kind, to: &str| quote(table, kind, to.parse().unwrap());
        assert_eq!(quoted("prohibit", "10.9.1.7").as_deref(), Some("prohibit 10.9.1.0/24 metric 5"));
        assert_eq!(quoted("unreachable", "10.9.1.7").as_deref(), Some("unreachable 10.9.1.7 table 7"));
        assert_eq!(quoted("blackhole", "10.9.1.7"), None);
    }
}
