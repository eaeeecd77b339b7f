use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use nginx_conf::{MemoryFiles, Version, View};
use snapshot::{ConnectOutcome, Outcome, Peer};

use super::exchange::Framing;
use super::*;
use crate::probe::connect::Target;
use crate::probe::fastcgi::record;

const PATIENCE: Duration = Duration::from_secs(20);

/// What became of a request to a server that reads what it gets and then does that.
fn tried(
    framing: Framing,
    patience: Duration,
    serve: impl FnOnce(&mut std::net::TcpStream) + Send + 'static,
) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request);
        serve(&mut stream);
    });
    exchange(&to(address, framing), Instant::now() + patience).outcome
}

fn to(address: std::net::SocketAddr, framing: Framing) -> Dial {
    Dial {
        to: Peer::Tcp(address),
        scheme: "http",
        target: Some(Target::Tcp(address)),
        tls: None,
        before: Vec::new(),
        request: b"GET / HTTP/1.0\r\n\r\n".to_vec(),
        framing,
    }
}

/// Says that, and hangs up.
fn answers(framing: Framing, bytes: &[u8]) -> Outcome {
    let bytes = bytes.to_vec();
    tried(framing, PATIENCE, move |stream| stream.write_all(&bytes).unwrap())
}

#[track_caller]
fn answered(outcome: Outcome, status: u16, header_bytes: u64, body_bytes: u64) -> snapshot::Answered {
    let Outcome::Answered(it) = outcome else { panic!("{outcome:?}") };
    assert_eq!((it.status, it.header_bytes, it.body_bytes), (status, header_bytes, body_bytes));
    it
}

#[test]
fn a_response_is_measured() {
    let response = b"HTTP/1.1 302 Found\r\nServer: gunicorn\r\nLocation: /login\r\n\r\nmoved";
    let it = answered(answers(Framing::Http, response), 302, 58, 5);
    assert_eq!((it.server.as_str(), it.location.as_str()), ("gunicorn", "/login"));
}

#[test]
fn records_are_unwrapped_before_they_are_measured() {
    let response = [
        record(7, 1, b"PHP Warning: x"),
        record(6, 1, b"Status: 503 Service Unavailable\r\n\r"),
        record(6, 1, b"\nsorry"),
        record(3, 1, &[0; 8]),
    ];
    answered(answers(Framing::Fastcgi, &response.concat()), 503, 35, 5);
    answered(answers(Framing::Fastcgi, &record(6, 1, b"Location: /x\n\n")), 302, 14, 0);
}

#[test]
fn other_protocols_are_told_from_answers() {
    assert_eq!(answers(Framing::Http, b"\x15\x03\x01"), Outcome::SpokeOther("\\x15\\x03\\x01".into()));
    assert_eq!(
        answers(Framing::Fastcgi, b"HTTP/1.1 400 Bad"),
        Outcome::SpokeOther("HTTP/1.1 400 Bad".into())
    );
}

#[test]
fn a_server_that_hangs_up_is_told_from_one_that_is_silent() {
    assert_eq!(answers(Framing::Http, b""), Outcome::Closed { received_bytes: 0 });
    assert_eq!(answers(Framing::Http, b"HTTP/1.1 200"), Outcome::Closed { received_bytes: 12 });
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let silent = tried(Framing::Http, Duration::from_millis(50), move |_| {
        let _ = held.recv();
    });
    assert_eq!(silent, Outcome::Silent);
    drop(hold);
}

#[test]
fn a_body_that_never_ends_is_left() {
    let outcome = tried(Framing::Http, PATIENCE, |stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    let Outcome::Answered(it) = outcome else { panic!("{outcome:?}") };
    assert!(it.body_bytes < 4 << 20, "{}", it.body_bytes);
}

#[test]
fn a_closed_port_is_no_connection() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let outcome = exchange(&to(address, Framing::Http), Instant::now() + PATIENCE).outcome;
    assert_eq!(outcome, Outcome::NotConnected(ConnectOutcome::Failed { errno: 111 }));
}

#[test]
fn plain_text_where_tls_was_wanted_is_no_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.accept().unwrap().0.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    let dial = Dial { tls: Some(Some("shop.example.com".into())), ..to(address, Framing::Http) };
    let outcome = exchange(&dial, Instant::now() + PATIENCE).outcome;
    assert!(matches!(outcome, Outcome::NoHandshake(_)), "{outcome:?}");
}

/// The requests for a URL under this configuration, each as `peer scheme: bytes`.
fn planned(http: &str, url: &str) -> (Vec<String>, String) {
    let text = format!("http {{\n{http}\n}}");
    let files = MemoryFiles([("/etc/nginx/nginx.conf".into(), text.into_bytes())].into());
    let config = nginx_conf::load(&files, Path::new("/etc/nginx/nginx.conf"));
    let view = View::new(&config, Version(1, 22, 1));
    let plan = route::plan(&url.parse().unwrap(), &view, Path::new("/"), "1.22.1");
    let shown = |it: &Dial| format!("{} {}: {}", it.to, it.scheme, String::from_utf8_lossy(&it.request));
    ([&plan.through].into_iter().chain(&plan.straight).map(shown).collect(), plan.remark)
}

#[test]
fn nginx_is_asked_on_this_host_whatever_the_name_resolves_to() {
    let (asked, remark) = planned(
        "server {\nlisten 10.0.0.9:8080;\nserver_name shop.example.com;\nlocation / {\nproxy_pass http://127.0.0.1:3000;\n}\n}",
        "http://shop.example.com:8080/cart?x=1",
    );
    assert!(
        asked[0].starts_with("10.0.0.9:8080 http: GET /cart?x=1 HTTP/1.1\r\nHost: shop.example.com:8080\r\n"),
        "{}",
        asked[0]
    );
    assert!(
        asked[1].starts_with("127.0.0.1:3000 http: GET /cart?x=1 HTTP/1.0\r\nHost: 127.0.0.1:3000\r\n"),
        "{}",
        asked[1]
    );
    assert_eq!(remark, "");
}

#[test]
fn the_pass_decides_host_version_and_path() {
    let (asked, _) = planned(
        "upstream app {\nserver 10.0.0.1:80;\nserver 10.0.0.2:80 backup;\nserver unix:/run/app.sock;\n}\n\
         server {\nlisten 80;\nlocation /api/ {\nproxy_http_version 1.1;\nproxy_set_header Host $host;\n\
         proxy_set_header X-Unknown $geoip_city;\nproxy_set_header Cookie a=b;\nproxy_pass http://app/v2/;\n}\n}",
        "http://a.example/api/x",
    );
    assert_eq!(asked.len(), 3, "{asked:?}");
    let request = "http: GET /v2/x HTTP/1.1\r\nHost: a.example\r\nUser-Agent: why502/";
    assert!(asked[1].starts_with(&format!("10.0.0.1:80 {request}")), "{}", asked[1]);
    assert!(asked[2].starts_with(&format!("unix:/run/app.sock {request}")), "{}", asked[2]);
    assert!(!asked[1].contains("X-Unknown") && !asked[1].contains("Cookie"), "{}", asked[1]);
}

#[test]
fn a_page_of_php_is_found_behind_try_files() {
    let (asked, _) = planned(
        "root /srv/www;\nserver {\nlisten 80;\nlocation / {\ntry_files $uri /index.php?$args;\n}\n\
         location ~ \\.php$ {\nfastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;\n\
         fastcgi_param QUERY_STRING $query_string;\nfastcgi_pass unix:/run/php.sock;\n}\n}",
        "http://a.example/cart?x=1",
    );
    assert!(asked[1].starts_with("unix:/run/php.sock fastcgi: "), "{}", asked[1]);
    for part in ["SCRIPT_FILENAME/srv/www/index.php", "QUERY_STRINGx=1", "HTTP_HOSTa.example"] {
        assert!(asked[1].contains(part), "{part} in {:?}", asked[1]);
    }
}

#[test]
fn what_cannot_be_imitated_is_said() {
    let (asked, remark) =
        planned("server {\nlisten 80;\nlocation / {\nreturn 204;\n}\n}", "http://a.example:81/");
    assert_eq!(asked.len(), 1);
    assert_eq!(
        remark,
        "no server of the configuration listens on port 81; no location that this URL leads to passes it on"
    );
    let (_, remark) =
        planned("server {\nlisten 80;\nlocation / {\ngrpc_pass 127.0.0.1:1;\n}\n}", "http://a.example/");
    assert_eq!(remark, "a request in grpc cannot be made here");
}

#[test]
fn where_no_time_is_left_nothing_is_asked() {
    let trial = run(&"http://a.example/".parse().unwrap(), &Request::default(), Instant::now());
    assert_eq!(trial.obstacle().map(|it| it.reason), Some(Reason::TimedOut));
}
