//! Failure groups: failures of one kind at one peer in one place of the configuration.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use nginx_conf::{Pass, View};
use nginx_logs::Symptom;
use snapshot::{LogKind, Peer, Snapshot};

use crate::course::Course;
use crate::failure::{Access, Failure, Failures};
use crate::hidden;
use crate::{silence, sums, trial};

/// A group remembers that many different paths.
const MOST_PATHS: usize = 200;

/// Failures of one kind at one peer in one place.
#[derive(Debug, Clone)]
pub struct FailureGroup {
    /// What nginx saw.
    pub symptom: Symptom,
    /// The errno, if any.
    pub errno: Option<i32>,
    /// The peer, or the group's name; none where nginx chose none.
    pub peer: Option<Peer>,
    /// `http`, `fastcgi` …; from the log, else from the configuration.
    pub scheme: String,
    /// `server_name` as logged.
    pub server: String,
    /// Index into `View::passes`, where the configuration has a pass that fits.
    pub pass: Option<usize>,
    /// Whether that pass, as the files are now, still leads to this peer.
    pub peer_in_files: bool,
    /// Indices of the error-log entries.
    pub entries: Vec<usize>,
    /// Indices of the requests in the access log: joined ones, or the only source.
    pub accesses: Vec<usize>,
    /// How many failures.
    pub count: u64,
    /// The first.
    pub first: Timestamp,
    /// The last.
    pub last: Timestamp,
    /// Requests by status given to clients, where known.
    pub statuses: BTreeMap<u16, u64>,
    /// How many of the failures a retry hid from the client.
    pub hidden: u64,
    /// Failed paths with their counts, the most frequent first.
    pub paths: Vec<(String, u64)>,
    /// Known from a probe of ours alone: no log shows a failed request.
    pub probed: bool,
    /// How it went over time, once somebody has asked.
    pub course: OnceCell<Course>,
}

impl FailureGroup {
    /// Whether a retry hid every failure.
    pub fn all_hidden(&self) -> bool {
        self.count > 0 && self.hidden == self.count
    }

    /// Whether failures were still seen shortly before `now`, in relation to how often they come.
    pub fn ongoing(&self, now: Timestamp) -> bool {
        now.duration_since(self.last) < SignedDuration::from_secs(60)
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    peer: Option<Peer>,
    symptom: Symptom,
    errno: Option<i32>,
    pass: Option<usize>,
    server: String,
}

/// Symptoms that are no failed request: noise for grouping. (Nor is the end of a WebSocket: it has no other way to end.)
fn is_noise(symptom: Symptom) -> bool {
    matches!(
        symptom,
        Symptom::FastcgiStderr | Symptom::UpstreamDisabled | Symptom::ClientClosed | Symptom::ConfigEmerg
    )
}

/// Groups what failed, the largest group first.
pub fn group(failures: &Failures, view: &View, snapshot: &Snapshot) -> Vec<FailureGroup> {
    let mut groups: BTreeMap<Key, FailureGroup> = BTreeMap::new();
    for (index, entry) in failures.entries.iter().enumerate() {
        if is_noise(entry.symptom) || entry.action.contains("proxying upgraded connection") {
            continue;
        }
        let place = place_of_entry(entry, view, snapshot);
        let access = entry.access.map(|it| (it, &failures.accesses[it]));
        let mut peer = entry.peer.clone();
        if let (Some(Peer::Name { host, port: 0 }), Some(pass)) = (&peer, place.pass) {
            peer = Some(Peer::Name { host: host.clone(), port: port_of_pass(&view.passes()[pass], view) });
        }
        let key = Key {
            peer: peer.clone(),
            symptom: entry.symptom,
            errno: entry.errno,
            pass: place.pass,
            server: entry.server.clone(),
        };
        let group = groups.entry(key).or_insert_with(|| FailureGroup {
            symptom: entry.symptom,
            errno: entry.errno,
            peer,
            scheme: scheme_of(&entry.scheme, place.pass, view),
            server: entry.server.clone(),
            pass: place.pass,
            peer_in_files: place.peer_in_files,
            entries: Vec::new(),
            accesses: Vec::new(),
            count: 0,
            first: entry.at,
            last: entry.at,
            statuses: BTreeMap::new(),
            hidden: 0,
            paths: Vec::new(),
            probed: false,
            course: OnceCell::new(),
        });
        group.entries.push(index);
        let hidden = group.hidden;
        add(group, entry.at, &entry.path, access);
        let pass = place.pass.map(|it| &view.passes()[it]);
        if group.hidden == hidden && hidden::is_hidden(entry, access.map(|it| it.1), pass, view) {
            group.hidden += 1;
        }
    }
    // Of logs alone nobody knows where nginx writes what: an error log that explains any request explains them all.
    let tells = failures.accesses.iter().any(|it| it.explained);
    let particular = match snapshot.is_of_logs() {
        true => silence::particular_paths(failures),
        false => HashSet::new(),
    };
    let has_error_log =
        snapshot.logs.iter().any(|it| it.kind == LogKind::Error && it.lines.value().is_some());
    for (index, access) in failures.accesses.iter().enumerate() {
        // A request whose reason stands in the error log is counted there; what the client broke off before nginx asked
        // anybody is no failure here.
        let tls_port = silence::plain_to_tls(access, view, snapshot);
        let failed = access.failed() || tls_port.is_some();
        let asked = if access.tells_upstream {
            !access.attempts.is_empty()
        } else {
            !access.passes.is_empty() || snapshot.is_of_logs()
        };
        if access.explained || !failed || access.status == 499 && !asked || sums::is_told(access, snapshot) {
            continue;
        }
        let mut peer: Option<Peer> = access.last_attempt().and_then(|it| it.addr.as_ref()?.parse().ok());
        let mut pass = pass_for(view, snapshot, &access.host, &access.path, peer.as_ref(), "");
        let speaks = match snapshot.is_of_logs() {
            true => tells,
            false => silence::error_log_speaks(view, snapshot, pass.pass.map(|it| &view.passes()[it])),
        };
        // An application's own 500 or 413 is its answer, and nginx is not asked about it. Of a 413 of its own nginx tells in
        // the error log.
        let told = || failures.notices.iter().any(|it| it.explains(access));
        let by_backend = match (access.status, access.last_attempt()) {
            (413, Some(attempt)) => attempt.status == Some(413),
            (413, None) => !access.tells_upstream && (speaks || has_error_log && snapshot.is_of_logs()),
            (500, Some(attempt)) => attempt.addr.is_some() || attempt.status.is_some(),
            (500, None) => !access.tells_upstream && !told(),
            (status, _) => status > 500 && !matches!(status, 502..=504),
        };
        if by_backend {
            continue;
        }
        if peer.is_none() && !access.tells_upstream {
            let met = silence::met_peer(access, view, snapshot, speaks);
            if let Some((_, routed)) = &met {
                pass = Place { pass: Some(*routed), peer_in_files: true };
            }
            peer = met.map(|(peer, _)| peer);
        }
        peer = tls_port.or(peer);
        let (symptom, errno) = match access.status {
            499 => (Symptom::ClientClosed, None),
            413 => (Symptom::BodyTooLarge, None),
            _ => trial::symptom(
                access,
                peer.as_ref(),
                pass.pass.map(|it| &view.passes()[it]),
                snapshot,
                speaks,
            )
            .or_else(|| silence::made_by_nginx(access, peer.as_ref(), snapshot, speaks, &particular))
            .unwrap_or((Symptom::UpstreamStatus, None)),
        };
        let key = Key { peer: peer.clone(), symptom, errno, pass: pass.pass, server: access.host.clone() };
        let group = groups.entry(key).or_insert_with(|| FailureGroup {
            symptom,
            errno,
            peer,
            scheme: scheme_of("", pass.pass, view),
            server: access.host.clone(),
            pass: pass.pass,
            peer_in_files: pass.peer_in_files,
            entries: Vec::new(),
            accesses: Vec::new(),
            count: 0,
            first: access.at,
            last: access.at,
            statuses: BTreeMap::new(),
            hidden: 0,
            paths: Vec::new(),
            probed: false,
            course: OnceCell::new(),
        });
        add(group, access.at, &access.path, Some((index, access)));
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.extend(silence::probed(view, snapshot));
    for group in &mut groups {
        group.paths.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    }
    groups.sort_by_key(|it| std::cmp::Reverse(it.count));
    groups
}

fn add(group: &mut FailureGroup, at: Timestamp, path: &str, access: Option<(usize, &Access)>) {
    group.count += 1;
    group.first = group.first.min(at);
    group.last = group.last.max(at);
    if let Some((index, access)) = access {
        if !group.accesses.contains(&index) {
            group.accesses.push(index);
            *group.statuses.entry(access.status).or_default() += 1;
        }
        // A body that breaks off after a 200 header reached the client broken: only another try hides a failure.
        if !access.failed() && access.attempts.len() > 1 {
            group.hidden += 1;
        }
    }
    let room = group.paths.len() < MOST_PATHS;
    match group.paths.iter_mut().find(|(it, _)| it == path) {
        Some((_, count)) => *count += 1,
        None if room => group.paths.push((path.to_owned(), 1)),
        None => {}
    }
}

struct Place {
    pass: Option<usize>,
    peer_in_files: bool,
}

fn place_of_entry(entry: &Failure, view: &View, snapshot: &Snapshot) -> Place {
    let host = match entry.host.split(':').next() {
        Some(host) if !host.is_empty() => host,
        _ => &entry.server,
    };
    let by_host = pass_for(view, snapshot, host, &entry.path, entry.peer.as_ref(), &entry.scheme);
    if by_host.peer_in_files || host == entry.server {
        return by_host;
    }
    let by_server = pass_for(view, snapshot, &entry.server, &entry.path, entry.peer.as_ref(), &entry.scheme);
    if by_server.peer_in_files || by_host.pass.is_none() { by_server } else { by_host }
}

/// The pass that serves this request; where routing does not tell (rewrites, internal redirects), one that leads to the
/// peer at all.
fn pass_for(
    view: &View,
    snapshot: &Snapshot,
    host: &str,
    path: &str,
    peer: Option<&Peer>,
    scheme: &str,
) -> Place {
    let passes = view.passes();
    let index = |pass: &Pass| passes.iter().position(|it| std::ptr::eq(it, pass));
    let routed = view.route(host, None, path).and_then(|it| it.pass).and_then(index);
    let Some(peer) = peer else { return Place { pass: routed, peer_in_files: routed.is_some() } };
    let fits = |it: usize| {
        (scheme.is_empty() || passes[it].scheme.name() == scheme)
            && leads_to(&passes[it], peer, view, snapshot)
    };
    if let Some(it) = routed.filter(|it| fits(*it)) {
        return Place { pass: Some(it), peer_in_files: true };
    }
    if let Some(it) = (0..passes.len()).find(|it| fits(*it)) {
        return Place { pass: Some(it), peer_in_files: true };
    }
    let same_scheme = |it: &usize| scheme.is_empty() || passes[*it].scheme.name() == scheme;
    Place { pass: routed.filter(same_scheme), peer_in_files: false }
}

/// Whether the pass, as configured, can dial that peer: by address, by group name, or by a name that resolves to it.
pub fn leads_to(pass: &Pass, peer: &Peer, view: &View, snapshot: &Snapshot) -> bool {
    if let Peer::Group(name) = peer {
        return pass.group(view).is_some_and(|it| it.name == *name);
    }
    pass.addresses(view)
        .iter()
        .any(|it| same_peer(&it.address.parse().unwrap_or(Peer::Group(String::new())), peer, snapshot))
}

/// Whether `configured` means `dialled`, names being resolved as they were found to resolve.
pub fn same_peer(configured: &Peer, dialled: &Peer, snapshot: &Snapshot) -> bool {
    match (configured, dialled) {
        (Peer::Name { host, port }, Peer::Name { host: theirs, port: wanted }) => {
            host == theirs && (*wanted == 0 || port == wanted)
        }
        (Peer::Name { host, port }, Peer::Tcp(address)) => {
            let named = |it: &snapshot::PeerSight| {
                it.name.as_deref().is_some_and(|name| name == host || name == format!("{host}:{port}"))
            };
            *port == address.port()
                && (host == "localhost" && address.ip().is_loopback()
                    || snapshot.peers.iter().any(|it| it.peer == *dialled && named(it)))
        }
        _ => configured == dialled,
    }
}

fn scheme_of(logged: &str, pass: Option<usize>, view: &View) -> String {
    match (logged, pass) {
        ("", Some(pass)) => view.passes()[pass].scheme.name().to_owned(),
        (logged, _) => logged.to_owned(),
    }
}

fn port_of_pass(pass: &Pass, view: &View) -> u16 {
    let address = pass.addresses(view).into_iter().next();
    match address.and_then(|it| it.address.parse().ok()) {
        Some(Peer::Name { port, .. }) => port,
        Some(Peer::Tcp(address)) => address.port(),
        _ => {
            if pass.scheme.name() == "https" {
                443
            } else {
                80
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use nginx_conf::{MemoryFiles, Version};

    const REFUSED: &str = "connect() failed (111: Connection refused)";
    const CONNECTING: &str = "connecting to upstream";

    /// The groups of a host, as `symptom peer count hidden`.
    #[track_caller]
    fn grouped(snapshot: &Snapshot, expected: &[&str]) {
        with_groups(snapshot, |groups| {
            let line = |it: &FailureGroup| {
                let peer = it.peer.as_ref().map(Peer::to_string).unwrap_or_default();
                format!("{} {peer} {} {}", it.symptom.id(), it.count, it.hidden)
            };
            assert_eq!(groups.iter().map(line).collect::<Vec<_>>(), expected);
        });
    }

    fn with_groups(snapshot: &Snapshot, look: impl FnOnce(&[FailureGroup])) {
        with_scene(snapshot, |scene| look(&scene.groups));
    }

    fn host() -> Snapshot {
        passing_to("proxy_pass http://127.0.0.1:8080")
    }

    fn request(
        status: u16,
        upstream_status: &'static str,
    ) -> (&'static str, u16, &'static str, &'static str, &'static str) {
        ("GET /cart HTTP/1.1", status, "127.0.0.1:8080", upstream_status, "0.004")
    }

    #[test]
    fn failures_of_one_kind_at_one_peer_are_one_group() {
        let line = failed(REFUSED, CONNECTING, "http://127.0.0.1:8080/cart");
        let other = failed(REFUSED, CONNECTING, "http://127.0.0.1:8081/cart");
        let snapshot = logged(host(), &[&other, &line, &line]);
        grouped(&snapshot, &["connect-refused 127.0.0.1:8080 2 0", "connect-refused 127.0.0.1:8081 1 0"]);
    }

    #[test]
    fn what_a_client_got_without_an_entry_is_counted_by_its_status() {
        let all = [
            request(200, "200"),
            request(404, "404"),
            request(500, "500"),
            request(503, "503"),
            request(499, "-"),
        ];
        let snapshot = requested(host(), &all);
        grouped(&snapshot, &["client-closed 127.0.0.1:8080 1 0", "upstream-status 127.0.0.1:8080 1 0"]);
    }

    #[test]
    fn a_request_that_a_second_server_answered_is_a_hidden_failure() {
        let line = failed(REFUSED, CONNECTING, "http://127.0.0.1:8080/cart");
        let retried =
            ("GET /cart HTTP/1.1", 200, "127.0.0.1:8080, 127.0.0.1:8081", "502, 200", "0.000, 0.004");
        grouped(&requested(logged(host(), &[&line]), &[retried]), &["connect-refused 127.0.0.1:8080 1 1"]);
    }

    #[test]
    fn a_download_that_broke_off_reached_the_client() {
        let message = "upstream prematurely closed connection";
        let line = failed(message, "reading upstream", "http://127.0.0.1:8080/cart");
        let snapshot = requested(logged(host(), &[&line]), &[request(200, "200")]);
        with_groups(&snapshot, |groups| assert_eq!((groups[0].count, groups[0].hidden), (1, 0)));
    }

    #[test]
    fn paths_are_counted_up_to_a_limit() {
        let lines: Vec<String> = (0..MOST_PATHS + 50)
            .map(|it| {
                failed(REFUSED, CONNECTING, "http://127.0.0.1:8080/").replace("/cart", &format!("/item/{it}"))
            })
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        with_groups(&logged(host(), &lines), |groups| {
            assert_eq!((groups[0].count, groups[0].paths.len()), (250, MOST_PATHS));
        });
    }

    #[test]
    fn the_location_that_leads_to_the_peer_is_found_behind_a_rewrite() {
        let both = "server {\nlisten 80;\nserver_name shop.example.com;\nlocation / {\nreturn 404;\n}\n\
                    location @app {\nproxy_pass http://127.0.0.1:8080;\n}\n}";
        let line = failed(REFUSED, CONNECTING, "http://127.0.0.1:8080/cart");
        with_groups(&logged(configured(both), &[&line]), |groups| {
            assert!(groups[0].peer_in_files && groups[0].pass.is_some());
        });
    }

    #[test]
    fn a_peer_that_the_files_no_longer_name_is_known_as_such() {
        let line = failed(REFUSED, CONNECTING, "http://127.0.0.1:9999/cart");
        with_groups(&logged(host(), &[&line]), |groups| assert!(!groups[0].peer_in_files));
    }

    #[test]
    fn localhost_means_both_loopback_addresses() {
        let same = |configured: &str, dialled: &str| {
            same_peer(&configured.parse().unwrap(), &dialled.parse().unwrap(), &Snapshot::quiet())
        };
        assert!(same("localhost:80", "127.0.0.1:80") && same("localhost:80", "[::1]:80"));
        assert!(!same("localhost:80", "127.0.0.1:81") && !same("localhost:80", "10.0.0.7:80"));
        assert!(!same("app.internal:80", "10.0.0.7:80"));
    }

    #[test]
    fn a_name_means_the_addresses_that_it_was_seen_to_have() {
        let snapshot =
            Snapshot::quiet().with(|it| sight(it, "10.0.0.7:80", |it| it.name = Some("app.internal".into())));
        let dialled = "10.0.0.7:80".parse().unwrap();
        assert!(same_peer(&"app.internal:80".parse().unwrap(), &dialled, &snapshot));
        assert!(!same_peer(&"app.internal:81".parse().unwrap(), &dialled, &snapshot));
    }

    #[test]
    fn a_host_without_files_has_groups_without_a_place() {
        let config = nginx_conf::load(&MemoryFiles::default(), std::path::Path::new("/etc/nginx/nginx.conf"));
        let view = View::new(&config, Version::default());
        let line = failed(REFUSED, CONNECTING, "http://127.0.0.1:8080/cart");
        let snapshot = logged(Snapshot::quiet(), &[&line]);
        let groups = group(&crate::failure::read(&snapshot), &view, &snapshot);
        assert_eq!((groups.len(), groups[0].pass, groups[0].scheme.as_str()), (1, None, "http"));
    }

    #[test]
    fn clients_that_gave_up_are_counted_where_the_log_does_not_tell_of_upstreams() {
        let snapshot = requested(host(), &[request(499, "-"), request(499, "-")]).with(|it| {
            let LogKind::Access { text, .. } = &mut it.logs[0].kind else { unreachable!() };
            *text = MAIN_FORMAT.split(" rt=").next().unwrap().to_owned() + " $http_rest";
        });
        grouped(&snapshot, &["client-closed 127.0.0.1:8080 2 0"]);
    }
}
