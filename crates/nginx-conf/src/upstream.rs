//! Groups of peers.

use std::time::Duration;

use crate::address;
use crate::settings::{Resolver, Setting};
use crate::tree::{Directive, Span};
use crate::units;
use crate::version::Version;

/// An `upstream` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    pub name: String,
    /// In the order of the file; empty only where nginx would refuse to start.
    pub servers: Vec<UpstreamServer>,
    pub balancing: Balancing,
    /// The name of the shared memory zone.
    pub zone: Option<String>,
    /// How many idle connections a worker keeps; 0 is none. Always 0 in `stream`.
    pub keepalive: Setting<u32>,
    pub keepalive_timeout: Setting<Duration>,
    pub keepalive_requests: Setting<u64>,
    /// The group's own `resolver`, for servers with `resolve`.
    pub resolver: Option<Resolver>,
    pub span: Span,
    pub stream: bool,
}

/// How a group chooses among its peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Balancing {
    RoundRobin,
    LeastConnections,
    IpHash,
    Hash {
        key: String,
        consistent: bool,
    },
    Random {
        two: bool,
    },
    /// A method this crate does not know the meaning of, by its directive.
    Other(String),
}

/// A `server` of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamServer {
    /// As dialled. In `http` a missing port is 80, whatever the scheme of the pass: so does nginx.
    pub address: String,
    /// As written.
    pub written: String,
    pub weight: u32,
    pub backup: bool,
    pub down: bool,
    /// 0 turns the accounting off. With a single server nginx ignores it.
    pub max_fails: u32,
    pub fail_timeout: Duration,
    /// 0 is no limit.
    pub max_conns: u32,
    /// Whether changes of the name's addresses are followed.
    pub resolve: bool,
    pub span: Span,
}

impl Upstream {
    /// The group that nginx makes by itself of the addresses of a name in a pass, with everything at its default.
    pub fn implied(address: &str, span: Span, stream: bool) -> Upstream {
        let server = UpstreamServer::at(address.to_owned(), address, span);
        Upstream { servers: vec![server], ..Upstream::empty(address.to_owned(), span, stream) }
    }

    fn empty(name: String, span: Span, stream: bool) -> Upstream {
        Upstream {
            name,
            servers: Vec::new(),
            balancing: Balancing::RoundRobin,
            zone: None,
            keepalive: Setting::default_of(0),
            keepalive_timeout: Setting::default_of(Duration::from_secs(60)),
            keepalive_requests: Setting::default_of(1000),
            resolver: None,
            span,
            stream,
        }
    }

    pub(crate) fn parse(block: &Directive, stream: bool, version: Version) -> Upstream {
        // Source: nginx ngx_http_upstream_keepalive_module; a stable branch has only fixes, so 1.28 keeps the old
        // default.
        let keeps_by_default = !stream && version >= Version(1, 29, 7);
        let requests = if version >= Version(1, 19, 10) { 1000 } else { 100 };
        let name = block.arg(0).unwrap_or_default().to_owned();
        let mut upstream = Upstream {
            keepalive: Setting::default_of(if keeps_by_default { 32 } else { 0 }),
            keepalive_requests: Setting::default_of(requests),
            ..Upstream::empty(name, block.span, stream)
        };
        for directive in block.children() {
            upstream.apply(directive);
        }
        upstream
    }

    fn apply(&mut self, directive: &Directive) {
        let first = directive.arg(0).unwrap_or_default();
        match directive.name.as_str() {
            "server" => self.servers.extend(UpstreamServer::parse(directive, self.stream)),
            "least_conn" => self.balancing = Balancing::LeastConnections,
            "ip_hash" => self.balancing = Balancing::IpHash,
            "hash" => {
                let consistent = directive.arg(1) == Some("consistent");
                self.balancing = Balancing::Hash { key: first.to_owned(), consistent };
            }
            "random" => self.balancing = Balancing::Random { two: first == "two" },
            "least_time" | "sticky" | "fair" | "balancer_by_lua_block" | "balancer_by_lua_file" => {
                self.balancing = Balancing::Other(directive.name.to_string());
            }
            "zone" => self.zone = Some(first.to_owned()),
            "keepalive" => {
                self.keepalive.set(units::number(first).and_then(|it| it.try_into().ok()), directive.span);
            }
            "keepalive_timeout" => self.keepalive_timeout.set(units::duration(first), directive.span),
            "keepalive_requests" => self.keepalive_requests.set(units::number(first), directive.span),
            "resolver" => self.resolver = Some(Resolver::parse(directive)),
            _ => {}
        }
    }
}

impl UpstreamServer {
    fn at(address: String, written: &str, span: Span) -> UpstreamServer {
        UpstreamServer {
            address,
            written: written.to_owned(),
            weight: 1,
            backup: false,
            down: false,
            max_fails: 1,
            fail_timeout: Duration::from_secs(10),
            max_conns: 0,
            resolve: false,
            span,
        }
    }

    fn parse(directive: &Directive, stream: bool) -> Option<UpstreamServer> {
        let (written, options) = directive.args.split_first()?;
        let default_port = if stream { None } else { Some(80) };
        let address = address::with_port(&written.text, default_port);
        let mut server = UpstreamServer::at(address, &written.text, directive.span);
        for option in options {
            let (name, value) = option.text.split_once('=').unwrap_or((&option.text, ""));
            let number = || units::number(value).and_then(|it| u32::try_from(it).ok());
            match name {
                "weight" => server.weight = number().unwrap_or(server.weight),
                "max_fails" => server.max_fails = number().unwrap_or(server.max_fails),
                "max_conns" => server.max_conns = number().unwrap_or(server.max_conns),
                "fail_timeout" => server.fail_timeout = units::duration(value).unwrap_or(server.fail_timeout),
                "backup" => server.backup = true,
                "down" => server.down = true,
                "resolve" => server.resolve = true,
                _ => {}
            }
        }
        Some(server)
    }
}
