//! The closed list of phases that nginx names after ` while `, and whose connection each is about.
//!
//! Source: every assignment to `log->action` in nginx 1.10.3 … 1.31.5. Other text after ` while ` (`while
//! resolving service http of x`, `while internally redirecting to "/x"`) is part of the message.

/// Whose connection an action is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    Upstream,
    /// A tunnel, where either side can fail under the same name.
    Both,
    /// nginx's own look-ups (`resolver` directive).
    Resolver,
    /// Certificate status requests.
    Ocsp,
    Syslog,
}

use Side::{Both, Client, Ocsp, Resolver, Syslog, Upstream};

/// Sorted by bytes, for the binary search.
#[rustfmt::skip]
const ACTIONS: &[(&str, Side)] = &[
    ("SSL handshaking", Client),
    ("SSL handshaking to upstream", Upstream),
    ("closing request", Client),
    ("connecting to upstream", Upstream),
    ("creating quic connection", Client),
    ("decrypting packet", Client),
    ("handling decrypted packet", Client),
    ("handling frames", Client),
    ("handling initial packet", Client),
    ("handling payload", Client),
    ("handling quic input", Client),
    ("handling quic packet", Client),
    ("in auth state", Client),
    ("in delay pipelining state", Client),
    ("in http auth state", Upstream),
    ("in resolving client address", Client),
    ("in resolving client hostname", Client),
    ("in starttls state", Client),
    ("initializing session", Client),
    ("keepalive", Client),
    ("logging request", Client),
    ("logging to syslog", Syslog),
    ("parsing frames", Client),
    ("parsing quic long header", Client),
    ("parsing quic packet", Client),
    ("passing connection to port", Client),
    ("preparing ack", Client),
    ("prereading client data", Client),
    ("processing HTTP/2 connection", Client),
    ("processing pushed request headers", Client),
    ("proxying", Both),
    ("proxying and reading from client", Client),
    ("proxying and reading from upstream", Upstream),
    ("proxying and sending to client", Client),
    ("proxying and sending to upstream", Upstream),
    ("proxying connection", Both),
    ("proxying upgraded connection", Both),
    ("reading PROXY protocol", Client),
    ("reading client pipelined request line", Client),
    ("reading client request", Client),
    ("reading client request headers", Client),
    ("reading client request line", Client),
    ("reading response from upstream", Upstream),
    ("reading response header from upstream", Upstream),
    ("reading upstream", Upstream),
    ("requesting certificate status", Ocsp),
    ("resolving", Resolver),
    ("returning text", Client),
    ("sending AUTH to upstream", Upstream),
    ("sending HELO/EHLO to upstream", Upstream),
    ("sending LOGIN command to upstream", Upstream),
    ("sending MAIL FROM to upstream", Upstream),
    ("sending PROXY protocol header to upstream", Upstream),
    ("sending RCPT TO to upstream", Upstream),
    ("sending XCLIENT to upstream", Upstream),
    ("sending client HELO/EHLO to upstream", Upstream),
    ("sending client greeting line", Client),
    ("sending early hints to client", Client),
    ("sending flv to client", Client),
    ("sending frames", Client),
    ("sending mp4 to client", Client),
    ("sending password to upstream", Upstream),
    ("sending request to upstream", Upstream),
    ("sending response to client", Client),
    ("sending to client", Client),
    ("sending user name to upstream", Upstream),
    ("updating keys", Client),
    ("waiting for request", Client),
];

/// Whose connection `action` is about; `None`: nginx has no such action.
pub fn side(action: &[u8]) -> Option<Side> {
    let action = plain(action);
    let index = ACTIONS.binary_search_by(|(name, _)| name.as_bytes().cmp(action)).ok()?;
    Some(ACTIONS[index].1)
}

/// The action without what ngx_http_proxy_connect_module puts behind nginx's own: `connecting to upstream(proxy_connect)`.
pub(crate) fn plain(action: &[u8]) -> &[u8] {
    action.strip_suffix(b"(proxy_connect)").unwrap_or(action)
}

/// Whether some action begins with this text: what is left of one that was cut.
pub(crate) fn is_beginning(text: &[u8]) -> bool {
    ACTIONS.iter().any(|(name, _)| name.as_bytes().starts_with(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_for_the_search() {
        assert!(ACTIONS.is_sorted_by_key(|it| it.0));
        for (name, expected) in ACTIONS {
            assert_eq!(side(name.as_bytes()), Some(*expected));
        }
    }

    #[test]
    fn text_that_only_looks_like_an_action_is_none() {
        for text in ["resolving service http of x", "spawning \"worker process\"", "", "waiting on shmtx"] {
            assert_eq!(side(text.as_bytes()), None, "{text}");
        }
    }
}
