//! The whole look at peers of this machine's loopback.

use std::io::{Read, Write};
use std::net::TcpListener;

use snapshot::{Answer, Lookup, Protocol};

use super::*;

fn request(peer: Peer, scheme: &str) -> PeerRequest {
    PeerRequest {
        peer,
        schemes: vec![scheme.to_owned()],
        name: None,
        resolvers: Vec::new(),
        ssl_name: None,
        host_header: None,
        failing: true,
    }
}

fn context(probe: ProbeLevel) -> PeerContext<'static> {
    PeerContext {
        worker_user: None,
        root: None,
        network: None,
        deadline: Instant::now() + Duration::from_secs(3),
        probe,
        collected_at: Timestamp::UNIX_EPOCH,
    }
}

/// Serves one HTTP answer to each connection.
fn http_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nServer: test\r\n\r\n");
        }
    });
    address
}

#[test]
fn a_peer_is_connected_to_and_greeted() {
    let sights = look(&[request(Peer::Tcp(http_server()), "http")], &context(ProbeLevel::Full));
    let sight = &sights[0];
    assert!(matches!(sight.connect.value(), Some(ConnectOutcome::Connected { .. })), "{:?}", sight.connect);
    assert_eq!(sight.route.value().unwrap().kind, "local");
    let greeting = &sight.greetings[0];
    assert_eq!((greeting.protocol, greeting.answer), (Protocol::Http, Answer::Spoken));
    assert_eq!(greeting.detail, "HTTP/1.1 200 OK, server: test");
}

#[test]
fn without_leave_to_probe_no_connection_is_made() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let peer = Peer::Tcp(listener.local_addr().unwrap());
    let sights = look(&[request(peer, "http")], &context(ProbeLevel::None));
    assert_eq!(sights[0].connect, Reading::not_asked());
    assert!(listener.accept().is_err());
}

#[test]
fn a_connection_alone_says_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = Peer::Tcp(listener.local_addr().unwrap());
    let sights = look(&[request(peer, "http")], &context(ProbeLevel::Connect));
    assert!(sights[0].greetings.is_empty());
    let mut said = Vec::new();
    listener.accept().unwrap().0.read_to_end(&mut said).unwrap();
    assert!(said.is_empty());
}

#[test]
fn a_missing_socket_is_told_with_the_steps_that_exist() {
    let peer = Peer::Unix("/tmp/no-such-folder/app.sock".into());
    let sights = look(&[request(peer, "http")], &context(ProbeLevel::Full));
    let steps: Vec<&str> = sights[0].path.value().unwrap().iter().map(|it| it.path.as_str()).collect();
    assert_eq!(steps, ["/", "/tmp"]);
    assert_eq!(sights[0].connect.value(), Some(&ConnectOutcome::Failed { errno: 2 }));
}

#[test]
fn a_name_is_resolved_once_for_all_its_addresses() {
    let named =
        |peer: &str| PeerRequest { name: Some("localhost".into()), ..request(peer.parse().unwrap(), "http") };
    let sights = look(&[named("127.0.0.1:1"), named("[::1]:1")], &context(ProbeLevel::None));
    for sight in &sights {
        let Lookup::Found(addresses) = &sight.resolution.value().unwrap().system else { panic!("{sight:?}") };
        assert!(addresses.iter().any(|it| it.is_loopback()));
    }
}

#[test]
fn nothing_outlasts_the_deadline() {
    // A listener that never accepts, with its queue full, and a resolver that never answers.
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let resolver = socket.local_addr().unwrap().to_string();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = PeerRequest {
        name: Some("app.invalid".into()),
        resolvers: vec![resolver],
        ..request(Peer::Tcp(listener.local_addr().unwrap()), "http")
    };
    let started = Instant::now();
    let sights = look(
        &[silent],
        &PeerContext { deadline: started + Duration::from_millis(250), ..context(ProbeLevel::Full) },
    );
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert_eq!(sights.len(), 1);
}

#[test]
fn a_network_namespace_that_cannot_be_entered_is_an_obstacle() {
    let gone = PeerContext { network: Some("/nonexistent/ns/net".into()), ..context(ProbeLevel::Full) };
    let sights = look(&[request("127.0.0.1:1".parse().unwrap(), "http")], &gone);
    assert!(sights[0].connect.obstacle().is_some());
    assert!(sights[0].filter.obstacle().is_some());
}

#[test]
fn peers_are_dialled_from_nginxs_network_namespace() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: a network namespace cannot be made without root");
        return;
    }
    // A fresh namespace has a loopback interface that is down: what answers here is unreachable there.
    let Ok(mut other) = std::process::Command::new("unshare").args(["-n", "sleep", "20"]).spawn() else {
        return;
    };
    let network = PathBuf::from(format!("/proc/{}/ns/net", other.id()));
    let ours = std::fs::read_link("/proc/self/ns/net").unwrap();
    while std::fs::read_link(&network).is_ok_and(|it| it == ours) {
        thread::sleep(Duration::from_millis(5));
    }
    let peer = Peer::Tcp(http_server());
    let there = PeerContext { network: Some(network), ..context(ProbeLevel::Full) };
    let far = look(&[request(peer.clone(), "http")], &there);
    let near = look(&[request(peer, "http")], &context(ProbeLevel::Full));
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(far[0].connect.value(), Some(&ConnectOutcome::Failed { errno: 101 }));
    assert!(
        matches!(near[0].connect.value(), Some(ConnectOutcome::Connected { .. })),
        "{:?}",
        near[0].connect
    );
}
