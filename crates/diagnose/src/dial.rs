//! Where nginx should dial instead: which other backend of this host is the one that was meant, and the changed line.

use std::net::{IpAddr, SocketAddr};

use snapshot::Peer;

use crate::app::AppKind;
use crate::case::{Blind, Case};
use crate::groups;
use crate::outage::{self, Outage};
use crate::past;
use crate::report::Fix;
use crate::service::{self, Backend, Elsewhere};
use crate::story;
use crate::verdict::Fact;

/// The backend that was meant, where it is.
pub struct Instead<'a> {
    /// It.
    pub there: Elsewhere<'a>,
    /// Its name in sentences.
    pub name: String,
    /// Whether nothing else can have been meant.
    pub sure: bool,
    /// What shows that it was moved, or that it is the one.
    pub facts: Vec<Fact>,
}

/// Looks for the backend that was meant, given that nothing listens where nginx dials; or says why there is none.
pub fn instead<'a>(case: &Case<'_, 'a>, backend: &Backend<'a>) -> Result<Result<Instead<'a>, String>, Blind> {
    let scene = case.scene;
    let mut all = service::elsewhere(scene, &backend.peer, &case.group.scheme)?;
    let unix = matches!(backend.peer, Peer::Unix(_));
    // A pool of PHP serves many sites: that another pass dials it does not speak against it. After an update the old
    // socket's name differs from the new one's in digits only.
    let twin = |it: &Elsewhere| it.kind == AppKind::PhpFpm && unix && same_but_digits(&backend.peer, &it.at);
    if let Some(pass) = scene.pass(case.group)
        && !case.group.peer_in_files
        && let Some(it) = all.iter().find(|it| groups::leads_to(pass, &it.at, scene.view, scene.snapshot))
    {
        if !past::is_dialled_no_more(scene, case.group) || backend.meant.is_some() {
            return Ok(Err(format!("the files already name {}", it.at)));
        }
        let says = format!("the files name {} by now, and nginx has loaded them since", it.at);
        let facts = vec![Fact::new("config", says)];
        return Ok(Ok(Instead { name: name_of(case, it), there: it.clone(), sure: false, facts }));
    }
    all.sort_by_key(|it| (it.dialled_otherwise && !twin(it), !twin(it)));
    let meant = backend.meant.as_ref();
    // Nobody knows the dialled port, and another pass dials one that is typed almost alike.
    let unheard_of = meant.is_none() && story::served_before(case).is_none() && idle_service(case).is_none();
    let mistyped = |it: &Elsewhere| unheard_of && slip_of_the_pen(&backend.peer, &it.at);
    let free = |it: &Elsewhere| !it.dialled_otherwise || twin(it) || mistyped(it);
    let (free, taken): (Vec<_>, Vec<_>) = all.into_iter().partition(free);
    let Some(candidate) = related(free.iter(), meant.and_then(|it| it.unit)).or(free.first()).cloned() else {
        return Ok(Err(match taken.first() {
            Some(it) => format!("the only other backend, at {}, is dialled by another pass", it.at),
            None => "no other backend listens on this host".to_owned(),
        }));
    };
    let same_family =
        |it: &&Elsewhere| matches!(it.at, Peer::Unix(_)) == matches!(candidate.at, Peer::Unix(_));
    let rivals = free.iter().filter(same_family).filter(|it| it.at != candidate.at).count();
    let mut facts = Vec::new();
    let moved = moved(case, backend, &candidate);
    if moved.is_none() {
        if let Some(meant) =
            meant.filter(|it| it.defined && it.unit.is_none_or(|unit| unit.active_state != "active"))
        {
            return Ok(Err(meant.fact.says.clone()));
        }
        match outage::of(case)? {
            Outage::None | Outage::Undefined => {}
            other => return Ok(Err(outage::why_not(&other))),
        }
        // What answered at the old address while this one was already up is another backend.
        if let (Some(served), Some(started)) =
            (story::served_before(case), candidate.process.and_then(|it| it.started_at))
            && served.at.is_some_and(|at| started < at)
        {
            return Ok(Err(format!("{}, while {} was up already", served.says, candidate.name())));
        }
    }
    let defined = meant.is_some_and(|it| it.defined);
    let idle = idle_service(case);
    let alone = rivals == 0 && plausible(&candidate) && idle.is_none() && !candidate.dialled_otherwise;
    let sure = moved.is_some() || !defined && (alone || twin(&candidate));
    if let Some(idle) = idle.filter(|_| !sure) {
        facts.push(Fact::new(
            "unit",
            format!("but {} does not run either, and may be the one that was meant", idle.name),
        ));
    }
    if candidate.dialled_otherwise && mistyped(&candidate) {
        facts.push(Fact::new(
            "config",
            format!("another pass dials {}, which is typed almost alike", candidate.at),
        ));
    }
    facts.extend(moved);
    if candidate.speaks == Some(true) {
        facts.push(Fact::new("probe", format!("{} answers as {}", candidate.at, case.group.scheme)));
    }
    let name = name_of(case, &candidate);
    Ok(Ok(Instead { there: candidate, name, sure, facts }))
}

/// Whether two ports of one address differ as mistyped ones do: digits in another order, or one too many. One digit that
/// differs is no sign, since servers of a group are counted so.
fn slip_of_the_pen(one: &Peer, other: &Peer) -> bool {
    let (Peer::Tcp(one), Peer::Tcp(other)) = (one, other) else { return false };
    let digits = |it: &SocketAddr| it.port().to_string().into_bytes();
    let (a, b) = (digits(one), digits(other));
    let sorted = |it: &[u8]| {
        let mut it = it.to_vec();
        it.sort_unstable();
        it
    };
    let (long, short) = if a.len() > b.len() { (&a, &b) } else { (&b, &a) };
    let one_too_many = long.len() == short.len() + 1
        && (0..long.len()).any(|left_out| {
            let rest =
                long.iter().enumerate().filter(|(index, _)| *index != left_out).map(|(_, digit)| digit);
            rest.eq(short.iter())
        });
    one.ip() == other.ip() && a != b && (sorted(&a) == sorted(&b) || one_too_many)
}

/// A candidate of the very unit that was meant.
fn related<'x, 'a: 'x>(
    mut all: impl Iterator<Item = &'x Elsewhere<'a>>,
    meant: Option<&snapshot::Unit>,
) -> Option<&'x Elsewhere<'a>> {
    let meant = meant?;
    all.find(|it| it.unit.is_some_and(|unit| unit.name == meant.name))
}

/// Whether a process is an application server, rather than some program that happens to listen.
fn plausible(candidate: &Elsewhere) -> bool {
    candidate.speaks == Some(true)
        || !matches!(candidate.kind, AppKind::Other | AppKind::NoBackend | AppKind::Nginx)
}

/// A service of this host's own that is meant to run and does not: without a word about its address, it could be the
/// one that was meant for the dialled one.
fn idle_service<'a>(case: &Case<'_, 'a>) -> Option<&'a snapshot::Unit> {
    let own = |it: &&snapshot::Unit| {
        it.name.ends_with(".service")
            && it.load_state == "loaded"
            && (it.active_state == "failed" || it.active_state == "inactive" && it.file_state == "enabled")
            && it.fragment_path.starts_with("/etc/")
            && case.scene.nginx.and_then(|it| it.unit.as_deref()) != Some(it.name.as_str())
    };
    case.scene.snapshot.units.value()?.iter().filter(own).find(|it| {
        let kind = AppKind::of_command(&it.exec_start);
        // A shell's one-liner is a job, not a server.
        kind.may_speak(&case.group.scheme)
            && !it.exec_start.starts_with("/bin/sh ")
            && !it.exec_start.starts_with("/bin/bash ")
    })
}

/// That the backend was moved: it listened at the dialled address before, and was started again elsewhere.
fn moved(case: &Case, backend: &Backend, there: &Elsewhere) -> Option<Fact> {
    if let Some(meant) = backend.meant.as_ref().filter(|it| !it.defined)
        && let (Some(unit), Some(now)) = (meant.unit, there.unit)
        && unit.name == now.name
        // What this very run said of the address still holds: it listened at both.
        && there.process.and_then(|it| it.started_at) > meant.fact.at
    {
        return Some(meant.fact.clone());
    }
    let served = story::served_before(case)?;
    let unit = there.unit?;
    let started = there.process?.started_at?;
    // It ran before, and ended when the old address fell silent.
    let ended =
        story::lives(case.scene, &unit.name).iter().filter_map(|it| it.end.as_ref()).map(|it| it.at).max()?;
    let slack = outage::NEAR;
    if served.at? > ended + slack || ended > started + slack || started > case.group.first + slack {
        return None;
    }
    let says = format!(
        "{}; {} was started at {} and listens on {} since",
        served.says,
        unit.name,
        case.scene.clock(started),
        there.at
    );
    Some(Fact::new("unit", says).reference(format!("systemctl status {}", unit.name)).at(started))
}

/// `PHP-FPM pool www (php8.2-fpm.service)`, or the unit's or process's name.
fn name_of(case: &Case, there: &Elsewhere) -> String {
    let pools = case.scene.snapshot.php_fpm.value().into_iter().flatten().flat_map(|it| &it.pools);
    match pools.into_iter().find(|it| it.listen.parse() == Ok(there.at.clone())) {
        Some(pool) => format!("PHP-FPM pool {} ({})", pool.name, there.name()),
        None => there.name(),
    }
}

/// Whether two paths differ in digits only: `php8.1-fpm.sock` and `php8.2-fpm.sock`.
fn same_but_digits(a: &Peer, b: &Peer) -> bool {
    let bare = |it: &Peer| it.to_string().replace(|c: char| c.is_ascii_digit() || c == '.', "");
    a != b && bare(a) == bare(b)
}

/// The pass or server line, changed to dial another address.
pub fn dial_instead(case: &Case, address: &str) -> Option<Fix> {
    let scene = case.scene;
    let pass = scene.pass(case.group).filter(|_| case.group.peer_in_files)?;
    let line = pass.addresses(scene.view).into_iter().find(|it| {
        let configured: Peer = it.address.parse().unwrap_or(Peer::Group(String::new()));
        case.peer().is_some_and(|peer| groups::same_peer(&configured, peer, scene.snapshot))
    })?;
    let (file, number, old) = scene.line_at(line.span)?;
    let new = replace_address(&old, &[&line.address, &case.peer()?.to_string()], address)?;
    Some(
        Fix::repair(format!("Let nginx dial {address}"))
            .edit(file, number, old.trim(), new.trim())
            .run("nginx -t && nginx -s reload")
            .risk("reloads nginx; requests in flight are not interrupted"),
    )
}

/// The line with another address. A port that the line leaves out (`http://localhost`) is left out in the search as well.
fn replace_address(line: &str, written: &[&str], address: &str) -> Option<String> {
    let bare = |it: &str| it.strip_suffix(":80").or(it.strip_suffix(":443")).map(str::to_owned);
    let found = written.iter().map(|it| (*it).to_owned()).find(|it| line.contains(it.as_str()));
    let old =
        found.or_else(|| written.iter().filter_map(|it| bare(it)).find(|it| line.contains(it.as_str())))?;
    let (before, after) = line.split_once(&old)?;
    // Behind a socket's path, a colon separates the URI.
    let uri = before.contains("://") && after.trim_start_matches(':').starts_with('/');
    let (from_unix, to_unix) = (old.starts_with("unix:"), address.starts_with("unix:"));
    Some(match (from_unix, to_unix) {
        (true, false) => format!("{before}{address}{}", after.strip_prefix(':').unwrap_or(after)),
        (false, true) if uri => format!("{before}{address}:{after}"),
        _ => format!("{before}{address}{after}"),
    })
}

/// The same socket address at which a client on this host would dial a wildcard.
pub fn reachable(address: SocketAddr, family_v6: bool) -> SocketAddr {
    match address.ip() {
        ip if !ip.is_unspecified() => address,
        _ if family_v6 => SocketAddr::new(IpAddr::from(std::net::Ipv6Addr::LOCALHOST), address.port()),
        _ => SocketAddr::new(IpAddr::from(std::net::Ipv4Addr::LOCALHOST), address.port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn replaced(line: &str, written: &str, address: &str, expected: &str) {
        assert_eq!(replace_address(line, &[written], address).as_deref(), Some(expected), "{line}");
    }

    #[test]
    fn only_the_address_of_the_line_changes() {
        replaced(
            "server 127.0.0.1:9000 weight=2;",
            "127.0.0.1:9000",
            "127.0.0.1:9001",
            "server 127.0.0.1:9001 weight=2;",
        );
        replaced(
            "proxy_pass http://localhost/a/;",
            "localhost:80",
            "127.0.0.1:80",
            "proxy_pass http://127.0.0.1:80/a/;",
        );
    }

    #[test]
    fn a_uri_behind_a_socket_has_a_colon() {
        let (tcp, unix) = ("127.0.0.1:8080", "unix:/run/a.sock");
        replaced(
            "proxy_pass http://127.0.0.1:8080/a/;",
            tcp,
            unix,
            "proxy_pass http://unix:/run/a.sock:/a/;",
        );
        replaced(
            "proxy_pass http://unix:/run/a.sock:/a/;",
            unix,
            tcp,
            "proxy_pass http://127.0.0.1:8080/a/;",
        );
        replaced("proxy_pass http://unix:/run/a.sock:;", unix, tcp, "proxy_pass http://127.0.0.1:8080;");
        replaced("fastcgi_pass 127.0.0.1:8080;", tcp, unix, "fastcgi_pass unix:/run/a.sock;");
    }

    #[test]
    fn versions_in_a_path_are_digits() {
        let peer = |path: &str| Peer::Unix(path.into());
        assert!(same_but_digits(&peer("/run/php/php8.1-fpm.sock"), &peer("/run/php/php8.2-fpm.sock")));
        assert!(same_but_digits(&peer("/run/php/php7.4-fpm.sock"), &peer("/run/php/php-fpm.sock")));
        assert!(!same_but_digits(&peer("/run/a/app.sock"), &peer("/run/b/app.sock")));
    }
}
