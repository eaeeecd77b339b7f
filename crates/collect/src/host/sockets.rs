//! Listening sockets with their queues and owners, and counted connections. Source: sock_diag(7), else /proc/net.
//!
//! sock_diag is the only place where the accept queue of a unix socket can be seen (UDIAG_SHOW_RQLEN): PHP-FPM's own
//! status page says 0 there.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;
use rustix::net::netlink;
use snapshot::{Connections, Listener, Net, Reading, UnixListener};

use super::netlink::{attributes, dump, u32_at};
use super::obstacle;

/// SOCK_DIAG_BY_FAMILY of linux/sock_diag.h.
const BY_FAMILY: u16 = 20;
const AF_UNIX: u8 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const TCP_LISTEN: u8 = 10;
const IPPROTO_TCP: u8 = 6;
/// INET_DIAG_SKV6ONLY of linux/inet_diag.h; told of every listening IPv6 socket without being asked for.
const SKV6ONLY: u16 = 11;
/// UDIAG_SHOW_NAME, _VFS and _RQLEN of linux/unix_diag.h.
const SHOW_UNIX: u32 = 0x1 | 0x2 | 0x10;

/// Rows of counted connections that are kept, the most numerous first.
const MAX_CONNECTION_ROWS: usize = 1_000;

/// statfs(2): overlayfs shows other inode numbers to stat(2) than the kernel uses inside.
const OVERLAYFS_MAGIC: u64 = 0x794c_7630;

/// The sockets of one network namespace.
#[derive(Debug, Clone)]
pub struct Sockets {
    /// Listening TCP sockets.
    pub listeners: Reading<Vec<Listener>>,
    /// Listening unix sockets.
    pub unix_listeners: Reading<Vec<UnixListener>>,
    /// Connections by address and state.
    pub connections: Reading<Vec<Connections>>,
}

/// One TCP socket, listening or not.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TcpSocket {
    state: u8,
    local: SocketAddr,
    remote: SocketAddr,
    waiting: u32,
    backlog: Option<u32>,
    uid: u32,
    inode: u64,
    v6_only: Option<bool>,
}

/// Reads the sockets of the calling thread's network namespace; `root` is where nginx sees the files of unix sockets.
/// Owners are filled in by [`own`].
pub fn read(root: &Path, at: Timestamp, deadline: Instant) -> Sockets {
    let (tcp, source) = match tcp_by_netlink(deadline) {
        Ok(sockets) => (Ok(sockets), "sock_diag"),
        Err(_) => (tcp_by_proc(Path::new("/proc/thread-self/net")), "/proc/net/tcp"),
    };
    let (listeners, connections) = match tcp {
        Ok(sockets) => (
            Reading::seen(listening(&sockets), source, at),
            Reading::seen(count_connections(&sockets), source, at),
        ),
        Err(error) => {
            let unread = obstacle(source, &error);
            (Reading::Unread(unread.clone()), Reading::Unread(unread))
        }
    };
    let unix_listeners = match unix_by_netlink(root, deadline) {
        Ok(sockets) => Reading::seen(sockets, "sock_diag", at),
        Err(_) => match fs::read("/proc/thread-self/net/unix") {
            Ok(text) => {
                Reading::seen(unix_from_proc(&String::from_utf8_lossy(&text), root), "/proc/net/unix", at)
            }
            Err(error) => Reading::Unread(obstacle("/proc/net/unix", &error)),
        },
    };
    Sockets { listeners, unix_listeners, connections }
}

/// The listening TCP sockets of the calling thread's network namespace alone.
pub fn tcp_listeners(deadline: Instant) -> io::Result<Vec<Listener>> {
    Ok(listening(&tcp_by_netlink(deadline)?))
}

/// Fills in which processes hold the sockets, by inode.
pub fn own(sockets: &mut Net, owners: &HashMap<u64, Vec<u32>>) {
    let of = |inode: u64| owners.get(&inode).cloned().unwrap_or_default();
    if let Reading::Seen(seen) = &mut sockets.listeners {
        seen.value.iter_mut().for_each(|it| it.pids = of(it.inode));
    }
    if let Reading::Seen(seen) = &mut sockets.unix_listeners {
        seen.value.iter_mut().for_each(|it| it.pids = of(it.inode));
    }
    if let Reading::Seen(seen) = &mut sockets.other_networks {
        let listeners = seen.value.iter_mut().flat_map(|it| &mut it.listeners);
        listeners.for_each(|it| it.pids = of(it.inode));
    }
}

fn tcp_by_netlink(deadline: Instant) -> io::Result<Vec<TcpSocket>> {
    let mut sockets = Vec::new();
    for family in [AF_INET, AF_INET6] {
        let mut request = vec![family, IPPROTO_TCP, 0, 0];
        request.extend(u32::MAX.to_ne_bytes());
        request.extend([0; 48]);
        let answered = dump(Some(netlink::SOCK_DIAG), BY_FAMILY, &request, deadline, |answer| {
            sockets.extend(parse_tcp(answer));
        });
        match answered {
            // A kernel without IPv6 has no handler for that family.
            Err(error) if family == AF_INET6 && error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(sockets)
}

/// struct inet_diag_msg, 72 bytes, and its attributes.
fn parse_tcp(answer: &[u8]) -> Option<TcpSocket> {
    let (family, state) = (*answer.first()?, *answer.get(1)?);
    let port = |at: usize| Some(u16::from_be_bytes(answer.get(at..at + 2)?.try_into().ok()?));
    let ip = |at: usize| {
        let bytes: [u8; 16] = answer.get(at..at + 16)?.try_into().ok()?;
        match family {
            AF_INET => Some(IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]])),
            AF_INET6 => Some(IpAddr::from(bytes)),
            _ => None,
        }
    };
    let v6_only = match family {
        AF_INET => Some(false),
        _ => attributes(answer.get(72..)?)
            .find(|(kind, _)| *kind == SKV6ONLY)
            .and_then(|(_, it)| Some(*it.first()? != 0)),
    };
    Some(TcpSocket {
        state,
        local: SocketAddr::new(ip(8)?, port(4)?),
        remote: SocketAddr::new(ip(24)?, port(6)?),
        waiting: u32_at(answer, 56)?,
        backlog: Some(u32_at(answer, 60)?),
        uid: u32_at(answer, 64)?,
        inode: u32_at(answer, 68)?.into(),
        v6_only,
    })
}

fn tcp_by_proc(net: &Path) -> io::Result<Vec<TcpSocket>> {
    let text = |name| fs::read(net.join(name)).map(|it| String::from_utf8_lossy(&it).into_owned());
    let mut sockets = tcp_from_proc(&text("tcp")?);
    sockets.extend(tcp_from_proc(&text("tcp6").unwrap_or_default()));
    Ok(sockets)
}

/// Source: proc_pid_net(5). Addresses are hexadecimal words in the machine's byte order.
fn tcp_from_proc(text: &str) -> Vec<TcpSocket> {
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let local = address_from_proc(fields.get(1)?)?;
        Some(TcpSocket {
            state: u8::from_str_radix(fields.get(3)?, 16).ok()?,
            local,
            remote: address_from_proc(fields.get(2)?)?,
            waiting: u32::from_str_radix(fields.get(4)?.split_once(':')?.1, 16).ok()?,
            backlog: None,
            uid: fields.get(7)?.parse().ok()?,
            inode: fields.get(9)?.parse().ok()?,
            v6_only: local.is_ipv4().then_some(false),
        })
    };
    text.lines().skip(1).filter_map(socket).collect()
}

fn address_from_proc(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at * 8..at * 8 + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for at in 0..4 {
                bytes[at * 4..at * 4 + 4].copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

fn listening(sockets: &[TcpSocket]) -> Vec<Listener> {
    let mut listeners: Vec<Listener> = sockets
        .iter()
        .filter(|it| it.state == TCP_LISTEN)
        .map(|it| Listener {
            address: it.local,
            v6_only: it.v6_only,
            waiting: it.waiting,
            backlog: it.backlog,
            pids: Vec::new(),
            inode: it.inode,
            uid: it.uid,
        })
        .collect();
    listeners.sort_by_key(|it| (it.address.port(), it.address, it.inode));
    listeners
}

/// A connection whose local port somebody listens on was accepted; all others were opened from here.
fn count_connections(sockets: &[TcpSocket]) -> Vec<Connections> {
    let ports: HashSet<u16> =
        sockets.iter().filter(|it| it.state == TCP_LISTEN).map(|it| it.local.port()).collect();
    let mut counts: HashMap<(SocketAddr, bool, u8), u32> = HashMap::new();
    for socket in sockets.iter().filter(|it| it.state != TCP_LISTEN && it.remote.port() != 0) {
        let outgoing = !ports.contains(&socket.local.port());
        let end = if outgoing { socket.remote } else { socket.local };
        let address = SocketAddr::new(end.ip().to_canonical(), end.port());
        *counts.entry((address, outgoing, socket.state)).or_default() += 1;
    }
    let mut rows: Vec<Connections> = counts
        .into_iter()
        .map(|((address, outgoing, state), count)| Connections {
            address,
            outgoing,
            state: state_name(state).to_owned(),
            count,
        })
        .collect();
    rows.sort_by(|a, b| {
        b.count.cmp(&a.count).then_with(|| (a.address, &a.state).cmp(&(b.address, &b.state)))
    });
    rows.truncate(MAX_CONNECTION_ROWS);
    rows
}

/// As ss(8) names the states of net/tcp_states.h.
fn state_name(state: u8) -> &'static str {
    match state {
        1 => "established",
        2 => "syn-sent",
        3 | 12 => "syn-recv",
        4 => "fin-wait-1",
        5 => "fin-wait-2",
        6 => "time-wait",
        7 => "unconnected",
        8 => "close-wait",
        9 => "last-ack",
        10 => "listening",
        11 => "closing",
        _ => "unknown",
    }
}

fn unix_by_netlink(root: &Path, deadline: Instant) -> io::Result<Vec<UnixListener>> {
    let mut request = vec![AF_UNIX, 0, 0, 0];
    request.extend((1u32 << TCP_LISTEN).to_ne_bytes());
    request.extend(0u32.to_ne_bytes());
    request.extend(SHOW_UNIX.to_ne_bytes());
    request.extend([0; 8]);
    let mut sockets = Vec::new();
    dump(Some(netlink::SOCK_DIAG), BY_FAMILY, &request, deadline, |answer| {
        sockets.extend(parse_unix(answer, root))
    })?;
    sockets.sort_by(|a, b| (&a.path, a.inode).cmp(&(&b.path, b.inode)));
    Ok(sockets)
}

/// struct unix_diag_msg, 16 bytes, and its attributes: 0 the name, 1 inode and device of the file, 4 the queue.
fn parse_unix(answer: &[u8], root: &Path) -> Option<UnixListener> {
    let inode = u64::from(u32_at(answer, 4)?);
    let (mut path, mut file, mut queue) = (String::new(), None, None);
    for (kind, value) in attributes(answer.get(16..)?) {
        let pair = || Some((u32_at(value, 0)?, u32_at(value, 4)?));
        match kind {
            0 => path = unix_name(value),
            1 => file = pair(),
            4 => queue = pair(),
            _ => {}
        }
    }
    // A socket without a name cannot be dialled.
    if path.is_empty() {
        return None;
    }
    Some(UnixListener {
        reachable: reachable(&path, root, file),
        path,
        waiting: queue.map(|it| it.0),
        backlog: queue.map(|it| it.1),
        pids: Vec::new(),
        inode,
    })
}

/// An abstract name begins with NUL and may hold more of them; ss(8) and nginx's logs show them as `@`.
fn unix_name(name: &[u8]) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match name.split_first() {
        Some((0, rest)) => format!("@{}", text(rest).replace('\0', "@")),
        _ => text(name.split(|byte| *byte == 0).next().unwrap_or_default()),
    }
}

/// Source: proc_pid_net(5): bit 0x10000 of the flags marks a listening socket.
fn unix_from_proc(text: &str, root: &Path) -> Vec<UnixListener> {
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let flags = u32::from_str_radix(fields.get(3)?, 16).ok()?;
        let (inode, path) = (fields.get(6)?.parse().ok()?, fields.get(7..)?.join(" "));
        (flags & 0x1_0000 != 0 && !path.is_empty()).then(|| UnixListener {
            reachable: reachable(&path, root, None),
            path,
            waiting: None,
            backlog: None,
            pids: Vec::new(),
            inode,
        })
    };
    text.lines().skip(1).filter_map(socket).collect()
}

/// Whether the file at `path` is the socket with this inode and device. Without them a socket file of that name does
/// not prove anything: somebody else may have bound it since.
fn reachable(path: &str, root: &Path, file: Option<(u32, u32)>) -> Option<bool> {
    if path.starts_with('@') {
        return Some(true);
    }
    let relative = path.strip_prefix('/')?;
    let path = root.join(relative);
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(false),
        Err(_) => return None,
    };
    if !metadata.file_type().is_socket() {
        return Some(false);
    }
    let (inode, device) = file?;
    // The kernel's own device numbers have 20 bits for the minor; some filesystems (btrfs) show another to stat(2),
    // so that only the inode can be relied on.
    let same_inode = inode == metadata.ino() as u32;
    let seen = metadata.dev();
    let same_device = (device >> 20, device & 0xf_ffff) == (rustix::fs::major(seen), rustix::fs::minor(seen));
    match (same_inode, same_device) {
        (true, _) => Some(true),
        (false, true) if !on_overlay(&path) => Some(false),
        (false, _) => None,
    }
}

fn on_overlay(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|it| it.f_type as u64 == OVERLAYFS_MAGIC)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener as StdTcpListener;
    use std::os::unix::net::UnixListener as StdUnixListener;
    use std::time::Duration;

    use super::*;
    use crate::testing::Folder;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000    33        0 501 1 0 100 0 0 10 0\n\
   1: 0100007F:9C40 0100007F:1F91 01 00000000:00000000 00:00000000 00000000    33        0 502 1 0 100 0 0 10 0\n\
   2: 0100007F:1F90 0100007F:9C41 01 00000000:00000000 00:00000000 00000000    33        0 503 1 0 100 0 0 10 0\n";

    #[test]
    #[cfg(target_endian = "little")]
    fn the_table_of_proc_gives_listeners_and_counts() {
        let sockets = tcp_from_proc(TCP);
        let listeners = listening(&sockets);
        assert_eq!(listeners.len(), 1);
        assert_eq!((listeners[0].address.to_string(), listeners[0].waiting), ("127.0.0.1:8080".into(), 3));
        assert_eq!(listeners[0].backlog, None);
        let counts = count_connections(&sockets);
        let rows: Vec<_> = counts.iter().map(|it| (it.address.to_string(), it.outgoing, it.count)).collect();
        assert_eq!(rows, [("127.0.0.1:8080".into(), false, 1), ("127.0.0.1:8081".into(), true, 1)]);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn an_ipv6_address_of_proc_is_four_words() {
        let address = address_from_proc("00000000000000000000000001000000:0050").unwrap();
        assert_eq!(address.to_string(), "[::1]:80");
        assert_eq!(address_from_proc("0000:0050"), None);
        assert_eq!(address_from_proc("äääà:0050"), None);
    }

    #[test]
    fn unix_sockets_of_proc_are_those_that_listen() {
        let text = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 100 /nowhere/of why502/app.sock\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 101 /nowhere/of/client.sock\n";
        let sockets = unix_from_proc(text, Path::new("/"));
        assert_eq!(sockets.len(), 1);
        assert_eq!((sockets[0].path.as_str(), sockets[0].inode), ("/nowhere/of why502/app.sock", 100));
        assert_eq!((sockets[0].reachable, sockets[0].waiting), (Some(false), None));
    }

    #[test]
    fn our_own_listeners_are_found_with_queue_and_backlog() {
        let tcp = StdTcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let _waiting = std::net::TcpStream::connect(address).unwrap();
        let folder = Folder::new();
        let path = folder.path().join("s");
        let _unix = StdUnixListener::bind(&path).unwrap();
        let _queued = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let sockets = read(Path::new("/"), Timestamp::UNIX_EPOCH, Instant::now() + Duration::from_secs(10));
        let listeners = sockets.listeners.value().unwrap();
        let ours = listeners.iter().find(|it| it.address == address).unwrap();
        assert_eq!(ours.waiting, 1);
        let unix = sockets.unix_listeners.value().unwrap();
        let ours = unix.iter().find(|it| it.path == path.to_str().unwrap()).unwrap();
        if ours.waiting.is_some() {
            assert_eq!((ours.waiting, ours.backlog.is_some()), (Some(1), true));
            assert_ne!(ours.reachable, Some(false));
        }
    }

    #[test]
    fn a_replaced_socket_file_is_not_reachable() {
        let folder = Folder::new();
        let path = folder.path().join("s");
        let _old = StdUnixListener::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(reachable(path.to_str().unwrap(), Path::new("/"), Some((1, 1))), Some(false));
        assert_eq!(reachable("relative.sock", Path::new("/"), None), None);
        assert_eq!(reachable("@abstract", Path::new("/"), None), Some(true));
    }

    #[test]
    fn every_beginning_of_an_answer_is_harmless() {
        let mut answer = [0u8; 96];
        answer[0] = AF_INET6;
        for end in 0..answer.len() {
            let _ = parse_tcp(&answer[..end]);
            let _ = parse_unix(&answer[..end], Path::new("/"));
        }
    }
}
