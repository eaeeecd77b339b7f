//! Servers: where they listen and which names they answer to.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::address;
use crate::location::LocationId;
use crate::tree::{Directive, Span};
use crate::units;

/// A `server` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// In the order of the file. An http server without `listen` listens on `*:80`, and that entry has
    /// `implicit` set.
    pub listens: Vec<Listen>,
    /// As written, all `server_name` directives together; empty when there is none (which equals `""`).
    pub names: Vec<String>,
    /// Inside `stream`.
    pub stream: bool,
    /// Inside `mail`.
    pub mail: bool,
    /// The locations of its first level; nested ones hang below them.
    pub locations: Vec<LocationId>,
    pub span: Span,
}

/// A `listen` directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// As configured.
    pub address: String,
    /// The host as configured, when it is a name rather than an address.
    pub host: Option<String>,
    /// `None` for a host name and for unix sockets; `*` and a bare port are 0.0.0.0.
    pub ip: Option<IpAddr>,
    /// `None` for unix sockets, and for mail and stream servers without one.
    pub port: Option<u16>,
    /// The end of a range such as `8000-8010`, otherwise the same as `port`.
    pub last_port: Option<u16>,
    pub unix: Option<PathBuf>,
    pub default_server: bool,
    pub ssl: bool,
    pub proxy_protocol: bool,
    pub http2: bool,
    pub quic: bool,
    pub udp: bool,
    pub reuseport: bool,
    /// `None` when not configured; nginx then asks for 511 on Linux.
    pub backlog: Option<u32>,
    /// Whether an IPv6 wildcard takes IPv6 only: nginx's default is yes.
    pub ipv6only: bool,
    /// No `listen` was written and nginx assumes this one; `span` is then the server's.
    pub implicit: bool,
    pub span: Span,
}

impl Listen {
    /// Whether a TCP port is within the range listened on.
    pub fn has_port(&self, port: u16) -> bool {
        self.port.zip(self.last_port).is_some_and(|(first, last)| (first..=last).contains(&port))
    }

    pub(crate) fn implicit(span: Span) -> Listen {
        let mut listen = Listen::at("*:80", span, Some(80));
        listen.implicit = true;
        listen
    }

    pub(crate) fn parse(directive: &Directive, default_port: Option<u16>) -> Option<Listen> {
        let (first, options) = directive.args.split_first()?;
        let mut listen = Listen::at(&first.text, directive.span, default_port);
        for option in options {
            let (name, value) = option.text.split_once('=').unwrap_or((&option.text, ""));
            match name {
                "default_server" | "default" => listen.default_server = true,
                "ssl" => listen.ssl = true,
                "proxy_protocol" => listen.proxy_protocol = true,
                "http2" => listen.http2 = true,
                "quic" => listen.quic = true,
                "udp" => listen.udp = true,
                "reuseport" => listen.reuseport = true,
                "backlog" => listen.backlog = value.parse().ok(),
                "ipv6only" => listen.ipv6only = value != "off",
                _ => {}
            }
        }
        Some(listen)
    }

    /// Source: nginx ngx_parse_url with `listen` set.
    fn at(text: &str, span: Span, default_port: Option<u16>) -> Listen {
        let mut listen = Listen {
            address: text.to_owned(),
            host: None,
            ip: None,
            port: None,
            last_port: None,
            unix: None,
            default_server: false,
            ssl: false,
            proxy_protocol: false,
            http2: false,
            quic: false,
            udp: false,
            reuseport: false,
            backlog: None,
            ipv6only: true,
            implicit: false,
            span,
        };
        if let Some(path) = address::unix_path(text) {
            listen.unix = Some(PathBuf::from(path));
            return listen;
        }
        let (host, ports) = match address::split_port(text) {
            (host, Some(ports)) => (host, port_range(ports)),
            (bare, None) => match port_range(bare) {
                Some(range) => ("*", Some(range)),
                None => (bare, default_port.map(|port| (port, port))),
            },
        };
        listen.port = ports.map(|(first, _)| first);
        listen.last_port = ports.map(|(_, last)| last);
        listen.ip = if host == "*" { Some(IpAddr::from([0, 0, 0, 0])) } else { address::ip(host) };
        listen.host = listen.ip.is_none().then(|| host.to_owned());
        listen
    }
}

/// `8000` or `8000-8010`.
fn port_range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text| units::number(text).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some((first, last))
}
