//! FastCGI's own question to the library: FCGI_GET_VALUES. No application code runs for it.
//!
//! PHP-FPM 8.2 answers with FCGI_MPXS_CONNS alone, and then waits for the next record. The length fields are the server's
//! word: nothing here trusts them.

/// Record types of the FastCGI specification, section 8.
const GET_VALUES: u8 = 9;
const GET_VALUES_RESULT: u8 = 10;
pub(super) const HIGHEST_TYPE: u8 = 11;
pub(super) const HEADER_BYTES: usize = 8;

pub(super) fn greeting() -> Vec<u8> {
    let mut body = Vec::new();
    for name in ["FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"] {
        pair(&mut body, name, "");
    }
    record(GET_VALUES, 0, &body)
}

/// One record. Bodies here stay far below the 65535 bytes that one can hold.
pub(crate) fn record(kind: u8, request: u16, body: &[u8]) -> Vec<u8> {
    let length = body.len().min(usize::from(u16::MAX)) as u16;
    let mut bytes = vec![1, kind];
    bytes.extend(request.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(&body[..usize::from(length)]);
    bytes
}

/// A name-value pair; section 3.4: a length up to 127 is one byte, a longer one four with the highest bit set.
pub(crate) fn pair(body: &mut Vec<u8>, name: &str, value: &str) {
    for length in [name.len(), value.len()] {
        match u8::try_from(length) {
            Ok(short) if short < 128 => body.push(short),
            _ => body.extend((length as u32 | 1 << 31).to_be_bytes()),
        }
    }
    body.extend(name.as_bytes());
    body.extend(value.as_bytes());
}

/// The first record's `(type, body)` and what follows it; none when it is not whole.
pub(crate) fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER_BYTES)?;
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let (body, rest) = rest.split_at_checked(length)?;
    Some((header[1], body, rest.get(usize::from(header[6])..).unwrap_or_default()))
}

/// The values that were given: `FCGI_MPXS_CONNS=0`.
pub(super) fn detail(bytes: &[u8]) -> String {
    match split(bytes) {
        Some((GET_VALUES_RESULT, body, _)) => {
            let values: Vec<String> = pairs(body)
                .into_iter()
                .map(|(name, value)| format!("{}={}", name.escape_ascii(), value.escape_ascii()))
                .collect();
            values.join(" ")
        }
        Some((kind, ..)) => format!("a record of type {kind}"),
        None => "the beginning of a record".into(),
    }
}

fn pairs(mut body: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut found = Vec::new();
    while !body.is_empty() {
        let Some((name_length, after)) = length(body) else { break };
        let Some((value_length, after)) = length(after) else { break };
        let Some((name, after)) = after.split_at_checked(name_length) else { break };
        let Some((value, after)) = after.split_at_checked(value_length) else { break };
        found.push((name, value));
        body = after;
    }
    found
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [short @ 0..=127, rest @ ..] => Some((usize::from(*short), rest)),
        [a, b, c, d, rest @ ..] => Some((u32::from_be_bytes([a & 127, *b, *c, *d]) as usize, rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What PHP-FPM 8.2 answers.
    const PHP_FPM: &[u8] = b"\x01\x0a\0\0\0\x12\x06\0\x0f\x01FCGI_MPXS_CONNS0\0\0\0\0\0\0";

    #[test]
    fn the_values_of_php_fpm_are_read() {
        assert_eq!(detail(PHP_FPM), "FCGI_MPXS_CONNS=0");
    }

    #[test]
    fn every_prefix_is_survived() {
        for end in 0..PHP_FPM.len() {
            detail(&PHP_FPM[..end]);
            pairs(&PHP_FPM[..end]);
        }
    }

    #[test]
    fn long_lengths_take_four_bytes() {
        let mut body = Vec::new();
        pair(&mut body, "A", &"x".repeat(300));
        assert_eq!(pairs(&body), [(&b"A"[..], "x".repeat(300).as_bytes())]);
    }
}
