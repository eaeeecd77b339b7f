//! Where nginx takes a URL, and what it would say to whom.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use nginx_conf::{Directive, Listen, LocationKind, Pass, Scheme, Span, View};
use snapshot::Peer;

use super::exchange::{Dial, Framing};
use super::url::Url;
use super::variables::{USER_AGENT, Variables};
use crate::peer::path::below;
use crate::probe::connect::Target;
use crate::probe::fastcgi::{pair, record};

/// More servers of one group than these tell nothing new.
const MOST_PEERS: usize = 4;

// Record types and roles of the FastCGI specification, section 8.
const BEGIN_REQUEST: u8 = 1;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const RESPONDER: [u8; 8] = [0, 1, 0, 0, 0, 0, 0, 0];

/// What to send.
pub(super) struct Plan {
    pub(super) through: Dial,
    pub(super) straight: Vec<Dial>,
    pub(super) remark: String,
}

/// Whether an nginx takes connections on the URL's port.
pub(super) fn listens(view: &View, url: &Url) -> bool {
    listeners(view).any(|(_, it)| has_port(it, url.port))
}

/// Decides where the request goes, as the files are now.
pub(super) fn plan(url: &Url, view: &View, root: &Path, version: &str) -> Plan {
    let server = view.server_for(&url.host, Some(url.port));
    let listen = listeners(view)
        .filter(|(_, it)| has_port(it, url.port))
        .min_by_key(|(index, it)| (Some(*index) != server, it.ssl != url.tls))
        .map(|(_, it)| it);
    let ip = match listen.and_then(|it| it.ip) {
        Some(ip) if !ip.is_unspecified() => ip,
        Some(IpAddr::V6(_)) => Ipv6Addr::LOCALHOST.into(),
        _ => Ipv4Addr::LOCALHOST.into(),
    };
    let listener = SocketAddr::new(ip, url.port);
    let through = Dial {
        to: Peer::Tcp(listener),
        scheme: url.scheme(),
        target: Some(Target::Tcp(listener)),
        tls: url.tls.then(|| Some(url.host.clone())),
        before: if listen.is_some_and(|it| it.proxy_protocol) {
            b"PROXY UNKNOWN\r\n".to_vec()
        } else {
            Vec::new()
        },
        request: http_request("1.1", &url.target, &[("Host".into(), url.host_header())]),
        framing: Framing::Http,
    };
    let mut remark = match listen {
        None => format!("no server of the configuration listens on port {}", url.port),
        Some(_) => String::new(),
    };
    let straight = match chosen(view, url) {
        Some(chosen) => dials(&chosen, view, url, (listener, root, version), &mut remark),
        None => {
            say(&mut remark, "no location that this URL leads to passes it on".into());
            Vec::new()
        }
    };
    Plan { through, straight, remark }
}

fn say(remark: &mut String, words: String) {
    if !remark.is_empty() {
        remark.push_str("; ");
    }
    remark.push_str(&words);
}

fn listeners<'v>(view: &'v View<'_>) -> impl Iterator<Item = (usize, &'v Listen)> {
    let servers = view.servers().iter().enumerate().filter(|(_, it)| !it.stream && !it.mail);
    let of = |(index, it): (usize, &'v nginx_conf::Server)| it.listens.iter().map(move |it| (index, it));
    servers.flat_map(of).filter(|(_, it)| !it.udp && !it.quic && it.unix.is_none())
}

fn has_port(listen: &Listen, port: u16) -> bool {
    listen.port.is_some_and(|first| (first..=listen.last_port.unwrap_or(first)).contains(&port))
}

/// The pass that serves a URL, and the path that it is asked for.
struct Chosen<'v> {
    pass: &'v Pass<'v>,
    path: String,
}

fn chosen<'v>(view: &'v View<'v>, url: &Url) -> Option<Chosen<'v>> {
    let route = view.route(&url.host, Some(url.port), url.path())?;
    if let Some(pass) = route.pass {
        return Some(Chosen { pass, path: url.path().to_owned() });
    }
    // The last resort of try_files: another location by name, or another path.
    if let Some((_, Some(pass))) = route.fallback {
        let last = route.location.and_then(|it| view.location(it)).and_then(|it| it.try_files.last());
        let path = last.filter(|it| it.starts_with('/')).map(|it| it.split('?').next().unwrap_or_default());
        return Some(Chosen { pass, path: path.unwrap_or(url.path()).to_owned() });
    }
    // The index of a directory, where a page of PHP is.
    let index = format!("{}index.php", url.path());
    let pass = view.route(&url.host, Some(url.port), &index).filter(|_| url.path().ends_with('/'))?.pass?;
    Some(Chosen { pass, path: index })
}

fn dials(
    chosen: &Chosen,
    view: &View,
    url: &Url,
    (listener, nginx_root, version): (SocketAddr, &Path, &str),
    remark: &mut String,
) -> Vec<Dial> {
    let pass = chosen.pass;
    let mut addresses = pass.addresses(view);
    if addresses.iter().any(|it| !it.backup && !it.down) {
        addresses.retain(|it| !it.backup && !it.down);
    }
    if addresses.is_empty() {
        say(remark, format!("{} is only known while nginx serves", pass.written));
    }
    if addresses.len() > MOST_PEERS {
        say(remark, format!("of {} servers {MOST_PEERS} were asked", addresses.len()));
    }
    let mut dials = Vec::new();
    for address in addresses.iter().take(MOST_PEERS) {
        let to: Peer = address.address.parse().unwrap_or_else(|never| match never {});
        let target = match &to {
            Peer::Tcp(address) => Some(Target::Tcp(*address)),
            Peer::Unix(path) => Some(Target::Unix(below(nginx_root, Path::new(path)))),
            Peer::Name { .. } => None,
            Peer::Group(_) => continue,
        };
        let pass_host = match pass.group(view) {
            Some(group) => group.name.as_str(),
            None => without_usual_port(&address.address, pass.scheme),
        };
        let server = view.servers().get(pass.server);
        let root = in_force(&view.config().root, pass.span, "root", None);
        let variables = Variables {
            url,
            path: &chosen.path,
            arguments: url.arguments(),
            pass_host,
            server_name: server.and_then(|it| it.names.first()).map_or("", String::as_str),
            listener,
            root: root.as_deref(),
            index: pass.settings.fastcgi_index.value.as_deref().unwrap_or_default(),
            version,
        };
        let Some((request, framing)) = request(chosen, view, &variables) else {
            say(remark, format!("a request in {} cannot be made here", pass.scheme.name()));
            return Vec::new();
        };
        let settings = &pass.settings;
        let name = settings.ssl_name.value.clone().unwrap_or_else(|| host_of(pass_host).to_owned());
        dials.push(Dial {
            to,
            scheme: pass.scheme.name(),
            target,
            tls: pass.scheme.is_tls().then(|| Some(name).filter(|_| settings.ssl_server_name.value)),
            before: Vec::new(),
            request,
            framing,
        });
    }
    dials
}

fn without_usual_port(address: &str, scheme: Scheme) -> &str {
    let usual = scheme.default_port().map(|it| format!(":{it}"));
    usual.and_then(|it| address.strip_suffix(it.as_str())).unwrap_or(address)
}

fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// The value of a directive in the block around a place, or in the next one further out.
fn in_force(block: &[Directive], place: Span, name: &str, around: Option<&str>) -> Option<String> {
    let own = block.iter().find(|it| it.name == name).and_then(|it| it.arg(0)).or(around);
    if block.iter().any(|it| it.span == place) {
        return own.map(str::to_owned);
    }
    block.iter().find_map(|it| in_force(it.block.as_deref()?, place, name, own))
}

/// The bytes that nginx would send; none in a protocol that nobody here speaks.
fn request(chosen: &Chosen, view: &View, variables: &Variables) -> Option<(Vec<u8>, Framing)> {
    let pass = chosen.pass;
    let settings = &pass.settings;
    match pass.scheme {
        Scheme::Http | Scheme::Https => {
            let target = target(chosen, view, variables);
            let expanded = |it: &nginx_conf::NameValue| Some((it.name.clone(), variables.expand(&it.value)?));
            let mut headers: Vec<_> = settings.set_headers.value.iter().filter_map(expanded).collect();
            if settings.header("host").is_none() {
                headers.insert(0, ("Host".into(), variables.pass_host.to_owned()));
            }
            Some((http_request(&settings.http_version.value, &target, &headers), Framing::Http))
        }
        Scheme::Fastcgi => {
            let mut body = Vec::new();
            parameters(pass, variables).iter().for_each(|(name, value)| pair(&mut body, name, value));
            // What does not fit one record is no request that anybody makes.
            let body = body.get(..body.len().min(usize::from(u16::MAX))).unwrap_or_default();
            let records = [
                record(BEGIN_REQUEST, 1, &RESPONDER),
                record(PARAMS, 1, body),
                record(PARAMS, 1, &[]),
                record(STDIN, 1, &[]),
            ];
            Some((records.concat(), Framing::Fastcgi))
        }
        Scheme::Uwsgi | Scheme::Suwsgi => {
            let mut body = Vec::new();
            for (name, value) in parameters(pass, variables) {
                for text in [name, value] {
                    body.extend(u16::try_from(text.len()).ok()?.to_le_bytes());
                    body.extend(text.as_bytes());
                }
            }
            let size = u16::try_from(body.len()).ok()?.to_le_bytes();
            Some(([&[0, size[0], size[1], 0][..], &body].concat(), Framing::Http))
        }
        Scheme::Scgi => {
            let mut body = b"CONTENT_LENGTH\x000\x00SCGI\x001\x00".to_vec();
            for (name, value) in parameters(pass, variables)
                .into_iter()
                .filter(|(it, _)| it != "CONTENT_LENGTH" && it != "SCGI")
            {
                body.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
            }
            Some(([format!("{}:", body.len()).as_bytes(), &body, b","].concat(), Framing::Cgi))
        }
        Scheme::Grpc | Scheme::Grpcs | Scheme::Memcached | Scheme::Stream | Scheme::StreamTls => None,
    }
}

fn parameters(pass: &Pass, variables: &Variables) -> Vec<(String, String)> {
    let configured = pass.settings.params.value.iter();
    let mut all: Vec<_> =
        configured.filter_map(|it| Some((it.name.clone(), variables.expand(&it.value)?))).collect();
    // The client's headers, as every gateway protocol names them.
    let own = [
        ("HTTP_HOST", variables.url.host_header()),
        ("HTTP_USER_AGENT", USER_AGENT.into()),
        ("HTTP_ACCEPT", "*/*".into()),
    ];
    for (name, value) in own {
        if !all.iter().any(|(it, _)| it == name) {
            all.push((name.into(), value));
        }
    }
    all
}

/// The request line's target as nginx passes it on: with the path of the location replaced by that of the pass, if it
/// has one.
fn target(chosen: &Chosen, view: &View, variables: &Variables) -> String {
    let pass = chosen.pass;
    if pass.uri.is_none() && chosen.path == variables.url.path() {
        return variables.url.target.clone();
    }
    let location = pass.location.and_then(|it| view.location(it));
    let prefix = location.filter(|it| {
        matches!(it.kind, LocationKind::Prefix | LocationKind::PrefixNoRegex | LocationKind::Exact)
    });
    let path = match (&pass.uri, prefix.and_then(|it| chosen.path.strip_prefix(it.path.as_str()))) {
        (Some(uri), Some(rest)) => format!("{uri}{rest}"),
        _ => chosen.path.clone(),
    };
    let question = if variables.arguments.is_empty() { "" } else { "?" };
    format!("{path}{question}{}", variables.arguments)
}

fn http_request(version: &str, target: &str, headers: &[(String, String)]) -> Vec<u8> {
    let version = if version == "1.1" || version == "2" { "1.1" } else { "1.0" };
    let mut text = format!("GET {target} HTTP/{version}\r\n");
    let mut put = |name: &str, value: &str| {
        let is_token =
            !name.is_empty() && name.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it));
        // nginx leaves out what expands to nothing.
        if is_token && !value.is_empty() {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
    };
    let own = [
        "connection",
        "user-agent",
        "accept",
        "upgrade",
        "content-length",
        "transfer-encoding",
        "cookie",
        "authorization",
    ];
    for (name, value) in headers.iter().filter(|(it, _)| !own.contains(&it.to_ascii_lowercase().as_str())) {
        put(name, value);
    }
    put("User-Agent", USER_AGENT);
    put("Accept", "*/*");
    put("Connection", "close");
    text.push_str("\r\n");
    text.into_bytes()
}
