//! Addresses as nginx writes them: `host:port`, `[ipv6]:port`, `unix:/path`, and the URLs of passes.

use std::net::IpAddr;

/// `host:port` with the default port filled in where none is written; a unix path stays as it is.
pub(crate) fn with_port(address: &str, default_port: Option<u16>) -> String {
    match (split_port(address), default_port) {
        ((_, None), Some(port)) if unix_path(address).is_none() && !address.is_empty() => {
            format!("{address}:{port}")
        }
        _ => address.to_owned(),
    }
}

/// The path of `unix:/path`.
pub(crate) fn unix_path(address: &str) -> Option<&str> {
    let scheme = address.get(..5)?;
    scheme.eq_ignore_ascii_case("unix:").then(|| &address[5..])
}

/// Splits `host:port` into the host (with its brackets) and the text of the port.
pub(crate) fn split_port(address: &str) -> (&str, Option<&str>) {
    if unix_path(address).is_some() {
        return (address, None);
    }
    let after_host = if address.starts_with('[') { address.find(']').unwrap_or(0) } else { 0 };
    match address[after_host..].find(':') {
        Some(colon) => (&address[..after_host + colon], Some(&address[after_host + colon + 1..])),
        None => (address, None),
    }
}

/// The IP address of a host as written, with or without brackets.
pub(crate) fn ip(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

/// Splits what follows `scheme://` into the address and the URI that is sent instead of the request's.
pub(crate) fn split_uri(rest: &str) -> (&str, Option<&str>) {
    if let Some(path) = unix_path(rest) {
        // Source: nginx ngx_parse_unix_domain_url; a second colon ends the path.
        return match path.find(':') {
            Some(colon) if colon + 1 < path.len() => (&rest[..5 + colon], Some(&path[colon + 1..])),
            Some(colon) => (&rest[..5 + colon], None),
            None => (rest, None),
        };
    }
    match rest.find(['/', '?']) {
        Some(at) => (&rest[..at], Some(&rest[at..])),
        None => (rest, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_port_is_filled_in_and_nothing_else() {
        for (address, expected) in [
            ("127.0.0.1", "127.0.0.1:80"),
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("[::1]", "[::1]:80"),
            ("[::1]:8080", "[::1]:8080"),
            ("app", "app:80"),
            ("unix:/run/x.sock", "unix:/run/x.sock"),
            ("", ""),
        ] {
            assert_eq!(with_port(address, Some(80)), expected);
        }
        assert_eq!(with_port("app", None), "app");
    }

    #[test]
    fn the_uri_of_a_pass_is_split_from_its_address() {
        for (rest, expected) in [
            ("app", ("app", None)),
            ("app:80/", ("app:80", Some("/"))),
            ("app?x", ("app", Some("?x"))),
            ("unix:/run/x.sock", ("unix:/run/x.sock", None)),
            ("unix:/run/x.sock:", ("unix:/run/x.sock", None)),
            ("unix:/run/x.sock:/uri/", ("unix:/run/x.sock", Some("/uri/"))),
        ] {
            assert_eq!(split_uri(rest), expected, "{rest}");
        }
    }
}
