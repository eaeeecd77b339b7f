//! uWSGI's ping: modifier1 100 never reaches the application. A server with the ping plugin answers it; one without (as
//! Debian's and most others are) says nothing and hangs up, as so many servers do on what they do not understand.
//!
//! So the greeting is sent in two parts. The header announces a block of 16 bytes, and only uWSGI waits for the last of
//! them and hangs up on it: a TLS or FastCGI server has seen enough after the first part, an HTTP server still waits after
//! the second for the end of a line.

/// What follows the header is a variable, in case somebody parses it: lengths in two bytes, little-endian.
const BLOCK: &[u8; 16] = b"\x06\0why502\x06\0probe!";
const HELD_BACK_BYTES: usize = 4;

/// What is said when only its manners tell that it speaks uwsgi.
pub(super) const MANNERS: &str =
    "it waited for the last byte of the block, and hung up on a ping that it does not serve";

/// modifier1, the size of the block, modifier2; then the block but for its end.
pub(super) fn greeting() -> Vec<u8> {
    let mut bytes = vec![100, BLOCK.len() as u8, 0, 0];
    bytes.extend(&BLOCK[..BLOCK.len() - HELD_BACK_BYTES]);
    bytes
}

/// The end of the block.
pub(super) fn rest() -> Vec<u8> {
    BLOCK[BLOCK.len() - HELD_BACK_BYTES..].to_vec()
}

/// The answer to it; its block may carry a message.
pub(super) fn answers(bytes: &[u8]) -> bool {
    matches!(bytes, [100, _, _, 1, ..])
}
