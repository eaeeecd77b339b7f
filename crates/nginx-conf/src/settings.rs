//! The settings that apply where a request is passed on: configured, inherited, or nginx's default for the version.
//!
//! Inheritance as nginx merges its blocks: a scalar of an inner block replaces the outer one; of a list such as
//! `proxy_set_header`, one entry in the inner block replaces the whole outer list.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::pass::Module;
use crate::tree::{Directive, Span};
use crate::units;
use crate::version::Version;

/// A value with the directive it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    pub value: T,
    /// `None` when nothing is configured and this is nginx's default.
    pub from: Option<Span>,
}

impl<T> Setting<T> {
    pub(crate) fn default_of(value: T) -> Self {
        Setting { value, from: None }
    }

    /// Takes a configured value; one that nginx would refuse changes nothing.
    pub(crate) fn set(&mut self, value: Option<T>, from: Span) {
        if let Some(value) = value {
            *self = Setting { value, from: Some(from) };
        }
    }
}

/// A name with a value: a header, a FastCGI parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameValue {
    pub name: String,
    /// As written, with variables.
    pub value: String,
    pub span: Span,
}

/// `count` buffers of `size_bytes` each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffers {
    pub count: u32,
    pub size_bytes: u64,
}

/// A `resolver` directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolver {
    /// `address:port`, the port being 53 where none is written.
    pub addresses: Vec<String>,
    /// How long answers are kept, where the configuration overrides their TTL.
    pub valid: Option<Duration>,
    pub ipv4: bool,
    pub ipv6: bool,
}

impl Resolver {
    pub(crate) fn parse(directive: &Directive) -> Resolver {
        let mut resolver = Resolver { addresses: Vec::new(), valid: None, ipv4: true, ipv6: true };
        for arg in &directive.args {
            match arg.text.split_once('=') {
                Some(("valid", value)) => resolver.valid = units::duration(value),
                Some(("ipv4", value)) => resolver.ipv4 = value != "off",
                Some(("ipv6", value)) => resolver.ipv6 = value != "off",
                Some(("status_zone", _)) => {}
                _ => resolver.addresses.push(crate::address::with_port(&arg.text, Some(53))),
            }
        }
        resolver
    }
}

/// What applies to one pass. Fields that a module does not have keep a value that means "no such thing" (`false`,
/// empty, `None`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub connect_timeout: Setting<Duration>,
    /// Between two writes; in `stream`, `proxy_timeout`.
    pub send_timeout: Setting<Duration>,
    /// Between two reads; in `stream`, `proxy_timeout`.
    pub read_timeout: Setting<Duration>,
    pub buffering: Setting<bool>,
    /// The buffer that the response header must fit.
    pub buffer_size_bytes: Setting<u64>,
    pub buffers: Setting<Buffers>,
    pub busy_buffers_size_bytes: Setting<u64>,
    pub request_buffering: Setting<bool>,
    /// `1.0`, `1.1` or `2`; empty for protocols other than HTTP.
    pub http_version: Setting<String>,
    pub next_upstream: Setting<Vec<String>>,
    /// 0 is no limit.
    pub next_upstream_tries: Setting<u32>,
    /// Zero is no limit.
    pub next_upstream_timeout: Setting<Duration>,
    pub intercept_errors: Setting<bool>,
    /// The local address, as written; `None` also for `off`.
    pub bind: Setting<Option<String>>,
    pub socket_keepalive: Setting<bool>,
    /// 0 keeps responses in memory.
    pub max_temp_file_size_bytes: Setting<u64>,
    /// Resolved against nginx's prefix; `None` is the compiled-in path.
    pub temp_path: Setting<Option<PathBuf>>,
    pub cache: Setting<Option<String>>,
    pub ignore_client_abort: Setting<bool>,
    pub pass_request_headers: Setting<bool>,
    pub pass_request_body: Setting<bool>,
    /// As configured. What nginx sends by itself (`Host`, `Connection`) is not in the list.
    pub set_headers: Setting<Vec<NameValue>>,
    /// `fastcgi_param`, `uwsgi_param` or `scgi_param`.
    pub params: Setting<Vec<NameValue>>,
    pub fastcgi_index: Setting<Option<String>>,
    pub fastcgi_split_path_info: Setting<Option<String>>,
    /// `fastcgi_keep_conn`.
    pub keep_conn: Setting<bool>,
    /// TLS to a stream peer.
    pub ssl: Setting<bool>,
    pub ssl_verify: Setting<bool>,
    pub ssl_verify_depth: Setting<u32>,
    /// Resolved against the directory of the main file.
    pub ssl_trusted_certificate: Setting<Option<PathBuf>>,
    /// As written; `None` is the host of the pass.
    pub ssl_name: Setting<Option<String>>,
    /// Whether the name is sent (SNI).
    pub ssl_server_name: Setting<bool>,
    pub ssl_protocols: Setting<Vec<String>>,
    pub ssl_ciphers: Setting<String>,
    /// As written: a path, `data:…`, `engine:…` or variables.
    pub ssl_certificate: Setting<Option<String>>,
    pub ssl_certificate_key: Setting<Option<String>>,
    /// Whether the stream peer is sent a PROXY protocol header.
    pub proxy_protocol: Setting<bool>,
    /// 0 is no limit.
    pub client_max_body_size_bytes: Setting<u64>,
    pub resolver: Setting<Option<Resolver>>,
    pub resolver_timeout: Setting<Duration>,
}

/// The size of a memory page on the hosts this runs on, from which nginx takes its buffer defaults.
const PAGE_BYTES: u64 = 4096;

/// Paths that settings are resolved against.
#[derive(Debug)]
pub(crate) struct Prefixes {
    pub prefix: PathBuf,
    pub conf_prefix: PathBuf,
}

/// The settings of a pass, worked out when they are first looked at: of thousands of passes few ever are.
#[derive(Debug, Clone)]
pub struct LazySettings<'c>(Arc<Level<'c>>);

/// The settings of a module in one block.
#[derive(Debug)]
struct Level<'c> {
    module: Module,
    /// The next block outwards that says anything about them.
    around: Option<LazySettings<'c>>,
    directives: &'c [Directive],
    version: Version,
    prefixes: Arc<Prefixes>,
    settings: OnceLock<Box<Settings>>,
}

impl<'c> LazySettings<'c> {
    pub(crate) fn defaults(module: Module, version: Version, prefixes: &Arc<Prefixes>) -> Self {
        let prefixes = Arc::clone(prefixes);
        let settings = OnceLock::new();
        LazySettings(Arc::new(Level { module, around: None, directives: &[], version, prefixes, settings }))
    }

    /// The settings inside a block, given those around it.
    pub(crate) fn inside(self, directives: &'c [Directive]) -> Self {
        let Level { module, version, .. } = *self.0;
        if !Settings::touched_by(module, directives) {
            return self;
        }
        let prefixes = Arc::clone(&self.0.prefixes);
        let settings = OnceLock::new();
        LazySettings(Arc::new(Level { module, around: Some(self), directives, version, prefixes, settings }))
    }
}

impl std::ops::Deref for LazySettings<'_> {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        let level = &self.0;
        level.settings.get_or_init(|| {
            let mut settings = match &level.around {
                Some(around) => Settings::clone(around),
                None => Settings::defaults(level.module, level.version),
            };
            settings.apply(level.module, level.directives, &level.prefixes);
            Box::new(settings)
        })
    }
}

impl Settings {
    /// Source: the merge functions of nginx's modules; changes by version from its CHANGES.
    fn defaults(module: Module, version: Version) -> Settings {
        let of_default =
            |words: &[&str]| Setting::default_of(words.iter().map(|it| (*it).to_owned()).collect());
        let minute = Duration::from_secs(60);
        let stream = module == Module::Stream;
        let buffers = !matches!(module, Module::Stream | Module::Memcached | Module::Grpc);
        // memcached_pass and grpc_pass hand data on as it comes.
        let timeout = if stream { Duration::from_secs(600) } else { minute };
        let next_upstream: &[&str] = if stream { &["on"] } else { &["error", "timeout"] };
        let http_version = match module {
            Module::Proxy if version >= Version(1, 29, 7) => "1.1",
            Module::Proxy => "1.0",
            Module::Grpc => "2",
            _ => "",
        };
        let protocols: &[&str] = if version >= Version(1, 27, 3) {
            &["TLSv1.2", "TLSv1.3"]
        } else if version >= Version(1, 23, 4) {
            &["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]
        } else {
            &["TLSv1", "TLSv1.1", "TLSv1.2"]
        };
        Settings {
            connect_timeout: Setting::default_of(minute),
            send_timeout: Setting::default_of(timeout),
            read_timeout: Setting::default_of(timeout),
            buffering: Setting::default_of(buffers),
            buffer_size_bytes: Setting::default_of(if stream { 16 << 10 } else { PAGE_BYTES }),
            buffers: Setting::default_of(Buffers {
                count: if buffers { 8 } else { 0 },
                size_bytes: if buffers { PAGE_BYTES } else { 0 },
            }),
            busy_buffers_size_bytes: Setting::default_of(if buffers { 2 * PAGE_BYTES } else { 0 }),
            request_buffering: Setting::default_of(buffers),
            http_version: Setting::default_of(http_version.to_owned()),
            next_upstream: of_default(next_upstream),
            next_upstream_tries: Setting::default_of(0),
            next_upstream_timeout: Setting::default_of(Duration::ZERO),
            intercept_errors: Setting::default_of(false),
            bind: Setting::default_of(None),
            socket_keepalive: Setting::default_of(false),
            max_temp_file_size_bytes: Setting::default_of(if buffers { 1 << 30 } else { 0 }),
            temp_path: Setting::default_of(None),
            cache: Setting::default_of(None),
            ignore_client_abort: Setting::default_of(false),
            pass_request_headers: Setting::default_of(!stream),
            pass_request_body: Setting::default_of(!stream),
            set_headers: Setting::default_of(Vec::new()),
            params: Setting::default_of(Vec::new()),
            fastcgi_index: Setting::default_of(None),
            fastcgi_split_path_info: Setting::default_of(None),
            keep_conn: Setting::default_of(false),
            ssl: Setting::default_of(false),
            ssl_verify: Setting::default_of(false),
            ssl_verify_depth: Setting::default_of(1),
            ssl_trusted_certificate: Setting::default_of(None),
            ssl_name: Setting::default_of(None),
            ssl_server_name: Setting::default_of(false),
            ssl_protocols: of_default(protocols),
            ssl_ciphers: Setting::default_of("DEFAULT".to_owned()),
            ssl_certificate: Setting::default_of(None),
            ssl_certificate_key: Setting::default_of(None),
            proxy_protocol: Setting::default_of(false),
            client_max_body_size_bytes: Setting::default_of(if stream { 0 } else { 1 << 20 }),
            resolver: Setting::default_of(None),
            resolver_timeout: Setting::default_of(Duration::from_secs(30)),
        }
    }

    /// Whether any of a block's directives changes these settings.
    pub(crate) fn touched_by(module: Module, directives: &[Directive]) -> bool {
        directives.iter().any(|directive| {
            directive.block.is_none()
                && (suffix(module, directive).is_some() || common(module, &directive.name))
        })
    }

    /// Takes over what a block says.
    fn apply(&mut self, module: Module, directives: &[Directive], prefixes: &Prefixes) {
        // The first entry of a list replaces what was inherited, the next ones add to it.
        let (mut own_headers, mut own_params) = (false, false);
        for directive in directives.iter().filter(|directive| directive.block.is_none()) {
            if common(module, &directive.name) {
                self.apply_common(directive);
                continue;
            }
            match suffix(module, directive) {
                Some("set_header") => add(&mut self.set_headers, &mut own_headers, directive),
                Some("param") => add(&mut self.params, &mut own_params, directive),
                Some(suffix) => self.apply_scalar(module, suffix, directive, prefixes),
                None => {}
            }
        }
        if self.busy_buffers_size_bytes.from.is_none() && self.buffers.value.count > 0 {
            // Source: nginx ngx_http_proxy_merge_loc_conf.
            let largest = self.buffer_size_bytes.value.max(self.buffers.value.size_bytes);
            self.busy_buffers_size_bytes.value = largest.saturating_mul(2);
        }
    }

    fn apply_common(&mut self, directive: &Directive) {
        let first = directive.arg(0).unwrap_or_default();
        match directive.name.as_str() {
            "resolver" => {
                let resolver = (first != "off").then(|| Resolver::parse(directive));
                self.resolver.set(Some(resolver), directive.span);
            }
            "resolver_timeout" => self.resolver_timeout.set(units::duration(first), directive.span),
            "client_max_body_size" => {
                self.client_max_body_size_bytes.set(units::size_bytes(first), directive.span);
            }
            _ => {}
        }
    }

    fn apply_scalar(&mut self, module: Module, suffix: &str, directive: &Directive, prefixes: &Prefixes) {
        let first = directive.arg(0).unwrap_or_default();
        let span = directive.span;
        let text = || Some(first.to_owned());
        let words = || Some(directive.args.iter().map(|arg| arg.text.to_string()).collect::<Vec<_>>());
        let unless_off = || Some((first != "off").then(|| first.to_owned()));
        match suffix {
            "connect_timeout" => self.connect_timeout.set(units::duration(first), span),
            "send_timeout" => self.send_timeout.set(units::duration(first), span),
            "read_timeout" => self.read_timeout.set(units::duration(first), span),
            "timeout" if module == Module::Stream => {
                self.send_timeout.set(units::duration(first), span);
                self.read_timeout.set(units::duration(first), span);
            }
            "buffering" => self.buffering.set(units::switch(first), span),
            "buffer_size" => self.buffer_size_bytes.set(units::size_bytes(first), span),
            "buffers" => {
                let count = units::number(first).and_then(|count| u32::try_from(count).ok());
                let size = directive.arg(1).and_then(units::size_bytes);
                let buffers = count.zip(size).map(|(count, size_bytes)| Buffers { count, size_bytes });
                self.buffers.set(buffers, span);
            }
            "busy_buffers_size" => self.busy_buffers_size_bytes.set(units::size_bytes(first), span),
            "request_buffering" => self.request_buffering.set(units::switch(first), span),
            "http_version" => self.http_version.set(text(), span),
            "next_upstream" => self.next_upstream.set(words(), span),
            "next_upstream_tries" => {
                self.next_upstream_tries.set(units::number(first).and_then(|it| it.try_into().ok()), span);
            }
            "next_upstream_timeout" => self.next_upstream_timeout.set(units::duration(first), span),
            "intercept_errors" => self.intercept_errors.set(units::switch(first), span),
            "bind" => self.bind.set(unless_off(), span),
            "socket_keepalive" => self.socket_keepalive.set(units::switch(first), span),
            "max_temp_file_size" => self.max_temp_file_size_bytes.set(units::size_bytes(first), span),
            "temp_path" => self.temp_path.set(Some(Some(prefixes.prefix.join(first))), span),
            "cache" => self.cache.set(unless_off(), span),
            "ignore_client_abort" => self.ignore_client_abort.set(units::switch(first), span),
            "pass_request_headers" => self.pass_request_headers.set(units::switch(first), span),
            "pass_request_body" => self.pass_request_body.set(units::switch(first), span),
            "index" => self.fastcgi_index.set(Some(text()), span),
            "split_path_info" => self.fastcgi_split_path_info.set(Some(text()), span),
            "keep_conn" => self.keep_conn.set(units::switch(first), span),
            "protocol" => self.proxy_protocol.set(Some(first != "off"), span),
            "ssl" => self.ssl.set(units::switch(first), span),
            "ssl_verify" => self.ssl_verify.set(units::switch(first), span),
            "ssl_verify_depth" => {
                self.ssl_verify_depth.set(units::number(first).and_then(|it| it.try_into().ok()), span);
            }
            "ssl_trusted_certificate" => {
                self.ssl_trusted_certificate.set(Some(Some(prefixes.conf_prefix.join(first))), span);
            }
            "ssl_name" => self.ssl_name.set(Some(text()), span),
            "ssl_server_name" => self.ssl_server_name.set(units::switch(first), span),
            "ssl_protocols" => self.ssl_protocols.set(words(), span),
            "ssl_ciphers" => self.ssl_ciphers.set(text(), span),
            "ssl_certificate" => self.ssl_certificate.set(Some(text()), span),
            "ssl_certificate_key" => self.ssl_certificate_key.set(Some(text()), span),
            _ => {}
        }
    }

    /// The configured value of a request header, without regard to case; the last one where several are set.
    pub fn header(&self, name: &str) -> Option<&NameValue> {
        self.set_headers.value.iter().rev().find(|header| header.name.eq_ignore_ascii_case(name))
    }

    /// The configured value of a FastCGI, uwsgi or SCGI parameter; the last one where several are set.
    pub fn param(&self, name: &str) -> Option<&NameValue> {
        self.params.value.iter().rev().find(|param| param.name == name)
    }
}

fn suffix(module: Module, directive: &Directive) -> Option<&str> {
    directive.name.strip_prefix(module.prefix())
}

fn common(module: Module, name: &str) -> bool {
    match name {
        "resolver" | "resolver_timeout" => true,
        "client_max_body_size" => module != Module::Stream,
        _ => false,
    }
}

fn add(list: &mut Setting<Vec<NameValue>>, owned: &mut bool, directive: &Directive) {
    let [name, value, ..] = directive.args.as_slice() else { return };
    if !std::mem::replace(owned, true) {
        list.value.clear();
        list.from = Some(directive.span);
    }
    list.value.push(NameValue {
        name: name.text.to_string(),
        value: value.text.to_string(),
        span: directive.span,
    });
}
