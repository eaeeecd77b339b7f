//! The servers of an upstream group, for the causes that leave nginx without a live one.

use std::borrow::Cow;

use jiff::Timestamp;
use nginx_conf::{Upstream, UpstreamServer};
use nginx_logs::Symptom;
use snapshot::{ConnectOutcome, Peer};

use crate::case::Case;
use crate::failure::Failure;
use crate::groups;
use crate::scene::Scene;

/// The group that had no live server: one of the configuration, or what nginx makes of a name with several addresses.
pub fn group_of<'s>(case: &Case<'s, '_>) -> Option<Cow<'s, Upstream>> {
    let scene = case.scene;
    let pass = scene.pass(case.group);
    if let Some(group) = pass.and_then(|it| it.group(scene.view)) {
        return Some(Cow::Borrowed(group));
    }
    let Some(Peer::Group(name)) = case.peer() else { return None };
    if let Some(group) = scene.view.upstreams().iter().find(|it| it.name == *name) {
        return Some(Cow::Borrowed(group));
    }
    let pass = pass?;
    let [one] = pass.addresses(scene.view).try_into().ok()?;
    Some(Cow::Owned(Upstream::implied(
        &one.address,
        pass.span,
        matches!(pass.scheme.name(), "stream" | "stream-tls"),
    )))
}

/// The addresses that a server stands for: its own, or those of its name that are known.
pub fn peers(scene: &Scene, server: &UpstreamServer) -> Vec<Peer> {
    let configured: Peer = server.address.parse().unwrap_or(Peer::Group(String::new()));
    if !matches!(configured, Peer::Name { .. }) {
        return vec![configured];
    }
    let known = scene.snapshot.peers.iter().map(|it| &it.peer);
    known.filter(|it| groups::same_peer(&configured, it, scene.snapshot)).cloned().collect()
}

/// Failures of a server by which nginx counts it as failed, oldest first.
pub fn failures<'s>(scene: &'s Scene, server: &UpstreamServer) -> Vec<&'s Failure> {
    let peers = peers(scene, server);
    let counts = |it: &&Failure| {
        it.peer.as_ref().is_some_and(|peer| peers.contains(peer))
            && !matches!(
                it.symptom,
                Symptom::ClientClosed | Symptom::FastcgiStderr | Symptom::NoLiveUpstreams
            )
    };
    scene.failures.entries.iter().filter(counts).collect()
}

/// Whether a server takes connections now: none when nobody looked.
pub fn works_now(scene: &Scene, server: &UpstreamServer) -> Option<bool> {
    let mut answers = peers(scene, server).into_iter().filter_map(|peer| {
        let outcome = scene.sight(&peer)?.connect.value()?;
        Some(matches!(outcome, ConnectOutcome::Connected { .. }))
    });
    let first = answers.next()?;
    Some(first || answers.any(|it| it))
}

/// Connections that this host has open to a server now.
pub fn connections(scene: &Scene, server: &UpstreamServer) -> Option<u32> {
    let all = scene.snapshot.net.connections.value()?;
    let peers = peers(scene, server);
    let to = |address| peers.iter().any(|it| matches!(it, Peer::Tcp(peer) if *peer == address));
    Some(
        all.iter()
            .filter(|it| it.outgoing && it.state == "established" && to(it.address))
            .map(|it| it.count)
            .sum(),
    )
}

/// The last time that a request was refused for want of a live server.
pub fn last_refusal(case: &Case) -> Timestamp {
    case.entries().next_back().map_or(case.group.last, |it| it.at)
}
