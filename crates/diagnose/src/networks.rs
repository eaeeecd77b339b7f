//! The other networks of this machine: a container has one of its own, and 127.0.0.1 in it is the container itself.

use std::net::{IpAddr, SocketAddr};

use snapshot::{ConnectOutcome, Listener, OtherNetwork};

use crate::app::AppKind;
use crate::case::Case;
use crate::scene::Scene;
use crate::story;
use crate::verdict::{Fact, Factual};

/// A backend in another network of this machine, which nginx cannot reach where it dials.
pub struct Across<'a> {
    /// The network that it is in.
    pub network: &'a OtherNetwork,
    /// Where it listens there.
    pub listener: &'a Listener,
    /// Its name in sentences.
    pub who: String,
    /// Where nginx would reach it; none as long as it is bound to that network's loopback only.
    pub reached_at: Option<SocketAddr>,
    /// Whether nothing else can have been meant.
    pub sure: bool,
}

/// The network that has this address.
pub fn having<'a>(scene: &Scene<'a>, ip: IpAddr) -> Option<&'a OtherNetwork> {
    if ip.is_loopback() || scene.is_ours(ip).unwrap_or(true) {
        return None;
    }
    scene.snapshot.net.other_networks.value()?.iter().find(|it| it.addresses.contains(&ip))
}

/// nginx's own network, in words.
pub fn own_network(scene: &Scene) -> &'static str {
    match scene.nginx {
        Some(nginx) if nginx.root.is_some() => "its own container",
        Some(nginx) if !nginx.same_network => "a network of its own",
        _ => "the host",
    }
}

/// The backend with the dialled port, where the port is right and the network is not.
pub fn same_port<'a>(case: &Case<'_, 'a>, dialled: SocketAddr) -> Option<Across<'a>> {
    let scene = case.scene;
    let others = scene.snapshot.net.other_networks.value()?;
    let there = having(scene, dialled.ip());
    let fits =
        |it: &&Listener| it.address.port() == dialled.port() && kind(scene, it).may_speak(&case.group.scheme);
    let mut found: Vec<Across> = others
        .iter()
        // A dialled loopback can be meant of any of them, another address only of its own.
        .filter(|it| dialled.ip().is_loopback() || there.is_some_and(|there| std::ptr::eq(there, *it)))
        .filter_map(|it| Some(across(scene, it, it.listeners.iter().find(fits)?)))
        .collect();
    let accepted = |it: &Across| there.is_some() && it.listener.accepts(dialled);
    if found.iter().any(accepted) {
        return None;
    }
    found.sort_by_key(|it| !it.network.is_host);
    let alone = found.len() == 1;
    let mut first = (!found.is_empty()).then(|| found.remove(0))?;
    // A port of another container may be somebody else's; what answered until now was another backend.
    let meant = there.is_some() || first.network.is_host;
    first.sure = alone && meant && story::served_before(case).is_none();
    Some(first)
}

/// The only backend in the network of the dialled address that this pass could mean, on another port.
pub fn other_port<'a>(case: &Case<'_, 'a>, dialled: SocketAddr) -> Option<Across<'a>> {
    let scene = case.scene;
    let there = having(scene, dialled.ip())?;
    if there.is_host || there.listeners.iter().any(|it| it.address.port() == dialled.port()) {
        return None;
    }
    let mut fitting = there
        .listeners
        .iter()
        .filter(|it| !it.address.ip().is_loopback() && kind(scene, it).may_speak(&case.group.scheme));
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Some(across(scene, there, one)),
        _ => None,
    }
}

fn kind(scene: &Scene, listener: &Listener) -> AppKind {
    let holder = listener.pids.iter().filter_map(|pid| scene.process(*pid)).find(|it| it.pid != 1);
    holder.map_or(AppKind::Other, AppKind::of)
}

fn across<'a>(scene: &Scene<'a>, network: &'a OtherNetwork, listener: &'a Listener) -> Across<'a> {
    let process = listener.pids.iter().filter_map(|pid| scene.process(*pid)).find(|it| it.pid != 1);
    let unit = process.and_then(|it| it.unit.as_deref()).filter(|it| it.ends_with(".service"));
    let who = match (unit, process) {
        (Some(unit), _) => unit.to_owned(),
        (None, Some(process)) => format!("{} (pid {})", process.name, process.pid),
        (None, None) => "another program".to_owned(),
    };
    let port = listener.address.port();
    let reached_at = match listener.address.ip() {
        ip if ip.is_loopback() => None,
        ip if ip.is_unspecified() => nearest(scene, network).map(|it| SocketAddr::new(it, port)),
        ip => Some(SocketAddr::new(ip, port)),
    };
    Across { network, listener, who, reached_at, sure: false }
}

/// The address of a network that is in one of nginx's own subnets, else its first of IPv4.
fn nearest(scene: &Scene, network: &OtherNetwork) -> Option<IpAddr> {
    let ours = scene.snapshot.net.addresses.value()?;
    let beside = |ip: &&IpAddr| {
        ours.iter().any(|it| match (it.ip, **ip) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let unlike = u32::from(a) ^ u32::from(b);
                unlike.leading_zeros() >= u32::from(it.prefix_length)
            }
            _ => false,
        })
    };
    let all = &network.addresses;
    all.iter().find(beside).or_else(|| all.iter().find(|it| it.is_ipv4())).copied()
}

impl Across<'_> {
    /// That it listens there.
    pub fn fact(&self, scene: &Scene) -> Fact {
        let others = &scene.snapshot.net.other_networks;
        others.fact(
            "socket",
            format!(
                "{} listens on {}, in the network of {}",
                self.who, self.listener.address, self.network.name
            ),
        )
    }
}

/// That nobody in the other network takes connections at the dialled address, and that our own attempt is refused.
pub fn nobody_there<'a>(case: &Case<'_, 'a>, dialled: SocketAddr) -> Option<(&'a OtherNetwork, Fact)> {
    let there = having(case.scene, dialled.ip())?;
    let refused = matches!(case.sight()?.connect.value(), Some(ConnectOutcome::Failed { errno: 111 }));
    if !refused || there.listeners.iter().any(|it| it.accepts(dialled)) {
        return None;
    }
    let others = &case.scene.snapshot.net.other_networks;
    Some((
        there,
        others.fact("socket", format!("nothing in the network of {} listens at {dialled}", there.name)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::{Reading, Snapshot};

    /// nginx, in a container that has 172.20.0.5, is refused at `dialled`; in another network with that address, somebody
    /// listens there.
    fn contained(dialled: &str, is_host: bool, address: &str, listener: &str) -> Snapshot {
        let line = failed(
            "connect() failed (111: Connection refused)",
            "connecting to upstream",
            &format!("http://{dialled}/cart"),
        );
        logged(passing_to(&format!("proxy_pass http://{dialled}")), &[&line]).with(|it| {
            let Reading::Seen(nginx) = &mut it.nginx else { return };
            nginx.value[0].same_network = false;
            nginx.value[0].root = Some("/proc/70/root".into());
            let Reading::Seen(ours) = &mut it.net.addresses else { return };
            ours.value.iter_mut().filter(|it| it.interface == "eth0").for_each(|it| {
                (it.ip, it.prefix_length) = ("172.20.0.5".parse().unwrap(), 16);
            });
            let name = if is_host { "the host" } else { "container 3b4e5f607182" };
            it.net.other_networks = seen(vec![OtherNetwork {
                name: name.into(),
                is_host,
                addresses: vec!["10.9.8.7".parse().unwrap(), address.parse().unwrap()],
                listeners: vec![Listener {
                    address: listener.parse().unwrap(),
                    v6_only: Some(false),
                    waiting: 0,
                    backlog: Some(128),
                    pids: Vec::new(),
                    inode: 1,
                    uid: 33,
                }],
            }]);
            sight(it, dialled, |it| it.connect = seen(ConnectOutcome::Failed { errno: 111 }));
        })
    }

    #[test]
    fn a_loopback_address_inside_a_container_is_the_container() {
        let host = contained("127.0.0.1:8000", true, "172.20.0.1", "0.0.0.0:8000");
        let report = check(&host, "upstream-address-mismatch: confirmed");
        // Reached by the address in nginx's own subnet.
        assert_eq!(report.causes[0].fixes[0].edits[0].new, "proxy_pass http://172.20.0.1:8000;");
    }

    #[test]
    fn the_same_port_of_some_other_container_may_be_somebody_else_s() {
        let host = contained("127.0.0.1:8000", false, "172.20.0.6", "0.0.0.0:8000");
        check(&host, "upstream-address-mismatch: likely");
    }

    #[test]
    fn a_backend_bound_to_its_container_s_own_loopback_cannot_be_reached() {
        let host = contained("172.20.0.6:8000", false, "172.20.0.6", "127.0.0.1:8000");
        check(&host, "upstream-address-mismatch: confirmed");
    }

    #[test]
    fn another_port_in_the_dialled_container_is_a_wrong_port() {
        let host = contained("172.20.0.6:8000", false, "172.20.0.6", "0.0.0.0:8080");
        check(&host, "wrong-upstream-port: likely");
    }

    #[test]
    fn a_program_on_loopback_of_another_container_with_another_port_is_nobody_s_backend() {
        let host = contained("127.0.0.1:8000", false, "172.20.0.6", "0.0.0.0:8080");
        check(&host, "backend-not-running: likely");
    }

    #[test]
    fn networks_that_may_not_be_seen_name_nobody() {
        let host = contained("127.0.0.1:8000", true, "172.20.0.1", "0.0.0.0:8000");
        let report = crate::diagnose(&host.with(|it| it.net.other_networks = denied()));
        assert!(
            report.causes.iter().all(|it| it.cause.id != "upstream-address-mismatch"),
            "{}",
            outline(&report)
        );
    }
}
