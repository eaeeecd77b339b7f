//! The pattern of a URL: what is left when ids, hashes and numbers are folded, so that requests for the same kind of page
//! count together.

/// Longer patterns are cut: what stands further back is for one page alone.
const LONGEST_BYTES: usize = 160;

/// The path of a request line or of a URI, without arguments.
pub fn path_of(uri: &[u8]) -> &[u8] {
    let end = memchr::memchr2(b'?', b'#', uri).unwrap_or(uri.len());
    &uri[..end]
}

/// Method and URI of a request line; of raw garbage nothing is taken for a method.
pub fn request_of(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b' ', line)?;
    let (method, rest) = (&line[..at], &line[at + 1..]);
    let is_method =
        !method.is_empty() && method.iter().all(|it| it.is_ascii_alphabetic() || matches!(it, b'-' | b'_'));
    let uri = match memchr::memrchr(b' ', rest) {
        Some(at) if rest[at + 1..].starts_with(b"HTTP/") => &rest[..at],
        _ => rest,
    };
    is_method.then_some((method, uri))
}

/// Writes the pattern of a path.
///
/// A word is letters and digits. One of digits alone is a number; a long one of hexadecimal digits, or of letters and
/// digits mixed, is a hash or an id that a program made; a UUID is five such words.
pub fn fold(path: &[u8], pattern: &mut Vec<u8>) {
    pattern.clear();
    // What lies between the two stays as it is, and is not copied yet.
    let (mut copied, mut at) = (0, 0);
    while at < path.len() && pattern.len() + at - copied < LONGEST_BYTES {
        let word = Word::at(path, at);
        let end = at + word.length;
        let folded = match word.length {
            0 => {
                at += 1;
                continue;
            }
            8 if word.is_hexadecimal && is_uuid(&path[at..]) => Some((&b"{uuid}"[..], at + UUID.len())),
            // `%20` and `\xE9` are letters.
            _ if at > copied && matches!(path[at - 1], b'%' | b'\\') => None,
            _ => word.folded().map(|it| (it, end)),
        };
        let begin = std::mem::replace(&mut at, end);
        if let Some((folded, end)) = folded {
            pattern.extend_from_slice(&path[copied..begin]);
            pattern.extend_from_slice(folded);
            (copied, at) = (end, end);
        }
    }
    pattern.extend_from_slice(&path[copied..at]);
    if at < path.len() {
        pattern.truncate(LONGEST_BYTES);
        pattern.extend_from_slice("…".as_bytes());
    }
}

/// Letters and digits.
#[derive(Debug)]
struct Word {
    length: usize,
    digits: usize,
    is_hexadecimal: bool,
}

/// For each byte: whether it belongs to a word, is a digit, and is no hexadecimal digit.
const CLASSES: [[u8; 3]; 256] = {
    let mut classes = [[0; 3]; 256];
    let mut byte = 0;
    while byte < 256 {
        let it = byte as u8;
        classes[byte] =
            [it.is_ascii_alphanumeric() as u8, it.is_ascii_digit() as u8, !it.is_ascii_hexdigit() as u8];
        byte += 1;
    }
    classes
};

impl Word {
    /// The word that begins there; it may be empty.
    #[inline(always)]
    fn at(path: &[u8], at: usize) -> Word {
        let (mut length, mut digits, mut others) = (0, 0, 0);
        for byte in &path[at..] {
            let [is_word, is_digit, is_other] = CLASSES[usize::from(*byte)];
            if is_word == 0 {
                break;
            }
            length += 1;
            digits += usize::from(is_digit);
            others |= is_other;
        }
        Word { length, digits, is_hexadecimal: others == 0 }
    }

    #[inline(always)]
    fn folded(&self) -> Option<&'static [u8]> {
        match self.digits {
            digits if digits == self.length => Some(b"{n}"),
            1.. if self.is_hexadecimal && self.length >= 8 => Some(b"{hash}"),
            2.. if self.length >= 16 => Some(b"{id}"),
            _ => None,
        }
    }
}

const UUID: &[u8; 36] = b"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

fn is_uuid(text: &[u8]) -> bool {
    text.len() >= UUID.len()
        && text.get(UUID.len()).is_none_or(|it| !it.is_ascii_alphanumeric())
        && text.iter().zip(UUID).all(|(it, shape)| match shape {
            b'-' => *it == b'-',
            _ => it.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn folds(path: &str, expected: &str) {
        let mut pattern = Vec::new();
        fold(path.as_bytes(), &mut pattern);
        assert_eq!(String::from_utf8_lossy(&pattern), expected);
    }

    #[test]
    fn ids_and_hashes_fold() {
        folds("/api/v1/region/5181522", "/api/v1/region/{n}");
        folds("/static/font/health.35505ef7.svg", "/static/font/health.{hash}.svg");
        folds("/o/3f2b1c4d-1111-4222-8333-0123456789ab/x", "/o/{uuid}/x");
        folds(
            "/media/query/fb/d43bdf546c93b3f76b2b98c5c5c8be58_1280.webp",
            "/media/query/fb/{hash}_{n}.webp",
        );
        folds("/t/eyJhbGciOiJIUzI1NiJ9", "/t/{id}");
    }

    #[test]
    fn words_stay() {
        for path in [
            "/",
            "/index.php",
            "/wp-login.php",
            "/oauth2/token",
            "/caf%C3%A9/deadbeef",
            "/\\xE9t\\xE9",
            "/H264",
        ] {
            folds(path, path);
        }
    }

    #[test]
    fn a_long_path_is_cut() {
        let mut pattern = Vec::new();
        fold(&b"/a".repeat(4000), &mut pattern);
        assert_eq!(pattern.len(), LONGEST_BYTES + "…".len());
    }

    #[test]
    fn a_request_line_has_a_method_and_a_uri() {
        assert_eq!(request_of(b"GET /a b HTTP/1.1"), Some((&b"GET"[..], &b"/a b"[..])));
        assert_eq!(request_of(b"GET /a"), Some((&b"GET"[..], &b"/a"[..])));
        assert_eq!(request_of(b"\\x16\\x03 x"), None);
        assert_eq!(path_of(b"/a?b=c"), b"/a");
    }
}
