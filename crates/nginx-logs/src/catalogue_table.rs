//! The table from the beginning of a message to the rule that reads the rest of its entry.
//!
//! Source: the literal parts of nginx's format strings, 1.10.3 … 1.31.5. Sorted by bytes, because
//! `catalogue` searches it by halving; where one beginning continues another, the longer one counts.

use crate::symptom::Symptom;

/// How an entry's symptom follows from the beginning of its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    Is(Symptom),
    /// No symptom, although a shorter beginning has one.
    No,
    /// connect(): by errno.
    Connect,
    /// bind() with proxy_bind: by errno.
    Bind,
    /// socket(): by errno.
    Socket,
    /// accept(): by errno.
    Accept,
    /// recv() and readv(): by side and errno.
    Receive,
    /// send(), writev() and their like: by side.
    Send,
    /// "upstream timed out": by action.
    TimedOut,
    /// "connection timed out": of a stream session only.
    ConnectionTimedOut,
    /// The upstream closed: before or after the response header, by action.
    Closed,
    /// What prepares or begins TLS: by side.
    TlsSetup,
    /// SSL_write() and SSL_sendfile(): by side.
    TlsSend,
    /// The TLS handshake: by side and text.
    Handshake,
    /// SSL_read(): by side and text.
    TlsRead,
    /// A broken PROXY header: only while one is read.
    ProxyHeader,
    /// A name server's answer: only without a client, where nginx's resolver logs it.
    Resolver(Symptom),
    /// No `resolver`: not for certificate status requests.
    NoResolver,
    /// The mail proxy's authentication server: by text.
    AuthServer,
    /// Opening a file: temporary, or of the site.
    Open,
    /// Making a directory: of temporary files, or of the site.
    MakeDirectory,
    /// Changing a stored file: by errno.
    Store,
    /// Reading the site: by errno.
    Serve,
    /// Writing a temporary file.
    Write,
}

use Rule::{
    Accept, AuthServer, Bind, Closed, Connect, ConnectionTimedOut, Handshake, Is, MakeDirectory, No,
    NoResolver, Open, ProxyHeader, Receive, Resolver, Send, Serve, Socket, Store, TimedOut, TlsRead, TlsSend,
    TlsSetup, Write,
};

#[rustfmt::skip]
pub(crate) const RULES: &[(&str, Rule)] = &[
    ("DELETE \"", Store),
    ("DNS error (", Resolver(Symptom::ResolveFailed)),
    ("FastCGI sent in stderr: \"", Is(Symptom::FastcgiStderr)),
    ("SSL_do_handshake() failed", Handshake),
    ("SSL_new() failed", TlsSetup),
    ("SSL_read() failed", TlsRead),
    ("SSL_sendfile() failed", TlsSend),
    ("SSL_set0_chain(", TlsSetup),
    ("SSL_set_alpn_protos() failed", TlsSetup),
    ("SSL_set_ex_data() failed", TlsSetup),
    ("SSL_set_fd() failed", TlsSetup),
    ("SSL_set_session() failed", TlsSetup),
    ("SSL_set_tlsext_host_name(", TlsSetup),
    ("SSL_use_PrivateKey(", TlsSetup),
    ("SSL_use_certificate(", TlsSetup),
    ("SSL_write() failed", TlsSend),
    ("accept() failed", Accept),
    ("accept4() failed", Accept),
    ("auth http server ", AuthServer),
    ("auth request unexpected status: ", Is(Symptom::AuthUnexpected)),
    ("bind(", Bind),
    ("broken header: \"", ProxyHeader),
    ("buffer overflow", Resolver(Symptom::ResolveFailed)),
    ("cannot load certificate \"", TlsSetup),
    ("cannot load certificate key \"", TlsSetup),
    ("chmod() \"", Store),
    ("client canceled stream ", Is(Symptom::ClientClosed)),
    ("client intended to send too large body: ", Is(Symptom::BodyTooLarge)),
    ("client intended to send too large chunked body: ", Is(Symptom::BodyTooLarge)),
    ("client prematurely closed connection", Is(Symptom::ClientClosed)),
    ("client prematurely closed stream", Is(Symptom::ClientClosed)),
    ("client refused stream ", Is(Symptom::ClientClosed)),
    ("client terminated stream ", Is(Symptom::ClientClosed)),
    ("close() \"", Serve),
    ("closedir() \"", Serve),
    ("compression pointers loop", Resolver(Symptom::ResolveFailed)),
    ("connect() failed", Connect),
    ("connect() to ", Connect),
    ("connection timed out", ConnectionTimedOut),
    ("connection upgrade in subrequest", Is(Symptom::ResponseInvalid)),
    ("could not respawn ", Is(Symptom::WorkerExit)),
    ("could not send PROXY protocol header at once", Is(Symptom::SendFailed)),
    ("delaying request,", Is(Symptom::Limiting)),
    ("epoll_wait() reported that client prematurely closed connection", Is(Symptom::ClientClosed)),
    ("etag mismatch in slice response", Is(Symptom::ResponseInvalid)),
    ("fstat() \"", Serve),
    ("header is too large", ProxyHeader),
    ("invalid A record in DNS response", Resolver(Symptom::ResolveFailed)),
    ("invalid AAAA record in DNS response", Resolver(Symptom::ResolveFailed)),
    ("invalid TCP DNS response", Resolver(Symptom::ResolveFailed)),
    ("invalid UDP DNS response", Resolver(Symptom::ResolveFailed)),
    ("invalid header after joining FastCGI records", Is(Symptom::ResponseInvalid)),
    ("invalid in-addr.arpa or ip6.arpa name in DNS response", Resolver(Symptom::ResolveFailed)),
    ("invalid label type in DNS response", Resolver(Symptom::ResolveFailed)),
    ("invalid name DNS response", Resolver(Symptom::ResolveFailed)),
    ("invalid name in DNS response", Resolver(Symptom::ResolveFailed)),
    ("invalid number of questions in DNS response", Resolver(Symptom::ResolveFailed)),
    ("invalid range in slice response", Is(Symptom::ResponseInvalid)),
    ("kevent() reported that client prematurely closed connection", Is(Symptom::ClientClosed)),
    ("kevent() reported that connect() failed", Connect),
    ("limiting connections", Is(Symptom::Limiting)),
    ("limiting requests", Is(Symptom::Limiting)),
    ("lseek() \"", Write),
    ("lstat() \"", Serve),
    ("memcached sent invalid ", Is(Symptom::HeaderInvalid)),
    ("memcached sent invalid trailer", Is(Symptom::ResponseInvalid)),
    ("missing slice response", Is(Symptom::ResponseInvalid)),
    ("mkdir() \"", MakeDirectory),
    ("name is out of DNS response", Resolver(Symptom::ResolveFailed)),
    ("name is out of response", Resolver(Symptom::ResolveFailed)),
    ("no A or CNAME types in DNS response", Resolver(Symptom::ResolveFailed)),
    ("no PTR type in DNS response", Resolver(Symptom::ResolveFailed)),
    ("no SRV type in DNS response", Resolver(Symptom::ResolveFailed)),
    ("no complete length in slice response", Is(Symptom::ResponseInvalid)),
    ("no live upstreams", Is(Symptom::NoLiveUpstreams)),
    ("no resolver defined to resolve ", NoResolver),
    ("open() \"", Open),
    ("openat() \"", Open),
    ("opendir() \"", Serve),
    ("peer closed connection in SSL handshake", TlsSetup),
    ("pwrite() \"", Write),
    ("pwritev() \"", Write),
    ("readdir() \"", Serve),
    ("readv() failed", Receive),
    ("recv() failed", Receive),
    ("rename() \"", Store),
    ("rmdir() \"", Store),
    ("send() failed", Send),
    ("send() incomplete", Resolver(Symptom::ResolveFailed)),
    ("sendfile() failed", Send),
    ("sendmsg() failed", Send),
    ("sendto() failed", Send),
    ("setsockopt(!TCP_CORK) failed", Send),
    ("short DNS response", Resolver(Symptom::ResolveFailed)),
    ("socket() failed", Socket),
    ("stat() \"", Serve),
    ("the new socket has number ", Is(Symptom::SocketFdLimit)),
    ("unexpected A record in DNS response", Resolver(Symptom::ResolveFailed)),
    ("unexpected AAAA record in DNS response", Resolver(Symptom::ResolveFailed)),
    ("unexpected DNS response for ", Resolver(Symptom::ResolveFailed)),
    ("unexpected RR class ", Resolver(Symptom::ResolveFailed)),
    ("unexpected RR type ", Resolver(Symptom::ResolveFailed)),
    ("unexpected compression pointer in DNS response", Resolver(Symptom::ResolveFailed)),
    ("unexpected range in slice response", Is(Symptom::ResponseInvalid)),
    ("unexpected response for ", Resolver(Symptom::ResolveFailed)),
    ("unexpected status code ", Is(Symptom::ResponseInvalid)),
    ("unknown PROXY protocol version: ", ProxyHeader),
    ("unknown query class ", Resolver(Symptom::ResolveFailed)),
    ("unknown query type ", Resolver(Symptom::ResolveFailed)),
    ("unlink() \"", Store),
    ("upstream SSL certificate does not match \"", Is(Symptom::SslName)),
    ("upstream SSL certificate verify error: ", Is(Symptom::SslVerify)),
    ("upstream prematurely closed FastCGI request", Is(Symptom::BodyShort)),
    ("upstream prematurely closed FastCGI stdout", Closed),
    ("upstream prematurely closed connection", Closed),
    ("upstream prematurely closed stream", Closed),
    ("upstream prematurely sent response", Is(Symptom::ResponseInvalid)),
    ("upstream rejected request with error ", Is(Symptom::ReadReset)),
    ("upstream sent ", Is(Symptom::ResponseInvalid)),
    ("upstream sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time", Is(Symptom::HeaderInvalid)),
    ("upstream sent HTTP/1.0 response with early hints", Is(Symptom::HeaderInvalid)),
    ("upstream sent duplicate :status header", Is(Symptom::HeaderInvalid)),
    ("upstream sent duplicate header line: \"", Is(Symptom::HeaderInvalid)),
    ("upstream sent goaway with error ", Is(Symptom::ReadReset)),
    ("upstream sent http2 table index with continuation flag", Is(Symptom::HeaderInvalid)),
    ("upstream sent invalid \"Content-Length\" header: \"", Is(Symptom::HeaderInvalid)),
    ("upstream sent invalid :status \"", Is(Symptom::HeaderInvalid)),
    ("upstream sent invalid encoded header", Is(Symptom::HeaderInvalid)),
    ("upstream sent invalid header", Is(Symptom::HeaderInvalid)),
    ("upstream sent invalid http2 dynamic table size update: ", Is(Symptom::HeaderInvalid)),
    ("upstream sent invalid http2 table index: ", Is(Symptom::HeaderInvalid)),
    ("upstream sent invalid status \"", Is(Symptom::HeaderInvalid)),
    ("upstream sent no :status header", Is(Symptom::HeaderInvalid)),
    ("upstream sent no valid HTTP/1.0 header", Is(Symptom::HeaderInvalid)),
    ("upstream sent too big early hints", No),
    ("upstream sent too big header", Is(Symptom::HeaderTooBig)),
    ("upstream sent too large http2 header", Is(Symptom::HeaderTooBig)),
    ("upstream sent unexpected :status \"", Is(Symptom::HeaderInvalid)),
    ("upstream sent unknown \"Transfer-Encoding\": \"", Is(Symptom::HeaderInvalid)),
    ("upstream sent zero http2 header name length", Is(Symptom::HeaderInvalid)),
    ("upstream server temporarily disabled", Is(Symptom::UpstreamDisabled)),
    ("upstream timed out", TimedOut),
    ("upstream violated ", Is(Symptom::ResponseInvalid)),
    ("utimes() \"", Store),
    ("write() \"", Write),
    ("writev() \"", Write),
    ("writev() failed", Send),
    ("wrong ident ", Resolver(Symptom::ResolveFailed)),
    ("zero-length domain name in DNS response", Resolver(Symptom::ResolveFailed)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_for_the_search() {
        assert!(RULES.is_sorted_by_key(|it| it.0));
        assert!(RULES.windows(2).all(|pair| pair[0].0 != pair[1].0));
    }
}
