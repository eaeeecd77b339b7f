//! Peers of every kind, each a thread that serves connections one after another.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use super::*;

/// Greets a peer that treats each connection as `serve` does, and tells the answers: `Http SpokeTls`, one a line.
#[track_caller]
fn meets(scheme: &str, serve: fn(TcpStream), expected: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Target::Tcp(listener.local_addr().unwrap());
    let (ended, end) = mpsc::channel::<()>();
    thread::spawn(move || {
        let held = end;
        for stream in listener.incoming() {
            thread::spawn(move || serve(stream.unwrap()));
            if held.try_recv().is_ok() {
                break;
            }
        }
    });
    let (_, stream) = attempt(&target, ROUND);
    let names = Names { ssl_name: None, host: "app.example.com" };
    let started = Instant::now();
    let greetings =
        greet(&target, &[scheme.to_owned()], &names, stream.unwrap(), started + Duration::from_secs(1));
    let _ = ended.send(());
    let answers: Vec<String> =
        greetings.iter().map(|it| format!("{:?} {:?}", it.protocol, it.answer)).collect();
    assert_eq!(answers.join(", "), expected);
    assert!(started.elapsed() < Duration::from_secs(20));
}

fn first_bytes(stream: &mut TcpStream) -> Vec<u8> {
    let mut buffer = [0; 1024];
    let bytes = stream.read(&mut buffer).unwrap_or(0);
    buffer[..bytes].to_vec()
}

fn http_server(mut stream: TcpStream) {
    if first_bytes(&mut stream).starts_with(b"OPTIONS") {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    } else {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    }
}

/// Waits for the end of a line that no binary protocol sends, as gunicorn does.
fn patient_http_server(mut stream: TcpStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n") {
        match first_bytes(&mut stream) {
            bytes if bytes.is_empty() => return,
            bytes => request.extend(bytes),
        }
    }
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
}

fn tls_server(mut stream: TcpStream) {
    first_bytes(&mut stream);
    let _ = stream.write_all(&[21, 3, 3, 0, 2, 2, 70]);
}

fn fastcgi_server(mut stream: TcpStream) {
    if first_bytes(&mut stream).starts_with(&[1, 9]) {
        let _ = stream.write_all(&fastcgi::record(10, 0, b"\x0f\x01FCGI_MPXS_CONNS0"));
    }
}

fn proxy_server(mut stream: TcpStream) {
    if first_bytes(&mut stream).starts_with(b"PROXY ") {
        let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
    }
}

/// Reads a block as uWSGI does, and hangs up on every modifier.
fn uwsgi_server(mut stream: TcpStream) {
    let mut header = [0; 4];
    if stream.read_exact(&mut header).is_ok() {
        let size = usize::from(u16::from_le_bytes([header[1], header[2]]));
        let _ = stream.read_exact(&mut vec![0; if size <= 4096 { size } else { 0 }]);
    }
}

fn hung_server(mut stream: TcpStream) {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
}

fn nginx_with_tls(mut stream: TcpStream) {
    if first_bytes(&mut stream).starts_with(b"OPTIONS") {
        let _ = stream.write_all(
            b"HTTP/1.1 400 Bad Request\r\n\r\n<title>400 The plain HTTP request was sent to HTTPS port</title>",
        );
    } else {
        let _ = stream.write_all(&[21, 3, 3, 0, 2, 2, 40]);
    }
}

#[test]
fn who_speaks_the_configured_protocol_is_greeted_once() {
    meets("http", http_server, "Http Spoken");
    meets("fastcgi", fastcgi_server, "Fastcgi Spoken");
    meets("https", tls_server, "Tls Spoken");
}

#[test]
fn an_answer_in_another_protocol_is_confirmed_in_it() {
    meets("https", http_server, "Tls SpokeHttp, Http Spoken");
    meets("fastcgi", http_server, "Fastcgi SpokeHttp, Http Spoken");
    meets("http", tls_server, "Http SpokeTls, Tls Spoken");
}

#[test]
fn a_page_that_asks_for_tls_is_not_taken_for_plain_http() {
    meets("http", nginx_with_tls, "Http SpokeTls, Tls Spoken");
}

#[test]
fn a_server_that_waits_for_a_line_is_found_by_the_other_greetings() {
    meets("uwsgi", patient_http_server, "Uwsgi Silent, Http Spoken");
}

#[test]
fn fastcgi_behind_an_http_pass_is_found() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Target::Tcp(listener.local_addr().unwrap());
    thread::spawn(move || listener.incoming().for_each(|it| fastcgi_server(it.unwrap())));
    let (_, stream) = attempt(&target, ROUND);
    let names = Names { ssl_name: None, host: "app.example.com" };
    let deadline = Instant::now() + Duration::from_secs(1);
    let greetings = greet(&target, &["http".to_owned()], &names, stream.unwrap(), deadline);
    let answer_to = |wanted| greetings.iter().find(|it| it.protocol == wanted).map(|it| it.answer);
    assert_eq!(answer_to(Protocol::Http), Some(Answer::Closed));
    assert_eq!(answer_to(Protocol::Fastcgi), Some(Answer::Spoken));
}

#[test]
fn who_hangs_up_on_everything_may_want_a_proxy_header() {
    meets(
        "http",
        proxy_server,
        "Http Closed, Fastcgi Closed, Uwsgi Closed, Tls Closed, ProxyProtocol Spoken",
    );
}

#[test]
fn uwsgi_without_a_ping_is_known_by_its_manners() {
    meets("uwsgi", uwsgi_server, "Uwsgi Spoken");
    meets("uwsgi", tls_server, "Uwsgi SpokeTls, Tls Spoken");
    meets("uwsgi", proxy_server, "Uwsgi Closed, Http Closed, Fastcgi Closed, Tls Closed");
}

#[test]
fn a_hung_peer_is_asked_only_what_its_silence_leaves_open() {
    meets("http", hung_server, "Http Silent");
    meets("fastcgi", hung_server, "Fastcgi Silent, Http Silent");
    meets("uwsgi", hung_server, "Uwsgi Silent, Http Silent");
}

#[test]
fn protocols_without_a_harmless_greeting_are_not_greeted() {
    meets("scgi", hung_server, "");
}

#[test]
fn any_bytes_have_a_name_and_every_prefix_is_survived() {
    let messages: [&[u8]; 6] = [
        b"HTTP/1.1 200 OK\r\n\r\n",
        &[22, 3, 3, 0, 1, 2],
        b"\x01\x0a\0\0\0\x00\0\0",
        b"\0\0\0\x04\0\0\0\0\0",
        b"\x64\0\0\x01",
        b"220 mail.example.com ESMTP\r\n",
    ];
    let names = [Spoke::Http, Spoke::Tls, Spoke::Fastcgi, Spoke::Http2, Spoke::Uwsgi, Spoke::Other];
    for (message, name) in messages.iter().zip(names) {
        assert_eq!(recognise(message), Some(name), "{}", message.escape_ascii());
        for end in 1..message.len() {
            if let Some(early) = recognise(&message[..end]) {
                assert_eq!(early, name, "{}", message[..end].escape_ascii());
                complete(early, &message[..end]);
                detail(early, &message[..end]);
            }
        }
    }
}
