//! Why a request failed, in two letters: who ended it, and in which phase. From one line of an access log.

/// A reason code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reason(pub [u8; 2]);

/// What a line of an access log says about how a request ended: the values as logged, lists with one entry for each try.
#[derive(Debug, Clone, Copy, Default)]
pub struct Signs<'a> {
    pub status: u16,
    /// Whether the format tells about upstreams at all.
    pub tells_upstream: bool,
    pub upstream_addr: &'a [u8],
    pub upstream_status: &'a [u8],
    pub connect_time: &'a [u8],
    pub header_time: &'a [u8],
    pub response_time: &'a [u8],
}

impl Reason {
    /// None where the request did not fail.
    pub fn of(_signs: &Signs<'_>) -> Option<Reason> {
        None
    }

    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("--")
    }
}
