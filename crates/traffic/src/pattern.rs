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
    let mut rest = path;
    while !rest.is_empty() && pattern.len() < LONGEST_BYTES {
        if is_uuid(rest) {
            pattern.extend_from_slice(b"{uuid}");
            rest = &rest[UUID.len()..];
            continue;
        }
        let end = rest.iter().position(|it| !it.is_ascii_alphanumeric()).unwrap_or(rest.len());
        if end == 0 {
            pattern.push(rest[0]);
            rest = &rest[1..];
            continue;
        }
        let (word, after) = rest.split_at(end);
        // `%20` and `\xE9` are letters.
        let escaped = matches!(pattern.last(), Some(b'%' | b'\\'));
        match fold_word(word).filter(|_| !escaped) {
            Some(folded) => pattern.extend_from_slice(folded),
            None => pattern.extend_from_slice(word),
        }
        rest = after;
    }
    if !rest.is_empty() {
        pattern.truncate(LONGEST_BYTES);
        pattern.extend_from_slice("…".as_bytes());
    }
}

fn fold_word(word: &[u8]) -> Option<&'static [u8]> {
    let digits = word.iter().filter(|it| it.is_ascii_digit()).count();
    if digits == word.len() {
        return Some(b"{n}");
    }
    let hexadecimal = word.iter().all(u8::is_ascii_hexdigit);
    if hexadecimal && word.len() >= 8 && digits > 0 {
        return Some(b"{hash}");
    }
    (word.len() >= 16 && digits >= 2).then_some(b"{id}")
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
