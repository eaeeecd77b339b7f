//! uWSGI's ping: modifier1 100 is answered by the server's core with modifier2 1; no application sees it.
//!
//! Source: the uwsgi protocol's table of modifiers. A server without that modifier closes the connection.

/// modifier1, the size of the block (little-endian, none here), modifier2.
pub(super) fn greeting() -> Vec<u8> {
    vec![100, 0, 0, 0]
}

/// The answer to it; its block may carry a message.
pub(super) fn answers(bytes: &[u8]) -> bool {
    matches!(bytes, [100, _, _, 1, ..])
}
