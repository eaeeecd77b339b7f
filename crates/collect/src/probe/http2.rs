//! HTTP/2 with prior knowledge, as grpc_pass speaks it: the preface and an empty SETTINGS frame (RFC 9113, 3.4).

pub(super) const FRAME_HEADER_BYTES: usize = 9;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

pub(super) fn greeting() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]);
    bytes
}

/// Whether a frame header begins here that a server may send first: SETTINGS or GOAWAY on stream 0, of a length that fits.
pub(super) fn answers(bytes: &[u8]) -> bool {
    let [a, b, c, kind, _, stream @ ..] = bytes else { return false };
    let length = u32::from_be_bytes([0, *a, *b, *c]);
    stream.starts_with(&[0; 4])
        && match *kind {
            SETTINGS => length.is_multiple_of(6) && length <= 16384,
            GOAWAY => (8..=16384).contains(&length),
            _ => false,
        }
}

pub(super) fn detail(bytes: &[u8]) -> String {
    match bytes.get(3) {
        Some(&GOAWAY) => "a GOAWAY frame".into(),
        _ => "a SETTINGS frame".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_known_and_prefixes_of_them_survived() {
        // What nginx 1.22 sends first on `listen … http2`.
        let settings = b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80\0\x04\0\x01\0\0\0\x05\0\xff\xff\xff";
        assert!(answers(settings));
        for end in 0..FRAME_HEADER_BYTES {
            assert!(!answers(&settings[..end]), "{end}");
        }
        assert!(!answers(b"HTTP/1.1 400 Bad Request\r\n"));
    }
}
