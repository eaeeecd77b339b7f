//! Which addresses to look at: those that the logs blame, then those that the configuration dials.

use std::collections::{BTreeSet, HashSet};

use nginx_conf::{Pass, View};
use nginx_logs::Symptom;
use nginx_logs::error;
use snapshot::{LogFile, LogKind, Peer};

use crate::logs::compile;
use crate::nginx::Instance;
use crate::peer::PeerRequest;

/// Addresses that are looked at.
const MAX_PEERS: usize = 64;

/// The requests, failing addresses first.
pub fn requests(instances: &[&Instance], logs: &[LogFile], wanted: Option<&str>) -> Vec<PeerRequest> {
    let mut list = List::default();
    for instance in instances {
        let view = instance.view();
        for pass in view.passes() {
            list.add_pass(pass, &view);
        }
    }
    for log in logs {
        list.add_failures(log);
    }
    if let Some(wanted) = wanted {
        let peer: Peer = wanted.parse().unwrap_or_else(|never| match never {});
        list.blame(peer, None);
    }
    list.finish()
}

#[derive(Default)]
struct List {
    requests: Vec<PeerRequest>,
    /// Names of upstream groups: nginx logs them where it chose no peer, and they are nowhere to be found.
    groups: HashSet<String>,
}

impl List {
    fn add_pass(&mut self, pass: &Pass, view: &View) {
        if let Some(group) = pass.group(view) {
            self.groups.insert(group.name.clone());
        }
        let settings = &pass.settings;
        let resolvers =
            settings.resolver.value.iter().chain(pass.group(view).and_then(|it| it.resolver.as_ref()));
        let resolvers: BTreeSet<String> = resolvers
            .flat_map(|it| {
                let off = |family: &str, on: bool| (!on).then(|| format!("{family}=off"));
                it.addresses
                    .iter()
                    .cloned()
                    .chain(off("ipv4", it.ipv4))
                    .chain(off("ipv6", it.ipv6))
                    .collect::<Vec<_>>()
            })
            .collect();
        for address in pass.addresses(view) {
            let peer = peer(&address.address);
            let host = match &peer {
                Peer::Name { host, .. } => Some(host.clone()),
                _ => None,
            };
            let request = self.of(peer);
            let scheme = pass.scheme.name().to_owned();
            if !request.schemes.contains(&scheme) {
                request.schemes.push(scheme);
            }
            for resolver in &resolvers {
                if !request.resolvers.contains(resolver) {
                    request.resolvers.push(resolver.clone());
                }
            }
            let written_host = written_host(pass);
            let constant = |text: &String| !text.is_empty() && !text.contains('$');
            if settings.ssl_server_name.value && request.ssl_name.is_none() {
                let name = settings.ssl_name.value.clone().or_else(|| written_host.clone());
                request.ssl_name = name.or_else(|| host.clone()).filter(constant);
            }
            if request.host_header.is_none() {
                let configured =
                    settings.set_headers.value.iter().find(|it| it.name.eq_ignore_ascii_case("host"));
                request.host_header = configured
                    .map(|it| it.value.clone())
                    .filter(constant)
                    .or_else(|| configured.is_none().then_some(written_host).flatten().filter(constant));
            }
            if request.name.is_none() {
                request.name = host;
            }
        }
    }

    /// Peers of entries that are failures, and those of attempts that failed.
    fn add_failures(&mut self, log: &LogFile) {
        let Some(lines) = log.lines.value() else { return };
        match &log.kind {
            LogKind::Error => {
                let sockets = self.sockets();
                let sockets: Vec<&str> = sockets.iter().map(String::as_str).collect();
                for line in &lines.lines {
                    let Some(record) = error::parse(line.text.as_bytes()) else { continue };
                    let harmless = matches!(
                        record.symptom(),
                        None | Some(Symptom::ClientClosed | Symptom::UpstreamDisabled)
                    );
                    if !harmless && let Some(found) = record.peer_among(&sockets) {
                        self.blame(peer(&found), record.scheme);
                    }
                }
            }
            LogKind::Access { text, escape, .. } => {
                let format = compile(text, escape);
                for line in &lines.lines {
                    let Some(record) = format.parse(line.text.as_bytes()) else { continue };
                    for attempt in record.upstreams() {
                        let failed = attempt.status.is_none_or(|it| !(100..500).contains(&it));
                        if failed && let Some(found) = &attempt.addr {
                            self.blame(peer(found), None);
                        }
                    }
                }
            }
        }
    }

    /// The paths of the unix sockets that are dialled: only they tell where a path in the log ends and a URI begins.
    fn sockets(&self) -> Vec<String> {
        let path = |it: &PeerRequest| match &it.peer {
            Peer::Unix(path) => Some(path.clone()),
            _ => None,
        };
        self.requests.iter().filter_map(path).collect()
    }

    fn blame(&mut self, peer: Peer, scheme: Option<&str>) {
        if matches!(&peer, Peer::Group(_))
            || matches!(&peer, Peer::Name { host, .. } if self.groups.contains(host))
        {
            return;
        }
        let request = self.of(peer);
        request.failing = true;
        if let Some(scheme) = scheme
            && request.schemes.is_empty()
        {
            request.schemes.push(scheme.to_owned());
        }
    }

    /// The request for a peer; a new one if there is none.
    fn of(&mut self, peer: Peer) -> &mut PeerRequest {
        let at = self.requests.iter().position(|it| it.peer == peer).unwrap_or_else(|| {
            self.requests.push(PeerRequest {
                peer,
                schemes: Vec::new(),
                name: None,
                resolvers: Vec::new(),
                ssl_name: None,
                host_header: None,
                failing: false,
            });
            self.requests.len() - 1
        });
        &mut self.requests[at]
    }

    fn finish(mut self) -> Vec<PeerRequest> {
        self.adopt_names();
        self.requests.sort_by_key(|it| !it.failing);
        self.requests.truncate(MAX_PEERS);
        self.requests
    }

    /// An address in the logs that no pass names came from a name: of the only one with that port.
    fn adopt_names(&mut self) {
        let named: Vec<PeerRequest> =
            self.requests.iter().filter(|it| matches!(it.peer, Peer::Name { .. })).cloned().collect();
        for request in &mut self.requests {
            let Peer::Tcp(address) = request.peer else { continue };
            let mut fitting = named
                .iter()
                .filter(|it| matches!(&it.peer, Peer::Name { port, .. } if *port == address.port()));
            if let (None, Some(from), None) = (request.resolvers.first(), fitting.next(), fitting.next())
                && request.name.is_none()
                && request.host_header.is_none()
            {
                let schemes = std::mem::take(&mut request.schemes);
                *request = PeerRequest {
                    peer: request.peer.clone(),
                    failing: request.failing,
                    schemes: if from.schemes.is_empty() { schemes } else { from.schemes.clone() },
                    ..from.clone()
                };
            }
        }
    }
}

/// An address as the configuration or a log writes it. A name without a port is not dialled by anybody.
fn peer(text: &str) -> Peer {
    text.parse().unwrap_or_else(|never| match never {})
}

/// The host that stands in the pass: what nginx sends as Host and as the TLS name when nothing else is configured.
fn written_host(pass: &Pass) -> Option<String> {
    let rest = pass.written.split_once("://").map_or(pass.written.as_str(), |it| it.1);
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let is_unix = host.starts_with("unix:");
    (!is_unix && !host.is_empty()).then(|| host.rsplit_once(':').map_or(host, |it| it.0).to_owned())
}

#[cfg(test)]
mod tests {
    use nginx_conf::{MemoryFiles, Version};
    use snapshot::{LogLine, LogLines, Reading};

    use super::*;

    const CONFIG: &str = "http { upstream shop { server 10.0.0.1:80; server unix:/run/a.sock backup; } resolver 10.0.0.53 ipv6=off;
        server { location / { proxy_pass http://shop; } location /api/ { proxy_pass https://api.internal; proxy_ssl_server_name on; }
        location ~ php { fastcgi_pass unix:/run/php.sock; } } }";

    /// The peers of the configuration with that error log, failing ones marked.
    fn listed(log: &str) -> Vec<PeerRequest> {
        let files = MemoryFiles([("/n.conf".into(), CONFIG.into())].into());
        let config = nginx_conf::load(&files, "/n.conf".as_ref());
        let view = View::new(&config, Version::default());
        let mut list = List::default();
        view.passes().iter().for_each(|pass| list.add_pass(pass, &view));
        let line =
            |text: &str| LogLine { line: 1, offset: 0, at: jiff::Timestamp::UNIX_EPOCH, text: text.into() };
        let lines = LogLines { lines: log.lines().map(line).collect(), ..LogLines::default() };
        list.add_failures(&LogFile {
            path: "/e.log".into(),
            kind: LogKind::Error,
            lines: Reading::seen(lines, "/e.log", jiff::Timestamp::UNIX_EPOCH),
            nginx: 0,
        });
        list.finish()
    }

    fn names(requests: &[PeerRequest]) -> Vec<String> {
        requests.iter().map(|it| format!("{}{}", if it.failing { "!" } else { "" }, it.peer)).collect()
    }

    fn refused(upstream: &str) -> String {
        format!(
            "2026/05/02 12:00:00 [error] 7#7: *1 connect() failed (111: Connection refused) while connecting to upstream, \
             client: 1.1.1.1, server: a, request: \"GET / HTTP/1.1\", upstream: \"{upstream}\", host: \"a\"\n"
        )
    }

    #[test]
    fn every_address_of_the_configuration_is_listed_once() {
        let requests = listed("");
        assert_eq!(
            names(&requests),
            ["10.0.0.1:80", "unix:/run/a.sock", "api.internal:443", "unix:/run/php.sock"]
        );
        let api = &requests[2];
        assert_eq!((api.schemes.join(","), api.name.as_deref()), ("https".into(), Some("api.internal")));
        assert_eq!(api.resolvers, ["10.0.0.53:53", "ipv6=off"]);
        assert_eq!(
            (api.ssl_name.as_deref(), api.host_header.as_deref()),
            (Some("api.internal"), Some("api.internal"))
        );
    }

    #[test]
    fn failing_addresses_come_first_and_groups_are_no_address() {
        let log = [
            refused("http://10.0.0.9:443/"),
            refused("http://shop/"),
            refused("fastcgi://unix:/run/php.sock:"),
        ];
        let requests = listed(&log.concat());
        assert_eq!(names(&requests)[..2], ["!unix:/run/php.sock", "!10.0.0.9:443"]);
        assert_eq!(requests.len(), 5);
        // No pass dials it as an address, and only one name has that port: it is what the name meant.
        assert_eq!(requests[1].name.as_deref(), Some("api.internal"));
    }
}
