//! A part of a log, as whoever reads files hands it to whoever understands lines.

/// Some whole lines of one log, unpacked but with the carrier still on. Error-log entries of several lines are whole as well.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    /// Which log: an index into the logs that are read together.
    pub source: usize,
    /// Which part of it, counted from 0 without gaps.
    pub index: u64,
    /// Where it begins in the unpacked log.
    pub offset: u64,
    pub bytes: &'a [u8],
}
