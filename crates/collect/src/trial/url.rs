//! The URL that an operator asked to be tried.

use std::fmt;
use std::str::FromStr;

/// A URL of nginx, as far as a request needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Whether it is https.
    pub tls: bool,
    /// Name or address, without brackets.
    pub host: String,
    /// Its port, the scheme's own where none is written.
    pub port: u16,
    /// Path and arguments.
    pub target: String,
}

impl FromStr for Url {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Url, Self::Err> {
        const WHAT: &str = "expected a URL such as http://shop.example.com/cart";
        let (scheme, rest) = text.split_once("://").ok_or(WHAT)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(WHAT),
        };
        // What is no plain character would let a URL write headers.
        if !rest.bytes().all(|it| it.is_ascii_graphic()) {
            return Err(
                "a space, a control character or a letter beyond ASCII has to be written as %20 and the like",
            );
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err("no user and no password: a trial carries no rights");
        }
        let bracketed = authority.strip_prefix('[').and_then(|it| it.split_once(']'));
        let (host, port) = match bracketed {
            Some((host, rest)) if host.parse::<std::net::Ipv6Addr>().is_ok() => {
                (host, rest.strip_prefix(':'))
            }
            Some(_) => return Err(WHAT),
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().ok().filter(|it| *it > 0).ok_or(WHAT)?,
            None if tls => 443,
            None => 80,
        };
        let is_name = |it: char| it.is_ascii_alphanumeric() || "-._:".contains(it);
        if host.is_empty() || !host.chars().all(is_name) {
            return Err(WHAT);
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Url { tls, host: host.to_ascii_lowercase(), port, target: format!("{slash}{target}") })
    }
}

impl Url {
    /// Without arguments.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub(super) fn arguments(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, it)| it)
    }

    pub(super) fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// As a browser sends it: the port only where it is not the scheme's own.
    pub(super) fn host_header(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.host_header(), self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(text: &str, expected: &str) {
        match text.parse::<Url>() {
            Ok(url) => assert_eq!(format!("{url} {} {}", url.host_header(), url.target), expected),
            Err(why) => assert_eq!(why, expected),
        }
    }

    #[test]
    fn a_url_is_taken_apart() {
        reads("http://Shop.example.com", "http://shop.example.com/ shop.example.com /");
        reads("https://a:8443/x?y=z#there", "https://a:8443/x?y=z a:8443 /x?y=z");
        reads("http://[::1]:8080?q", "http://[::1]:8080/?q [::1]:8080 /?q");
        reads("https://a:443/", "https://a/ a /");
    }

    #[test]
    fn what_is_no_url_of_a_web_server_is_refused() {
        let what = "expected a URL such as http://shop.example.com/cart";
        for text in [
            "/cart",
            "shop.example.com",
            "ftp://a/",
            "http://",
            "http://a:0/",
            "http://a:x/",
            "http://[a]/",
            "http://a\"b/",
        ] {
            reads(text, what);
        }
        reads("http://me:secret@a/", "no user and no password: a trial carries no rights");
    }

    #[test]
    fn a_url_cannot_write_headers() {
        assert!("http://a/ HTTP/1.1\r\nX-Evil: 1".parse::<Url>().is_err());
        assert!("http://a/\u{e4}".parse::<Url>().is_err());
    }
}
