//! Addresses, counters and settings of a network namespace. Source: rtnetlink(7), /proc/net/{netstat,snmp}, /proc/sys/net.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use snapshot::{Address, Net, OtherNetwork, Reading, Unread};

use super::netlink::{attributes, dump, u32_at};
use super::{obstacle, sockets, text};
use crate::task::start;

/// RTM_GETLINK and RTM_GETADDR of linux/rtnetlink.h.
const GET_LINK: u16 = 18;
const GET_ADDRESS: u16 = 22;

/// The settings that decide about connections.
const SETTINGS: &[&str] = &[
    "net.core.somaxconn",
    "net.core.netdev_max_backlog",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_abort_on_overflow",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_max_tw_buckets",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_syn_retries",
    "net.ipv4.ip_nonlocal_bind",
    "net.ipv6.conf.all.disable_ipv6",
    "net.ipv6.conf.default.disable_ipv6",
    "net.ipv6.conf.lo.disable_ipv6",
    "net.ipv6.bindv6only",
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_count",
    "net.unix.max_dgram_qlen",
];

/// Everything of the network that nginx lives in.
#[derive(Debug, Clone)]
pub struct Place {
    /// The network namespace to look from, such as `/proc/PID/ns/net`; none for our own.
    pub network: Option<PathBuf>,
    /// Where nginx sees files: `/`, or `/proc/PID/root`.
    pub root: PathBuf,
}

/// Reads the network; must run on a thread of its own, which stays in that namespace.
pub fn read(place: &Place, at: Timestamp, deadline: Instant) -> Net {
    if let Some(network) = &place.network
        && let Err(unread) = enter(network)
    {
        return nothing(&unread);
    }
    let sockets = sockets::read(&place.root, at, deadline);
    Net {
        listeners: sockets.listeners,
        unix_listeners: sockets.unix_listeners,
        connections: sockets.connections,
        addresses: match addresses(deadline) {
            Ok(addresses) => Reading::seen(addresses, "rtnetlink", at),
            Err(error) => Reading::Unread(obstacle("rtnetlink", &error)),
        },
        // /proc/net is that of the process; a thread that moved has its own.
        counters: counters(Path::new("/proc/thread-self/net"), at),
        settings: settings(Path::new("/proc/sys"), at),
        other_networks: Reading::not_asked(),
    }
}

/// Reads the other network namespaces, each from a thread of its own. Those that cannot be entered are left out; with none
/// at all it is said why.
pub fn other_networks(
    places: Vec<(PathBuf, OtherNetwork)>,
    at: Timestamp,
    deadline: Instant,
) -> Reading<Vec<OtherNetwork>> {
    let tasks: Vec<_> = places
        .into_iter()
        .map(|(network, other)| {
            start(network.display().to_string(), move || -> Result<OtherNetwork, Unread> {
                enter(&network)?;
                let listeners =
                    sockets::tcp_listeners(deadline).map_err(|error| obstacle("sock_diag", &error))?;
                let addresses = addresses(deadline).map_err(|error| obstacle("rtnetlink", &error))?;
                let addresses =
                    addresses.into_iter().map(|it| it.ip).filter(|it| !it.is_loopback()).collect();
                Ok(OtherNetwork { listeners, addresses, ..other })
            })
        })
        .collect();
    let (mut found, mut unread) = (Vec::new(), None);
    for task in tasks {
        match task.finish(deadline).and_then(|it| it) {
            Ok(other) => found.push(other),
            Err(why) => unread = Some(why),
        }
    }
    match unread.filter(|_| found.is_empty()) {
        Some(unread) => Reading::Unread(unread),
        None => Reading::seen(found, "sock_diag", at),
    }
}

/// A network of which nothing could be read.
pub fn nothing(unread: &Unread) -> Net {
    Net {
        listeners: Reading::Unread(unread.clone()),
        unix_listeners: Reading::Unread(unread.clone()),
        addresses: Reading::Unread(unread.clone()),
        connections: Reading::Unread(unread.clone()),
        counters: Reading::Unread(unread.clone()),
        settings: Reading::Unread(unread.clone()),
        other_networks: Reading::Unread(unread.clone()),
    }
}

/// Moves the calling thread, and nothing else, into a network namespace.
pub fn enter(network: &Path) -> Result<(), Unread> {
    let enter = || -> io::Result<()> {
        let file = File::open(network)?;
        Ok(move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?)
    };
    enter().map_err(|error| obstacle(network.display().to_string(), &error))
}

fn addresses(deadline: Instant) -> io::Result<Vec<Address>> {
    let mut links = HashMap::new();
    dump(None, GET_LINK, &[0; 16], deadline, |answer| links.extend(parse_link(answer)))?;
    let mut addresses = Vec::new();
    dump(None, GET_ADDRESS, &[0; 8], deadline, |answer| {
        addresses.extend(parse_address(answer, &links));
    })?;
    Ok(addresses)
}

/// struct ifinfomsg, 16 bytes; attribute 3 is the name. Gives index, name and whether it is up.
fn parse_link(answer: &[u8]) -> Option<(u32, (String, bool))> {
    let (index, flags) = (u32_at(answer, 4)?, u32_at(answer, 8)?);
    let (_, name) = attributes(answer.get(16..)?).find(|(kind, _)| *kind == 3)?;
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    Some((index, (String::from_utf8_lossy(name).into_owned(), flags & 1 != 0)))
}

/// struct ifaddrmsg, 8 bytes; attribute 2 is our own address, 1 that of the link (the peer's on a point-to-point link).
fn parse_address(answer: &[u8], links: &HashMap<u32, (String, bool)>) -> Option<Address> {
    let (prefix_length, index) = (*answer.get(1)?, u32_at(answer, 4)?);
    let of = |wanted: u16| attributes(answer.get(8..)?).find(|(kind, _)| *kind == wanted).map(|it| it.1);
    let bytes = of(2).or_else(|| of(1))?;
    let ip = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
        _ => return None,
    };
    let (interface, up) = links.get(&index).cloned().unwrap_or_default();
    Some(Address { ip, prefix_length, interface, up })
}

fn counters(net: &Path, at: Timestamp) -> Reading<Vec<(String, u64)>> {
    let Some(mut all) = text(net.join("netstat")) else {
        let error = io::Error::from(io::ErrorKind::NotFound);
        return Reading::Unread(obstacle("/proc/net/netstat", &error));
    };
    all.push('\n');
    all.push_str(&text(net.join("snmp")).unwrap_or_default());
    Reading::seen(parse_counters(&all), "/proc/net/netstat", at)
}

/// Lines come in pairs with the same label: names, then values.
fn parse_counters(text: &str) -> Vec<(String, u64)> {
    let lines: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once(": ")).collect();
    let mut counters = Vec::new();
    for pair in lines.chunks_exact(2) {
        let [(label, names), (again, values)] = pair else { continue };
        if label != again || !["Tcp", "TcpExt", "Ip"].contains(label) {
            continue;
        }
        let values = values.split(' ').map(str::parse::<u64>);
        // A value such as -1 (Tcp MaxConn) means "no limit" and counts nothing.
        let known =
            names.split(' ').zip(values).filter_map(|(name, it)| Some((format!("{label}{name}"), it.ok()?)));
        counters.extend(known);
    }
    counters
}

fn settings(sys: &Path, at: Timestamp) -> Reading<Vec<(String, String)>> {
    let known = SETTINGS.iter().filter_map(|name| {
        let value = text(sys.join(name.replace('.', "/")))?;
        Some(((*name).to_owned(), value.replace('\t', " ")))
    });
    Reading::seen(known.collect(), "/proc/sys/net", at)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::Folder;

    #[test]
    fn counters_come_in_pairs_of_lines() {
        let text =
            "TcpExt: SyncookiesSent ListenOverflows\nTcpExt: 0 7\nTcp: MaxConn InSegs\nTcp: -1 5\nOdd: x\n";
        let expected = [("TcpExtSyncookiesSent", 0), ("TcpExtListenOverflows", 7), ("TcpInSegs", 5)];
        assert_eq!(parse_counters(text), expected.map(|(name, count)| (name.to_owned(), count)));
    }

    #[test]
    fn settings_that_this_kernel_lacks_are_left_out() {
        let folder = Folder::new()
            .file("net/core/somaxconn", "4096\n")
            .file("net/ipv4/ip_local_port_range", "32768\t60999\n");
        let settings = settings(folder.path(), Timestamp::UNIX_EPOCH);
        let expected = [("net.core.somaxconn", "4096"), ("net.ipv4.ip_local_port_range", "32768 60999")];
        assert_eq!(
            *settings.value().unwrap(),
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn loopback_has_an_address() {
        let found = addresses(Instant::now() + Duration::from_secs(10)).unwrap();
        assert!(found.iter().any(|it| it.ip.is_loopback() && it.interface == "lo"), "{found:?}");
    }
}
