//! Who serves an address, and who was meant to.

use std::net::{IpAddr, SocketAddr};

use snapshot::{Answer, Lookup, Peer, PhpFpm, PhpPool, Process, Unit};

use crate::app::AppKind;
use crate::case::Blind;
use crate::groups;
use crate::heard;
use crate::networks;
use crate::scene::{Scene, canonical};
use crate::verdict::{Fact, Factual};

/// Who serves an address, and who was meant to.
#[derive(Debug, Clone)]
pub struct Backend<'a> {
    /// The address as dialled.
    pub peer: Peer,
    /// The same as socket addresses; empty for a unix socket and for a name that does not resolve.
    pub dialled: Vec<SocketAddr>,
    /// Whether it is on this host.
    pub local: bool,
    /// The socket that takes connections there now.
    pub listening: Option<Listening<'a>>,
    /// The processes that hold that socket.
    pub processes: Vec<&'a Process>,
    /// Who is defined to listen there.
    pub meant: Option<Meant<'a>>,
    /// The pool of PHP-FPM that listens, or is to listen, there.
    pub pool: Option<(&'a PhpFpm, &'a PhpPool)>,
    /// The kind of server.
    pub kind: AppKind,
}

/// A socket that takes connections.
#[derive(Debug, Clone)]
pub struct Listening<'a> {
    /// Its own address: may be a wildcard.
    pub address: String,
    /// Connections that wait in its queue; none when that cannot be seen.
    pub waiting: Option<u32>,
    /// Its backlog; none likewise.
    pub backlog: Option<u32>,
    /// Who holds it.
    pub pids: &'a [u32],
    /// That it was seen.
    pub fact: Fact,
}

/// A definition that says who listens at an address.
#[derive(Debug, Clone)]
pub struct Meant<'a> {
    /// The unit, if it is one.
    pub unit: Option<&'a Unit>,
    /// Where the definition stands and what it says.
    pub fact: Fact,
    /// It stands in a definition, not only in an old log line.
    pub defined: bool,
}

impl<'a> Backend<'a> {
    /// Looks up who serves the peer.
    pub fn of(scene: &Scene<'a>, peer: &Peer) -> Result<Backend<'a>, Blind> {
        let dialled = dialled(scene, peer);
        let mut local = matches!(peer, Peer::Unix(_));
        for address in &dialled {
            local |= scene.is_ours(address.ip())?;
            // Seen from a container, the host is another network of the same machine.
            local |= networks::having(scene, address.ip()).is_some_and(|it| it.is_host);
        }
        let listening = listening(scene, peer, &dialled, local)?;
        let mut processes: Vec<&Process> =
            listening.iter().flat_map(|it| it.pids).filter_map(|pid| scene.process(*pid)).collect();
        // systemd holds the socket of a socket-activated unit as well; the service is the one that serves.
        if processes.len() > 1 {
            processes.retain(|it| it.pid != 1);
        }
        let pool = if local { pool_at(scene, peer, &dialled) } else { None };
        let meant = if local { meant(scene, peer, &dialled, pool) } else { None };
        let kind = match (processes.first(), &meant, pool) {
            (_, _, Some(_)) => AppKind::PhpFpm,
            (Some(process), ..) => AppKind::of(process),
            (None, Some(Meant { unit: Some(unit), .. }), _) => AppKind::of_command(&unit.exec_start),
            _ => AppKind::Other,
        };
        Ok(Backend { peer: peer.clone(), dialled, local, listening, processes, meant, pool, kind })
    }

    /// The unit that serves there, else the one that was meant to.
    pub fn unit(&self, scene: &Scene<'a>) -> Option<&'a Unit> {
        let serving = self.processes.iter().find_map(|it| it.unit.as_deref()).and_then(|it| scene.unit(it));
        let of_pool = || self.pool.and_then(|(fpm, _)| fpm.unit.as_deref()).and_then(|it| scene.unit(it));
        serving.or_else(of_pool).or_else(|| self.meant.as_ref().and_then(|it| it.unit))
    }

    /// Its name in sentences: `shop.service (gunicorn)`, `PHP-FPM pool www`, `gunicorn (pid 12)`.
    pub fn name(&self, scene: &Scene<'a>) -> String {
        if let Some((_, pool)) = self.pool {
            return format!("PHP-FPM pool {}", pool.name);
        }
        match (self.unit(scene), self.processes.first()) {
            (Some(unit), _) if matches!(self.kind, AppKind::Other | AppKind::NoBackend) => unit.name.clone(),
            (Some(unit), _) => format!("{} ({})", unit.name, self.kind.name().trim_start_matches("the ")),
            (None, Some(process)) => format!("{} (pid {})", process.name, process.pid),
            (None, None) => "the backend".to_owned(),
        }
    }

    /// Every process of the backend: the holders of the socket and all else in their unit.
    pub fn family(&self, scene: &Scene<'a>) -> Vec<&'a Process> {
        let Some(all) = scene.snapshot.processes.value() else { return Vec::new() };
        // Who holds a socket may not be seen without root; whose command line names it may.
        let meant = self.meant.as_ref().filter(|it| it.defined && self.listening.is_some());
        let meant = meant.and_then(|it| it.unit).filter(|it| it.active_state == "active");
        let unit = match self.processes.as_slice() {
            [] => meant.map(|it| it.name.as_str()),
            some => some.iter().find_map(|it| it.unit.as_deref()),
        };
        let unit = unit.filter(|it| it.ends_with(".service"));
        let ours = |it: &&Process| {
            self.processes.iter().any(|mine| mine.pid == it.pid || mine.pid == it.ppid)
                || unit.is_some() && it.unit.as_deref() == unit
        };
        all.iter().filter(ours).collect()
    }
}

fn dialled(scene: &Scene, peer: &Peer) -> Vec<SocketAddr> {
    match peer {
        Peer::Tcp(address) => vec![*address],
        Peer::Name { port, .. } => {
            let resolution = scene.sight(peer).and_then(|it| it.resolution.value());
            let Some(resolution) = resolution else { return Vec::new() };
            let lookups = resolution.resolvers.iter().map(|(_, it)| it).chain([&resolution.system]);
            let found = lookups.filter_map(|it| match it {
                Lookup::Found(addresses) => Some(addresses),
                _ => None,
            });
            found.take(1).flatten().map(|ip: &IpAddr| SocketAddr::new(*ip, *port)).collect()
        }
        Peer::Unix(_) | Peer::Group(_) => Vec::new(),
    }
}

fn listening<'a>(
    scene: &Scene<'a>,
    peer: &Peer,
    dialled: &[SocketAddr],
    local: bool,
) -> Result<Option<Listening<'a>>, Blind> {
    if !local {
        return Ok(None);
    }
    if let Peer::Unix(path) = peer {
        let sockets = scene.unix_listeners()?;
        return Ok(scene.unix_listener_at(path)?.map(|it| Listening {
            address: format!("unix:{}", it.path),
            waiting: it.waiting,
            backlog: it.backlog,
            pids: &it.pids,
            fact: sockets.fact("socket", format!("unix:{} is listening", it.path)),
        }));
    }
    let listeners = scene.listeners()?;
    for address in dialled {
        let of_host = networks::having(scene, address.ip()).map(|it| it.listeners.as_slice());
        let there = of_host.and_then(|it| it.iter().find(|it| it.accepts(*address)));
        if let Some(it) = scene.listener_at(*address)?.filter(|_| of_host.is_none()).or(there) {
            return Ok(Some(Listening {
                address: it.address.to_string(),
                waiting: Some(it.waiting),
                backlog: it.backlog,
                pids: &it.pids,
                fact: listeners.fact("socket", format!("{} is listening", it.address)),
            }));
        }
    }
    Ok(None)
}

fn pool_at<'a>(scene: &Scene<'a>, peer: &Peer, dialled: &[SocketAddr]) -> Option<(&'a PhpFpm, &'a PhpPool)> {
    let fpms = scene.snapshot.php_fpm.value()?;
    let mut found = fpms.iter().flat_map(|fpm| fpm.pools.iter().map(move |pool| (fpm, pool)));
    found.find(|(_, pool)| pool_listens_at(pool, peer, dialled))
}

fn pool_listens_at(pool: &PhpPool, peer: &Peer, dialled: &[SocketAddr]) -> bool {
    match (pool.listen.parse().unwrap_or(Peer::Group(String::new())), peer) {
        (Peer::Unix(theirs), Peer::Unix(path)) => canonical(&theirs) == canonical(path),
        (Peer::Tcp(theirs), _) => dialled
            .iter()
            .any(|it| it.port() == theirs.port() && (theirs.ip() == it.ip() || theirs.ip().is_unspecified())),
        // `listen = 9000` is all addresses.
        (Peer::Group(port), _) => {
            port.parse().is_ok_and(|port: u16| dialled.iter().any(|it| it.port() == port))
        }
        _ => false,
    }
}

/// Who is defined to listen there: a pool, a socket unit, a service whose command line or environment names the address;
/// failing that, a service that once said in the journal that it listens there.
fn meant<'a>(
    scene: &Scene<'a>,
    peer: &Peer,
    dialled: &[SocketAddr],
    pool: Option<(&'a PhpFpm, &'a PhpPool)>,
) -> Option<Meant<'a>> {
    if let Some((fpm, pool)) = pool {
        let place = format!("{}:{}", pool.file, pool.line_of("listen").unwrap_or(1));
        return Some(Meant {
            unit: fpm.unit.as_deref().and_then(|it| scene.unit(it)),
            fact: Fact::new("php-fpm", format!("pool {} listens at {}", pool.name, pool.listen))
                .reference(place),
            defined: true,
        });
    }
    // What units of the host listen at is out of reach for the loopback of another network.
    let apart = scene.nginx.is_some_and(|it| !it.same_network && it.unit.is_none());
    if apart && !dialled.is_empty() && dialled.iter().all(|it| it.ip().is_loopback()) {
        return None;
    }
    let units = scene.snapshot.units.require().ok()?;
    let mine = |unit: &&Unit| scene.nginx.and_then(|it| it.unit.as_deref()) != Some(unit.name.as_str());
    let socket = units.value.iter().find(|it| it.listen.iter().any(|it| names(it, peer, dialled)));
    if let Some(socket) = socket {
        let service = socket.triggers.iter().find_map(|it| scene.unit(it));
        let fact = units.fact("unit", format!("{} listens at {}", socket.name, socket.listen.join(", ")));
        return Some(Meant {
            unit: service.or(Some(socket)),
            fact: fact.reference(&socket.fragment_path),
            defined: true,
        });
    }
    let mut defined: Vec<&Unit> = units
        .value
        .iter()
        .filter(mine)
        .filter(|it| AppKind::of_command(&it.exec_start) != AppKind::NoBackend)
        .filter(|it| {
            names(&it.exec_start, peer, dialled) || it.environment.iter().any(|it| names(it, peer, dialled))
        })
        .collect();
    // An old copy of a unit may name the address as well: one that is loaded and in trouble, or running, goes first.
    defined.sort_by_key(|it| {
        (it.load_state != "loaded", it.active_state == "inactive" && it.file_state != "enabled")
    });
    if let Some(unit) = defined.first() {
        let fact =
            units.fact("unit", format!("{} is set up to listen there: {}", unit.name, unit.exec_start));
        return Some(Meant { unit: Some(unit), fact: fact.reference(&unit.fragment_path), defined: true });
    }
    let journal = scene.snapshot.journal.require().ok()?;
    let said =
        journal.value.iter().rev().filter(|it| it.unit.ends_with(".service") && it.identifier != "systemd");
    let said = said.filter(|it| announces_listening(&it.message) && names(&it.message, peer, dialled));
    said.filter_map(|it| Some((it, scene.unit(&it.unit)?))).find(|(_, unit)| mine(unit)).map(
        |(entry, unit)| {
            let fact = Fact::new("journal", format!("{} said: {}", unit.name, entry.message.trim()));
            Meant {
                unit: Some(unit),
                fact: fact.reference(format!("journalctl -u {}", unit.name)).at(entry.at),
                defined: false,
            }
        },
    )
}

/// Whether a log line is about a socket of the program's own, not about one that it talks to.
fn announces_listening(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["listen", "running on", "running at", "bound to", "started on", "serving", "ready on", "bind"]
        .iter()
        .any(|it| message.contains(it))
}

/// Whether a text names the address: the socket's path, or the port as a number of its own.
pub fn names(text: &str, peer: &Peer, dialled: &[SocketAddr]) -> bool {
    match peer {
        Peer::Unix(path) => {
            let (text, path) = (canonical_text(text), canonical(path));
            text.match_indices(&path).any(|(at, _)| {
                let next = text[at + path.len()..].chars().next();
                next.is_none_or(|it| !(it.is_alphanumeric() || "._-/".contains(it)))
            })
        }
        _ => dialled
            .first()
            .map(|it| it.port())
            .or(match peer {
                Peer::Name { port, .. } => Some(*port),
                _ => None,
            })
            .is_some_and(|port| names_port(text, port)),
    }
}

fn canonical_text(text: &str) -> String {
    text.replace("/var/run/", "/run/")
}

fn names_port(text: &str, port: u16) -> bool {
    let digits = port.to_string();
    text.match_indices(&digits).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + digits.len()..].chars().next();
        // Not part of a longer number, a version, a path's name or an address's octet.
        let open = before.is_none_or(|it| !(it.is_alphanumeric() || it == '.' || it == '_' || it == '-'))
            || text[..at].ends_with("-p");
        open && after.is_none_or(|it| !(it.is_alphanumeric() || it == '.' || it == '_' || it == '-'))
    })
}

/// A backend that listens somewhere else on this host and could be the one that is meant.
#[derive(Debug, Clone)]
pub struct Elsewhere<'a> {
    /// Where it listens.
    pub at: Peer,
    /// Who it is.
    pub process: Option<&'a Process>,
    /// Its unit.
    pub unit: Option<&'a Unit>,
    /// Its kind.
    pub kind: AppKind,
    /// Whether it was heard to speak the scheme's protocol; none when it was not asked.
    pub speaks: Option<bool>,
    /// Whether some other pass of the configuration dials it.
    pub dialled_otherwise: bool,
}

impl Elsewhere<'_> {
    /// Its name in sentences.
    pub fn name(&self) -> String {
        match (self.unit, self.process) {
            (Some(unit), _) => unit.name.clone(),
            (None, Some(process)) => format!("{} (pid {})", process.name, process.pid),
            (None, None) => "another process".to_owned(),
        }
    }
}

/// Listeners of this host that could be the backend meant by a pass with that scheme, the best first. `same_kind` is for
/// unix sockets: a TCP listener counts as well, but after the sockets.
pub fn elsewhere<'a>(scene: &Scene<'a>, peer: &Peer, scheme: &str) -> Result<Vec<Elsewhere<'a>>, Blind> {
    let mut found = Vec::new();
    let own_unit = scene.nginx.and_then(|it| it.unit.as_deref());
    // Not every child of the master is nginx: as the first process of a container it is everybody's parent.
    let master = scene.nginx.and_then(|it| it.master.as_ref());
    let own_pids: Vec<u32> =
        master.iter().flat_map(|it| it.workers.iter().map(|it| it.pid).chain([it.pid])).collect();
    let mut add = |at: Peer, pids: &[u32]| {
        let holders: Vec<&Process> =
            pids.iter().filter_map(|pid| scene.process(*pid)).filter(|it| it.pid != 1).collect();
        let process = holders.first().copied();
        let unit_name = process.and_then(|it| it.unit.as_deref());
        let own = pids.iter().any(|it| own_pids.contains(it));
        let kind = process.map_or(AppKind::Other, AppKind::of);
        let nameless = process.is_none() && matches!(at, Peer::Unix(_));
        if own || own_unit.is_some() && unit_name == own_unit || !kind.may_speak(scheme) || nameless {
            return;
        }
        let protocol = heard::expected(scheme);
        let greeting = scene
            .sight(&at)
            .and_then(|it| it.greetings.iter().find(|it| Some(it.protocol) == protocol))
            .map(|it| it.answer);
        let dialled_otherwise =
            scene.view.passes().iter().any(|pass| groups::leads_to(pass, &at, scene.view, scene.snapshot));
        let unit = unit_name.and_then(|it| scene.unit(it));
        let speaks = greeting.map(|it| it == Answer::Spoken);
        found.push(Elsewhere { at, process, unit, kind, speaks, dialled_otherwise });
    };
    for listener in &scene.unix_listeners()?.value {
        let system =
            ["/run/systemd/", "/run/dbus/", "/run/udev/", "@"].iter().any(|it| listener.path.starts_with(it));
        if !system && listener.reachable != Some(false) {
            add(Peer::Unix(listener.path.clone()), &listener.pids);
        }
    }
    for listener in &scene.listeners()?.value {
        let ip = match listener.address.ip() {
            ip if ip.is_unspecified() && ip.is_ipv6() && listener.v6_only == Some(true) => {
                IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])
            }
            ip if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
            ip => ip,
        };
        add(Peer::Tcp(SocketAddr::new(ip, listener.address.port())), &listener.pids);
    }
    found.retain(|it| it.at != *peer && it.speaks != Some(false));
    let unix = matches!(peer, Peer::Unix(_));
    found.sort_by_key(|it| {
        let other_family = matches!(it.at, Peer::Unix(_)) != unix;
        (
            it.dialled_otherwise,
            other_family,
            it.speaks != Some(true),
            std::cmp::Reverse(likeness(peer, &it.at)),
        )
    });
    found.dedup_by(|a, b| a.at == b.at);
    Ok(found)
}

/// How much two addresses look alike: length of the common beginning of two paths, closeness of two ports.
fn likeness(a: &Peer, b: &Peer) -> u32 {
    match (a, b) {
        (Peer::Unix(a), Peer::Unix(b)) => {
            a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count().try_into().unwrap_or(u32::MAX)
        }
        (Peer::Tcp(a), Peer::Tcp(b)) => u32::from(u16::MAX - a.port().abs_diff(b.port())),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::{Reading, Snapshot};

    #[track_caller]
    fn port_named(text: &str, expected: bool) {
        let address = "127.0.0.1:3000".parse().unwrap();
        assert_eq!(names(text, &Peer::Tcp(address), &[address]), expected, "{text}");
    }

    #[test]
    fn a_port_counts_only_as_a_number_of_its_own() {
        port_named("/usr/bin/node app.js --port 3000", true);
        port_named("PORT=3000", true);
        port_named("--bind 127.0.0.1:3000 app:app", true);
        port_named("{\"port\":3000}", true);
        port_named("server -p3000", true);
        port_named("--port 30001", false);
        port_named("/srv/app-3000/run", false);
        port_named("10.3000.1", false);
    }

    #[track_caller]
    fn path_named(text: &str, expected: bool) {
        assert_eq!(names(text, &Peer::Unix("/run/app/a.sock".into()), &[]), expected, "{text}");
    }

    #[test]
    fn a_socket_counts_with_its_whole_path() {
        path_named("--bind unix:/run/app/a.sock wsgi:app", true);
        path_named("--bind unix:/var/run/app/a.sock", true);
        path_named("--bind unix:/run/app/a.sock.old", false);
    }

    /// Looks at who serves a peer of a host.
    fn serves<T>(host: &Snapshot, peer: &str, look: impl FnOnce(&Scene, Result<Backend, Blind>) -> T) -> T {
        with_scene(host, |scene| look(scene, Backend::of(scene, &peer.parse().unwrap())))
    }

    /// The unit that is meant to serve a peer; empty when none is.
    #[track_caller]
    fn meant_unit(host: &Snapshot, peer: &str, expected: &str) {
        let found = serves(host, peer, |_, backend| {
            let meant = backend.unwrap().meant.and_then(|it| it.unit);
            meant.map(|it| it.name.clone()).unwrap_or_default()
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn a_service_is_meant_by_its_command_line_or_environment() {
        let host = Snapshot::quiet().with(|it| {
            unit(it, "a.service", |it| it.exec_start = "/usr/bin/node a.js --port 3000".into());
            unit(it, "b.service", |it| it.environment = vec!["PORT=3001".into()]);
        });
        meant_unit(&host, "127.0.0.1:3000", "a.service");
        meant_unit(&host, "127.0.0.1:3001", "b.service");
        meant_unit(&host, "127.0.0.1:3002", "");
        meant_unit(&host, "10.0.0.7:3000", "");
    }

    #[test]
    fn a_socket_unit_means_the_service_that_it_triggers() {
        let host = Snapshot::quiet().with(|it| {
            unit(it, "shop.socket", |it| {
                it.listen = vec!["/run/shop.sock".into()];
                it.triggers = vec!["shop.service".into()];
            });
            unit(it, "shop.service", |_| {});
        });
        meant_unit(&host, "unix:/var/run/shop.sock", "shop.service");
    }

    #[test]
    fn a_service_that_once_said_that_it_listens_there_is_meant() {
        let host = Snapshot::quiet().with(|it| {
            unit(it, "shop.service", |it| it.exec_start = "/opt/shop/bin/shopd".into());
            unit(it, "cron.service", |_| {});
            journal(it, "shop.service", &[(300, "shopd", "listening on 127.0.0.1:3000")]);
            journal(it, "cron.service", &[(200, "cron", "connecting to 127.0.0.1:3000")]);
        });
        meant_unit(&host, "127.0.0.1:3000", "shop.service");
    }

    #[test]
    fn of_two_definitions_the_enabled_one_counts() {
        let host = Snapshot::quiet().with(|it| {
            unit(it, "old.service", |it| {
                it.exec_start = "/usr/bin/node a.js --port 3000".into();
                it.file_state = "disabled".into();
            });
            unit(it, "new.service", |it| it.exec_start = "/usr/bin/node b.js --port 3000".into());
        });
        meant_unit(&host, "127.0.0.1:3000", "new.service");
    }

    #[test]
    fn nginx_itself_is_not_its_own_backend() {
        let host = Snapshot::quiet()
            .with(|it| unit(it, "nginx.service", |it| it.exec_start = "/usr/sbin/nginx -p 3000".into()));
        meant_unit(&host, "127.0.0.1:3000", "");
    }

    #[test]
    fn a_pool_that_is_given_by_its_port_alone_listens_everywhere() {
        let host = Snapshot::quiet().with(|it| php_fpm(it, "127.0.0.1:9000", &[], "i")).with(|it| {
            let Reading::Seen(fpms) = &mut it.php_fpm else { return };
            fpms.value[0].pools[0].listen = "9000".into();
        });
        let name = serves(&host, "127.0.0.1:9000", |scene, backend| backend.unwrap().name(scene));
        assert_eq!(name, "PHP-FPM pool www");
    }

    #[test]
    fn systemd_s_hold_on_a_socket_does_not_make_it_the_backend() {
        let host = Snapshot::quiet().with(|it| {
            serving(it, 300, "/usr/bin/gunicorn shop:app", "unix:/run/shop.sock");
            add(&mut it.processes, Process { pid: 1, name: "systemd".into(), ..Process::default() });
            let Reading::Seen(sockets) = &mut it.net.unix_listeners else { return };
            sockets.value[0].pids = vec![1, 300];
        });
        let pids = serves(&host, "unix:/run/shop.sock", |_, backend| {
            backend.unwrap().processes.iter().map(|it| it.pid).collect::<Vec<_>>()
        });
        assert_eq!(pids, [300]);
    }

    #[test]
    fn an_address_of_another_host_is_not_looked_for_here() {
        let host = Snapshot::quiet().with(|it| serving(it, 300, "/usr/bin/node a.js", "0.0.0.0:3000"));
        let (local, found) = serves(&host, "10.0.0.7:3000", |_, backend| {
            let backend = backend.unwrap();
            (backend.local, backend.listening.is_some())
        });
        assert!(!local && !found);
        let found =
            serves(&host, "10.0.0.5:3000", |_, backend| backend.unwrap().listening.map(|it| it.address));
        assert_eq!(found.as_deref(), Some("0.0.0.0:3000"));
    }

    #[test]
    fn whether_an_address_is_ours_cannot_be_told_without_them() {
        let host = Snapshot::quiet().with(|it| it.net.addresses = denied());
        assert!(serves(&host, "10.0.0.7:3000", |_, backend| backend.is_err()));
        assert!(serves(&host, "127.0.0.1:3000", |_, backend| backend.is_ok()));
    }

    /// Where else the backend of a pass may be, the best first.
    #[track_caller]
    fn found_elsewhere(host: &Snapshot, peer: &str, scheme: &str, expected: &[&str]) {
        let peer = peer.parse().unwrap();
        let found = with_scene(host, |scene| {
            let all = elsewhere(scene, &peer, scheme).unwrap();
            all.iter().map(|it| it.at.to_string()).collect::<Vec<_>>()
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn only_what_could_speak_the_protocol_is_a_candidate() {
        let host = Snapshot::quiet().with(|it| {
            serving(it, 300, "/usr/bin/node a.js", "127.0.0.1:3001");
            serving(it, 301, "/usr/sbin/sshd -D", "0.0.0.0:22");
            serving(it, 302, "php-fpm: master process (/etc/php-fpm.conf)", "127.0.0.1:9000");
        });
        found_elsewhere(&host, "127.0.0.1:3000", "http", &["127.0.0.1:3001"]);
        found_elsewhere(&host, "127.0.0.1:3000", "fastcgi", &["127.0.0.1:9000"]);
    }

    #[test]
    fn a_candidate_that_other_locations_use_comes_last() {
        let host = passing_to("proxy_pass http://127.0.0.1:3001").with(|it| {
            serving(it, 300, "/usr/bin/node a.js", "127.0.0.1:3001");
            serving(it, 301, "/usr/bin/node b.js", "127.0.0.1:4000");
        });
        found_elsewhere(&host, "127.0.0.1:3000", "http", &["127.0.0.1:4000", "127.0.0.1:3001"]);
    }

    #[test]
    fn a_candidate_that_was_heard_to_speak_otherwise_is_none() {
        let host = Snapshot::quiet().with(|it| {
            serving(it, 300, "/opt/queue/bin/queued", "127.0.0.1:3001");
            greeted(it, "127.0.0.1:3001", snapshot::Protocol::Http, Answer::Closed);
        });
        found_elsewhere(&host, "127.0.0.1:3000", "http", &[]);
    }
}
