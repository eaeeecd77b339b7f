//! The capture file: a Snapshot as gzip-compressed JSON with a format number in front.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Snapshot;

/// The format this build writes. Fields may be added within a format; a reader refuses a later one.
pub const FORMAT: &str = "why502.capture/1";

/// A decompressed capture larger than this is refused: no host gives one, a hostile file might.
const MAX_BYTES: u64 = 512 << 20;

#[derive(Serialize, Deserialize)]
struct Capture<S> {
    format: String,
    snapshot: S,
}

/// Why a capture could not be read.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// Reading failed, or it is no gzip file.
    #[error("the capture cannot be read")]
    Io(#[from] io::Error),
    /// It is not a capture, or a damaged one.
    #[error("this is not a why502 capture, or it is damaged")]
    Malformed(#[from] serde_json::Error),
    /// Another version of why502 wrote it.
    #[error("the capture has format {found:?}; this version reads {FORMAT:?}")]
    Format {
        /// What the file says.
        found: String,
    },
}

/// Writes a capture.
pub fn write_capture(snapshot: &Snapshot, to: impl Write) -> io::Result<()> {
    let mut gzip = GzEncoder::new(to, Compression::default());
    serde_json::to_writer(&mut gzip, &Capture { format: FORMAT.to_owned(), snapshot })?;
    gzip.finish()?.flush()
}

/// Reads one back.
pub fn read_capture(from: impl Read) -> Result<Snapshot, CaptureError> {
    let mut text = Vec::new();
    GzDecoder::new(from).take(MAX_BYTES).read_to_end(&mut text)?;
    let head: Capture<serde::de::IgnoredAny> = serde_json::from_slice(&text)?;
    if head.format != FORMAT {
        return Err(CaptureError::Format { found: head.format });
    }
    Ok(serde_json::from_slice::<Capture<Snapshot>>(&text)?.snapshot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_gives_back_the_same_snapshot() {
        let mut file = Vec::new();
        write_capture(&Snapshot::quiet(), &mut file).unwrap();
        assert_eq!(read_capture(&file[..]).unwrap(), Snapshot::quiet());
    }

    #[test]
    fn a_cut_capture_is_an_error() {
        let mut file = Vec::new();
        write_capture(&Snapshot::quiet(), &mut file).unwrap();
        for length in [0, 5, 20, file.len() / 2, file.len() - 9] {
            assert!(read_capture(&file[..length]).is_err(), "cut at {length}");
        }
    }
}
