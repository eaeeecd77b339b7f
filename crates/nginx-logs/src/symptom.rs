//! The closed list of symptoms: what nginx saw, as read from one log line.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! symptoms {
    ($($variant:ident = $id:literal: $meaning:literal,)+) => {
        /// What nginx saw, as read from one log line; each has one id. Why it happened is another question.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Symptom {
            $(#[doc = $meaning] #[serde(rename = $id)] $variant,)+
        }

        impl Symptom {
            /// Every symptom, in the order of the vocabulary.
            pub const ALL: &[Symptom] = &[$(Symptom::$variant,)+];

            /// The stable id, such as `connect-refused`.
            pub fn id(self) -> &'static str {
                match self { $(Symptom::$variant => $id,)+ }
            }

            /// What nginx saw, what that means and does not mean, and the status that the client got.
            pub fn meaning(self) -> &'static str {
                match self { $(Symptom::$variant => $meaning,)+ }
            }
        }
    };
}

symptoms! {
    ConnectRefused = "connect-refused": "nginx dialled the backend and the answer was a refusal (ECONNREFUSED). Nothing accepts \
        connections at exactly that address and port, or a packet filter rejects them, or a unix socket file is left over from \
        a process that is gone. It does not mean that the backend is overloaded: a full queue does not refuse on Linux. The \
        client gets 502 when no other server is left to try.",
    ConnectTimeout = "connect-timeout": "nginx tried to connect and nobody answered within the connect timeout, or the kernel \
        gave up first. Packets are dropped on the way, the host is down, or the backend's accept queue is full. The backend \
        did not refuse, and no request was sent. The client gets 504, not 502, when nginx's own timeout ran out.",
    ConnectNoRoute = "connect-no-route": "The kernel or a router on the way said that the backend's host cannot be reached \
        (EHOSTUNREACH, EHOSTDOWN): the neighbour does not answer, or a firewall rejects with an ICMP message. It says nothing \
        about the backend process. The client gets 502.",
    ConnectNetUnreachable = "connect-net-unreachable": "This host has no route to the backend's network (ENETUNREACH, ENETDOWN). \
        Often an IPv6 address is dialled from a host or container without IPv6. Nothing was sent, so the backend knows nothing \
        of it. The client gets 502.",
    ConnectPermission = "connect-permission": "The kernel did not let the nginx worker connect (EACCES). On a unix socket, the \
        socket file or a directory above it denies the worker's user; on TCP it is SELinux, a prohibit route or a local packet \
        filter. The backend may be in perfect health. The client gets 502.",
    ConnectSocketMissing = "connect-socket-missing": "The unix socket that nginx dials does not exist (ENOENT). The backend is \
        not running, it listens at another path, or it runs with its own view of /tmp or /run. It is not a matter of \
        permissions. The client gets 502.",
    ConnectAgain = "connect-again": "The accept queue of the backend's unix socket is full (EAGAIN), so the kernel turned the \
        connection away at once. The backend lives, but does not take connections as fast as they come. On TCP the same \
        condition shows as a timeout. The client gets 502.",
    ConnectNoAddress = "connect-no-address": "The kernel found no local address or port for the connection (EADDRNOTAVAIL, or \
        EADDRINUSE with proxy_bind): the ephemeral ports towards that peer are used up, or the address of proxy_bind is not on \
        this host. The backend was not reached. The client gets 502, with proxy_bind 500.",
    SocketFdLimit = "socket-fd-limit": "An nginx process ran out of file descriptors (EMFILE; ENFILE is the whole host), so it \
        could not open a socket or a file. The backend has no part in it. The client gets 500 rather than 502, or waits in the \
        backlog when accepting fails.",
    WorkerConnections = "worker-connections": "A worker used up its worker_connections, which count clients and upstreams \
        together. It could not take a client, or could not dial the backend. The backend has no part in it, unless it is slow \
        and so keeps connections open. The client gets 500, or is dropped before its request is read.",
    NoLiveUpstreams = "no-live-upstreams": "When nginx wanted to choose a server of the group, none was eligible: each was ejected \
        after failures, marked down, or at its max_conns. This is never the cause: earlier lines, perhaps in another file, say \
        why the servers were ejected. The client gets 502 at once, without any connection attempt.",
    ResolveFailed = "resolve-failed": "nginx's resolver asked for a name and got an error or a broken answer (no such name, server \
        failure, refused), or could not talk to the name server. No backend was dialled. It concerns the `resolver` directive, \
        not the system's own resolver. The client gets 502, a stream session 500.",
    ResolveTimeout = "resolve-timeout": "The name server in the `resolver` directive did not answer within resolver_timeout. The \
        number 110 in that message is a resolver code, not a connection that timed out. No backend was dialled. The client \
        gets 502, a stream session 500.",
    NoResolver = "no-resolver": "A pass directive with a variable needs a name looked up while serving, and no `resolver` is \
        configured where it is needed. nginx does not use /etc/resolv.conf for that. The client gets 502, a stream session 500.",
    SslHandshake = "ssl-handshake": "The TLS handshake with the backend failed, or the backend sent a TLS alert: a plain-text port, \
        no common protocol version or cipher, a missing client certificate or server name. The connection itself succeeded. \
        The handshake with the client is another matter and never counts here. The client gets 502.",
    SslVerify = "ssl-verify": "nginx verifies the backend's certificate and did not accept its chain: expired, self-signed, \
        unknown issuer, or longer than proxy_ssl_verify_depth. The parenthesised number is an X.509 code, not an errno. The \
        backend itself serves. The client gets 502.",
    SslName = "ssl-name": "The backend's certificate is valid, but for another name than the one nginx expects (proxy_ssl_name, by \
        default the host in proxy_pass). The client gets 502.",
    SslTimeout = "ssl-timeout": "The connection to the backend was made, but the TLS handshake did not end in time. The other side \
        accepts connections and says nothing: it is stuck, or waits for something else than TLS. The client gets 504.",
    SendTimeout = "send-timeout": "The backend stopped taking the request while nginx was still sending it, until the send timeout \
        ran out. It accepted the connection and does not read. The client gets 504.",
    SendFailed = "send-failed": "Sending the request to the backend failed (EPIPE, ECONNRESET): it closed the connection before it \
        had taken the whole request. It may have answered early, refused a large body, or died. The client gets 502, unless a \
        response could still be read.",
    ReadTimeout = "read-timeout": "The backend took the request and sent nothing for the length of the read timeout. It is slow, \
        stuck, or all of its workers are busy and the request waits in its queue. It did not close the connection, so it did \
        not crash at that moment. The client gets 504; after the response header was sent the status stays and the body is \
        cut.",
    ReadReset = "read-reset": "The backend's side reset the connection (ECONNRESET, or an HTTP/2 error code) while nginx waited for \
        an answer. The process died, closed its socket with the request unread, or something on the way cut the connection. \
        Nothing timed out. The client gets 502 before the response header, and a cut body after it.",
    PrematureClose = "premature-close": "The backend closed the connection in good order before it had sent a response header: its \
        worker died or was killed, it hung up on this request, or the idle connection was just being closed. It does not mean a \
        full pool: that shows as timeouts or refusals. The client gets 502.",
    HeaderTooBig = "header-too-big": "The response header does not fit into the buffer that nginx reads it into \
        (proxy_buffer_size, fastcgi_buffer_size), often because of cookies or a long redirect. The backend answered. The \
        client gets 502.",
    HeaderInvalid = "header-invalid": "The response header broke the rules: a malformed line or status, a doubled length, or no \
        HTTP at all. The backend answered, but in another protocol or wrongly. The client gets 502; a reply that is no HTTP at \
        all is passed on as HTTP/0.9 with status 009, and where the line is only a warning the response is used.",
    ResponseInvalid = "response-invalid": "The response broke its protocol outside the header: FastCGI or HTTP/2 framing, chunked \
        encoding, more data than announced, a slice that does not fit. Before the header the client gets 502; later the body \
        is cut, or the surplus dropped where the line is only a warning.",
    BodyShort = "body-short": "The backend closed the connection in the middle of the response body. The header was already sent, \
        so the client's status stays as it was, and it holds a cut download. The worker died or was killed while writing, or \
        announced more than it sent.",
    BodyTooLarge = "body-too-large": "nginx itself refused the request body, because it is larger than client_max_body_size. The \
        backend was not asked. The client gets 413.",
    TempWrite = "temp-write": "nginx could not write a temporary or stored file: no space or inodes left, a read-only filesystem, \
        or a directory that the worker's user may not write. The backend has no part in it. A request body fails with 500; \
        a response is cut after its header was sent.",
    PermissionDenied = "permission-denied": "The nginx worker may not read a file or directory of the site (EACCES). It concerns \
        files that nginx serves itself, not the backend. The client gets 403, with a password file 500.",
    ClientClosed = "client-closed": "The client ended the connection or the stream before the response was complete. Nothing is wrong \
        upstream for this reason alone, although impatient clients often mean a slow backend. The access log shows 499.",
    Limiting = "limiting": "limit_req or limit_conn refused or delayed the request by a rule of the configuration. The backend was \
        not asked when it was refused. The client gets 503, or the status of limit_req_status or limit_conn_status.",
    AuthUnexpected = "auth-unexpected": "The auth_request subrequest ended with another status than 2xx, 401 or 403. The line of the \
        subrequest's own failure stands before this one. The client gets 500, even when the subrequest got 502 or 504.",
    WorkerExit = "worker-exit": "An nginx process ended on a signal or with an error code, and its connections ended with it. It is \
        about nginx, not about the backend. Its clients see a closed connection without any status.",
    ConfigEmerg = "config-emerg": "nginx refused its configuration, or could not start or reload with it. A running nginx goes on \
        with the old configuration; a stopped one stays down. Requests get no status from this by itself.",
    FastcgiStderr = "fastcgi-stderr": "The FastCGI backend wrote to its error stream: a warning, an uncaught exception, a script that \
        was not found. It is the application's text, and by itself no failure: the status is whatever the application sent.",
    UpstreamDisabled = "upstream-disabled": "nginx put a server of the group aside for fail_timeout, after max_fails failures. It is a \
        consequence: the failure itself has its own line. With no server left, \"no live upstreams\" follows.",
    ProxyHeaderBroken = "proxy-header-broken": "A connection to a port with `proxy_protocol` did not begin with a valid PROXY header. \
        The sender in front of nginx does not send it, or something speaks directly to that port. The connection is closed \
        without any status.",
    UpstreamStatus = "upstream-status": "The error status came from the backend itself, and nginx passed it on. The access log shows \
        the same code in $upstream_status. The exchange between nginx and the backend worked.",
}

impl fmt::Display for Symptom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// A text that is not the id of a symptom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownSymptom(pub String);

impl fmt::Display for UnknownSymptom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no symptom has the id {:?}", self.0)
    }
}

impl std::error::Error for UnknownSymptom {}

impl FromStr for Symptom {
    type Err = UnknownSymptom;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|it| it.id() == id).ok_or_else(|| UnknownSymptom(id.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_reads_back() {
        assert_eq!(Symptom::ALL.len(), 39);
        for symptom in Symptom::ALL {
            assert_eq!(symptom.id().parse(), Ok(*symptom));
        }
        assert!("connect_refused".parse::<Symptom>().is_err());
    }

    #[test]
    fn every_meaning_is_two_to_five_whole_sentences() {
        for symptom in Symptom::ALL {
            let sentences = symptom.meaning().matches(". ").count() + 1;
            assert!((2..=5).contains(&sentences), "{symptom}: {sentences} sentences");
            assert!(symptom.meaning().ends_with('.') && !symptom.meaning().contains("  "), "{symptom}");
        }
    }
}
