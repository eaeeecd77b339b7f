//! Requests that go through two servers of the same nginx: `http` in front, `stream` behind it.

use nginx_conf::Pass;
use snapshot::Peer;

use crate::scene::Scene;

/// The pass of the stream server of this nginx that takes connections to `peer`.
pub fn stream_at<'s>(scene: &'s Scene, peer: &Peer) -> Option<&'s Pass<'s>> {
    let takes = |listen: &nginx_conf::Listen| match peer {
        Peer::Tcp(peer) => {
            listen.has_port(peer.port())
                && !listen.udp
                && listen.ip.is_none_or(|ip| ip.is_unspecified() || ip == peer.ip())
        }
        Peer::Unix(path) => listen.unix.as_ref().is_some_and(|it| it.as_os_str() == path.as_str()),
        _ => false,
    };
    let servers = scene.view.servers();
    let server = servers.iter().position(|it| it.stream && it.listens.iter().any(takes))?;
    scene.view.passes().iter().find(|it| it.server == server)
}
