//! Where requests are handed on: `proxy_pass` and its relatives.

use crate::address;
use crate::location::LocationId;
use crate::settings::LazySettings;
use crate::tree::Span;
use crate::view::View;

/// One pass at one place where it is in force. A pass of a location stands here once more for each `if` or
/// `limit_except` inside it that changes its settings, then with a `condition`.
#[derive(Debug, Clone)]
pub struct Pass<'c> {
    pub scheme: Scheme,
    pub target: Target,
    /// For a target with variables: the address (with port) when they all have one constant value there, from
    /// unconditional `set` directives.
    pub constant: Option<String>,
    /// The group that this constant value names, as an index into [`View::upstreams`].
    pub constant_group: Option<usize>,
    /// What replaces the matched part of the request's URI. Unix targets have it after a second colon.
    pub uri: Option<String>,
    /// The argument as written.
    pub written: String,
    /// Index into [`View::servers`].
    pub server: usize,
    pub location: Option<LocationId>,
    /// The text of the innermost `if (…)` or `limit_except …` that the pass depends on.
    pub condition: Option<String>,
    pub span: Span,
    pub settings: LazySettings<'c>,
}

/// What is spoken to the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
    Fastcgi,
    Uwsgi,
    /// uwsgi over TLS.
    Suwsgi,
    Scgi,
    Grpc,
    Grpcs,
    Memcached,
    Stream,
    /// `stream` with `proxy_ssl on`.
    StreamTls,
}

/// The peers of a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Index into [`View::upstreams`].
    Group(usize),
    /// One address or name, with its port.
    Address(String),
    /// The text as written, with variables.
    Variable(String),
}

/// An address that nginx may dial for a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassAddress {
    /// `127.0.0.1:8080`, `[::1]:80`, `unix:/run/x.sock` or `name:port`.
    pub address: String,
    pub backup: bool,
    pub down: bool,
    /// The `server` of the group, or the pass.
    pub span: Span,
}

/// The nginx module behind a pass; its settings have its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Module {
    Proxy,
    Fastcgi,
    Uwsgi,
    Scgi,
    Grpc,
    Memcached,
    Stream,
}

impl Module {
    pub(crate) fn of_pass(directive: &str, stream: bool) -> Option<Module> {
        Some(match directive {
            "proxy_pass" if stream => Module::Stream,
            "proxy_pass" => Module::Proxy,
            "fastcgi_pass" => Module::Fastcgi,
            "uwsgi_pass" => Module::Uwsgi,
            "scgi_pass" => Module::Scgi,
            "grpc_pass" => Module::Grpc,
            "memcached_pass" => Module::Memcached,
            _ => return None,
        })
    }

    /// What the names of its directives begin with.
    pub fn prefix(self) -> &'static str {
        match self {
            Module::Proxy | Module::Stream => "proxy_",
            Module::Fastcgi => "fastcgi_",
            Module::Uwsgi => "uwsgi_",
            Module::Scgi => "scgi_",
            Module::Grpc => "grpc_",
            Module::Memcached => "memcached_",
        }
    }

    fn plain_scheme(self) -> Scheme {
        match self {
            Module::Proxy => Scheme::Http,
            Module::Fastcgi => Scheme::Fastcgi,
            Module::Uwsgi => Scheme::Uwsgi,
            Module::Scgi => Scheme::Scgi,
            Module::Grpc => Scheme::Grpc,
            Module::Memcached => Scheme::Memcached,
            Module::Stream => Scheme::Stream,
        }
    }
}

impl Scheme {
    /// As nginx spells it in the `upstream:` field of its error log; a stream's connections have none there.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::Fastcgi => "fastcgi",
            Scheme::Uwsgi => "uwsgi",
            Scheme::Suwsgi => "suwsgi",
            Scheme::Scgi => "scgi",
            Scheme::Grpc => "grpc",
            Scheme::Grpcs => "grpcs",
            Scheme::Memcached => "memcached",
            Scheme::Stream => "stream",
            Scheme::StreamTls => "stream-tls",
        }
    }

    /// Filled in where a pass names no port. Only HTTP and gRPC have one.
    pub fn default_port(self) -> Option<u16> {
        match self {
            Scheme::Http | Scheme::Grpc => Some(80),
            Scheme::Https | Scheme::Grpcs => Some(443),
            _ => None,
        }
    }

    pub fn module(self) -> Module {
        match self {
            Scheme::Http | Scheme::Https => Module::Proxy,
            Scheme::Fastcgi => Module::Fastcgi,
            Scheme::Uwsgi | Scheme::Suwsgi => Module::Uwsgi,
            Scheme::Scgi => Module::Scgi,
            Scheme::Grpc | Scheme::Grpcs => Module::Grpc,
            Scheme::Memcached => Module::Memcached,
            Scheme::Stream | Scheme::StreamTls => Module::Stream,
        }
    }

    /// Whether the peer is spoken to over TLS.
    pub fn is_tls(self) -> bool {
        matches!(self, Scheme::Https | Scheme::Suwsgi | Scheme::Grpcs | Scheme::StreamTls)
    }
}

/// The argument of a pass, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Destination<'t> {
    pub scheme: Scheme,
    /// Without a default port filled in.
    pub address: &'t str,
    pub uri: Option<&'t str>,
}

impl<'t> Destination<'t> {
    pub fn parse(text: &'t str, module: Module) -> Destination<'t> {
        let schemes: &[(&str, Scheme)] = match module {
            Module::Proxy => &[("http://", Scheme::Http), ("https://", Scheme::Https)],
            Module::Grpc => &[("grpc://", Scheme::Grpc), ("grpcs://", Scheme::Grpcs)],
            Module::Uwsgi => &[("uwsgi://", Scheme::Uwsgi), ("suwsgi://", Scheme::Suwsgi)],
            _ => &[],
        };
        for (prefix, scheme) in schemes {
            if text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)) {
                let (address, uri) = address::split_uri(&text[prefix.len()..]);
                return Destination { scheme: *scheme, address, uri };
            }
        }
        let scheme = module.plain_scheme();
        // Only proxy_pass takes a URI.
        let (address, uri) = if module == Module::Proxy { address::split_uri(text) } else { (text, None) };
        Destination { scheme, address, uri }
    }
}

impl Pass<'_> {
    /// The addresses nginx may dial, in the order of the configuration; empty for variables without a constant
    /// value. Names are not resolved.
    pub fn addresses(&self, view: &View) -> Vec<PassAddress> {
        if let Some(upstream) = self.group(view) {
            let address = |server: &crate::UpstreamServer| PassAddress {
                address: server.address.clone(),
                backup: server.backup,
                down: server.down,
                span: server.span,
            };
            return upstream.servers.iter().map(address).collect();
        }
        let address = match &self.target {
            Target::Address(address) => Some(address),
            _ => self.constant.as_ref(),
        };
        let single = |address: &String| PassAddress {
            address: address.clone(),
            backup: false,
            down: false,
            span: self.span,
        };
        address.map(single).into_iter().collect()
    }

    /// The group that is dialled; also when a variable's constant value names it.
    pub fn group<'v>(&self, view: &'v View) -> Option<&'v crate::Upstream> {
        let index = match &self.target {
            Target::Group(index) => Some(*index),
            Target::Address(_) => None,
            Target::Variable(_) => self.constant_group,
        };
        view.upstreams().get(index?)
    }

    /// Whether nginx keeps connections to this peer open for later requests: the group keeps idle ones, and the
    /// protocol and headers of this pass do not close each one.
    pub fn keeps_connections(&self, view: &View) -> bool {
        let Some(group) = self.group(view) else { return false };
        if group.keepalive.value == 0 {
            return false;
        }
        let settings = &self.settings;
        match self.scheme.module() {
            Module::Proxy => {
                let connection = settings.header("Connection").map(|header| header.value.as_str());
                let closes = match connection {
                    Some(value) => value.eq_ignore_ascii_case("close"),
                    None => view.version() < crate::Version(1, 29, 7),
                };
                settings.http_version.value != "1.0" && !closes
            }
            Module::Fastcgi => settings.keep_conn.value,
            Module::Grpc | Module::Memcached => true,
            // Source: nginx; uwsgi and SCGI end each connection with the response.
            Module::Uwsgi | Module::Scgi | Module::Stream => false,
        }
    }
}
