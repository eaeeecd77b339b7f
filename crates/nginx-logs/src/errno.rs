//! The errnos that nginx logs, and what each means for a reverse proxy.
//!
//! Source: errno(3), ip(7), tcp(7), unix(7), connect(2); the texts are strerror(3) of glibc and musl.

/// One errno of Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Errno {
    pub number: i32,
    /// The constant, such as `ECONNREFUSED`.
    pub name: &'static str,
    /// As glibc words it.
    pub text: &'static str,
    /// What it means when nginx logs it.
    pub meaning: &'static str,
}

macro_rules! errnos {
    ($($number:literal $name:literal $text:literal $meaning:literal)+) => {
        const ERRNOS: &[Errno] = &[$(Errno { number: $number, name: $name, text: $text, meaning: $meaning },)+];
    };
}

errnos! {
    1 "EPERM" "Operation not permitted" "The kernel forbids the operation as such, not because of a file's mode: a missing \
        capability, a security module, or a packet filter that rejects locally sent packets."
    2 "ENOENT" "No such file or directory" "The path does not exist. When connecting to a unix socket: the backend has not \
        created it, or created it elsewhere."
    4 "EINTR" "Interrupted system call" "A signal arrived during the call. nginx repeats it; by itself it is harmless."
    5 "EIO" "Input/output error" "A disk or a network filesystem failed to read or write."
    9 "EBADF" "Bad file descriptor" "A descriptor was used that is not open. It points to a bug in nginx or in a module."
    11 "EAGAIN" "Resource temporarily unavailable" "When connecting to a unix socket: its accept queue is full, the backend does \
        not accept connections fast enough. Elsewhere it only means \"not yet\"."
    12 "ENOMEM" "Cannot allocate memory" "The kernel has no memory to give, for the host or for nginx's cgroup."
    13 "EACCES" "Permission denied" "The worker's user may not use the path: the socket or file itself, or a directory above it. \
        On a TCP connect it is SELinux, a prohibit route or a packet filter."
    17 "EEXIST" "File exists" "The path exists already, where nginx wanted to create it."
    20 "ENOTDIR" "Not a directory" "A component of the path is a file, not a directory."
    21 "EISDIR" "Is a directory" "The path is a directory, where a file was expected."
    22 "EINVAL" "Invalid argument" "The kernel does not accept the arguments, such as an address that cannot be dialled (port 0, \
        a wrong address family)."
    23 "ENFILE" "Too many open files in system" "The whole host is out of file descriptors (fs.file-max)."
    24 "EMFILE" "Too many open files" "The process is out of file descriptors: worker_rlimit_nofile, or the limit of its \
        service, is too low for the connections it holds."
    28 "ENOSPC" "No space left on device" "The filesystem has no free blocks or no free inodes."
    30 "EROFS" "Read-only file system" "The filesystem is mounted read-only, perhaps after an error or by the unit's sandbox."
    32 "EPIPE" "Broken pipe" "nginx wrote to a connection that the other side had already closed."
    36 "ENAMETOOLONG" "File name too long" "A path, often made from the URL, is longer than the filesystem allows."
    40 "ELOOP" "Too many levels of symbolic links" "Symbolic links point at each other, or disable_symlinks forbids one."
    71 "EPROTO" "Protocol error" "The connection broke its protocol before it was accepted."
    88 "ENOTSOCK" "Socket operation on non-socket" "The path or descriptor is no socket."
    90 "EMSGSIZE" "Message too long" "A datagram is larger than the path or the socket takes."
    91 "EPROTOTYPE" "Protocol wrong type for socket" "The unix socket at that path is of another type, such as datagram."
    92 "ENOPROTOOPT" "Protocol not available" "The kernel does not know a socket option that nginx sets."
    94 "ESOCKTNOSUPPORT" "Socket type not supported" "The kernel has no such kind of socket."
    95 "EOPNOTSUPP" "Operation not supported" "The kernel or the filesystem does not offer the operation."
    97 "EAFNOSUPPORT" "Address family not supported by protocol" "The address family is missing here: IPv6 is switched off, and \
        an IPv6 address is dialled."
    98 "EADDRINUSE" "Address already in use" "Another process holds the address and port. When nginx starts: something else \
        listens there, often another nginx or Apache."
    99 "EADDRNOTAVAIL" "Cannot assign requested address" "There is no local address or port to use: the ephemeral ports towards \
        that peer are used up, or the address to bind is not on this host."
    100 "ENETDOWN" "Network is down" "The network interface is down."
    101 "ENETUNREACH" "Network is unreachable" "The host has no route to that network; often IPv6 where none is configured."
    103 "ECONNABORTED" "Software caused connection abort" "The client went away before its connection was accepted."
    104 "ECONNRESET" "Connection reset by peer" "The other side threw the connection away: its process died, or closed the \
        socket with data unread; or something on the way cut it."
    105 "ENOBUFS" "No buffer space available" "The kernel has no buffers for the socket."
    106 "EISCONN" "Transport endpoint is already connected" "The socket is connected already. It points to a bug."
    107 "ENOTCONN" "Transport endpoint is not connected" "The connection was gone before the call."
    110 "ETIMEDOUT" "Connection timed out" "Nobody answered in time. nginx logs it for its own timeouts too; the phase after \
        \"while\" says which one."
    111 "ECONNREFUSED" "Connection refused" "The host answered, and nothing listens at exactly that address and port (or a \
        packet filter rejects it with a reset). On a unix socket: the file is there, and no process listens on it."
    112 "EHOSTDOWN" "Host is down" "The host does not answer on the local network."
    113 "EHOSTUNREACH" "No route to host" "The host cannot be reached: its neighbour entry fails, or a router or a firewall \
        rejects with an ICMP message."
    114 "EALREADY" "Operation already in progress" "A connection attempt is under way on that socket already."
    115 "EINPROGRESS" "Operation now in progress" "The connection attempt goes on in the background. By itself it is no error."
    116 "ESTALE" "Stale file handle" "A network filesystem forgot the file."
    122 "EDQUOT" "Disk quota exceeded" "The user's disk quota is used up."
    125 "ECANCELED" "Operation canceled" "The operation was called off."
}

/// Where musl's wording differs from glibc's.
const MUSL: &[(i32, &str)] = &[
    (5, "I/O error"),
    (12, "Out of memory"),
    (23, "Too many open files in system"),
    (24, "No file descriptors available"),
    (36, "Filename too long"),
    (40, "Symbolic link loop"),
    (88, "Not a socket"),
    (90, "Message too large"),
    (95, "Not supported"),
    (98, "Address in use"),
    (99, "Address not available"),
    (101, "Network unreachable"),
    (103, "Connection aborted"),
    (106, "Socket is connected"),
    (107, "Socket not connected"),
    (110, "Operation timed out"),
    (113, "Host is unreachable"),
    (122, "Quota exceeded"),
];

/// Wordings of FreeBSD and macOS that neither C library of Linux has.
const BSD: &[(i32, &str)] = &[
    (99, "Can't assign requested address"),
    (24, "Too many open files"),
    (11, "Resource temporarily unavailable"),
    (104, "Connection reset by peer"),
];

/// Winsock's codes, whose texts are in the language of the system.
const WINSOCK: &[(i32, i32)] = &[
    (10013, 13),
    (10024, 24),
    (10048, 98),
    (10049, 99),
    (10050, 100),
    (10051, 101),
    (10053, 103),
    (10054, 104),
    (10060, 110),
    (10061, 111),
    (10065, 113),
];

/// What Linux means by a number; `None` for numbers that nginx does not log.
pub fn errno(number: i32) -> Option<Errno> {
    ERRNOS.iter().copied().find(|it| it.number == number)
}

/// Linux's number for an errno that another system may have logged: where number and text disagree, the text
/// counts.
pub(crate) fn on_linux(number: i32, text: &[u8]) -> i32 {
    if let Some((_, linux)) = WINSOCK.iter().find(|it| it.0 == number) {
        return *linux;
    }
    let glibc = || ERRNOS.iter().map(|it| (it.number, it.text));
    let wordings = || glibc().chain(MUSL.iter().copied()).chain(BSD.iter().copied());
    if text.is_empty() || wordings().any(|(it, wording)| it == number && wording.as_bytes() == text) {
        return number;
    }
    wordings().find(|(_, wording)| wording.as_bytes() == text).map_or(number, |it| it.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_explained() {
        let refused = errno(111).expect("nginx logs it daily");
        assert_eq!((refused.name, refused.text), ("ECONNREFUSED", "Connection refused"));
        assert_eq!(errno(3), None);
        assert_eq!(errno(-1), None);
    }

    #[test]
    fn musl_words_the_same_number_differently() {
        assert_eq!(on_linux(113, b"Host is unreachable"), 113);
        assert_eq!(on_linux(110, b"Operation timed out"), 110);
    }

    #[test]
    fn numbers_of_other_systems_become_those_of_linux() {
        assert_eq!(on_linux(61, b"Connection refused"), 111);
        assert_eq!(on_linux(60, b"Operation timed out"), 110);
        assert_eq!(on_linux(54, b"Connection reset by peer"), 104);
        assert_eq!(on_linux(10061, b"whatever"), 111);
    }

    #[test]
    fn an_unknown_text_keeps_its_number() {
        assert_eq!(on_linux(111, b"Verbindungsaufbau abgelehnt"), 111);
        assert_eq!(on_linux(111, b""), 111);
    }
}
