//! HTTP/1.1 `OPTIONS *`: it asks about the server itself and names no resource of the application (RFC 9110, 9.3.7).

use memchr::memmem;

/// A header larger than this is not waited for.
const LONGEST_HEADER_BYTES: usize = 4096;

pub(super) fn greeting(host: &str) -> Vec<u8> {
    // A host from a configuration may hold anything; what is no plain token would let it write headers.
    let host =
        if host.bytes().all(|b| b.is_ascii_graphic()) && !host.is_empty() { host } else { "localhost" };
    format!(
        "OPTIONS * HTTP/1.1\r\nHost: {host}\r\nUser-Agent: why502/{} (probe)\r\nConnection: keep-alive\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    )
    .into_bytes()
}

/// Whether all that is of interest has come: the header, and of a refusal also the page, which may say why.
pub(super) fn complete(bytes: &[u8]) -> bool {
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else { return bytes.len() >= LONGEST_HEADER_BYTES };
    if status(bytes) != Some(400) {
        return true;
    }
    let body = bytes.len() - end - 4;
    let length = header(&bytes[..end], "content-length").and_then(|it| it.parse().ok());
    body >= length.unwrap_or(LONGEST_HEADER_BYTES).min(LONGEST_HEADER_BYTES)
}

/// Whether the answer says, in plain HTTP, that TLS is wanted on this port: nginx, Apache httpd and Go's server do.
pub(super) fn wants_tls(bytes: &[u8]) -> bool {
    const WORDS: [&[u8]; 3] = [
        b"plain HTTP request was sent to HTTPS port",
        b"speaking plain HTTP to an SSL-enabled server port",
        b"Client sent an HTTP request to an HTTPS server",
    ];
    status(bytes) == Some(400) && WORDS.iter().any(|it| memmem::find(bytes, it).is_some())
}

/// The status line, who says it, and how long it keeps idle connections: `HTTP/1.1 200 OK, server: gunicorn`,
/// `HTTP/1.1 404 Not Found, keep-alive: timeout=5`.
pub(super) fn detail(bytes: &[u8]) -> String {
    let line = bytes.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
    let mut detail = line[..line.len().min(120)].escape_ascii().to_string();
    for name in ["server", "keep-alive"] {
        if let Some(value) = header(bytes, name) {
            let value = value.as_bytes()[..value.len().min(80)].escape_ascii();
            detail.push_str(&format!(", {name}: {value}"));
        }
    }
    detail
}

fn status(bytes: &[u8]) -> Option<u16> {
    std::str::from_utf8(bytes.get(9..12)?).ok()?.parse().ok()
}

fn header<'a>(bytes: &'a [u8], wanted: &str) -> Option<&'a str> {
    let head = &bytes[..memmem::find(bytes, b"\r\n\r\n").unwrap_or(bytes.len())];
    head.split(|b| *b == b'\n').skip(1).find_map(|line| {
        let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
        name.eq_ignore_ascii_case(wanted).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What gunicorn 20.1 answers.
    const GUNICORN: &[u8] = b"HTTP/1.1 200 OK\r\nServer: gunicorn\r\nDate: Sat, 02 May 2026 13:03:10 GMT\r\n\
        Connection: close\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n";
    /// What nginx 1.22 says on a port with `ssl`.
    const NGINX_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nServer: nginx/1.22.1\r\nContent-Type: text/html\r\n\
        Content-Length: 36\r\nConnection: close\r\n\r\n<html>\r\n<head><title>400 The plain HTTP request was sent to \
        HTTPS port</title></head>\r\n";

    #[test]
    fn the_status_line_and_the_server_are_told() {
        assert_eq!(detail(GUNICORN), "HTTP/1.1 200 OK, server: gunicorn");
        assert!(complete(GUNICORN));
    }

    #[test]
    fn a_port_that_wants_tls_says_so_in_its_page() {
        assert!(wants_tls(NGINX_TLS));
        assert!(!wants_tls(GUNICORN));
    }

    #[test]
    fn every_prefix_is_survived() {
        for message in [GUNICORN, NGINX_TLS] {
            for end in 0..message.len() {
                let prefix = &message[..end];
                let _ = (complete(prefix), wants_tls(prefix), detail(prefix));
            }
        }
    }

    #[test]
    fn a_host_cannot_write_headers() {
        let text = String::from_utf8(greeting("a\r\nX-Evil: 1")).unwrap();
        assert!(text.contains("Host: localhost\r\n"), "{text}");
    }

    #[test]
    fn escapes_of_a_terminal_stay_text() {
        assert_eq!(detail(b"HTTP/1.1 200 \x1b[31mOK\r\n"), "HTTP/1.1 200 \\x1b[31mOK");
    }
}
