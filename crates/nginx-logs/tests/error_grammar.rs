//! The grammar of the error log, with what real and hostile requests put into it.

use nginx_logs::Symptom;
use nginx_logs::error::{ErrorRecord, Level, StreamBytes, entries, parse, parse_stderr, strip_carrier};

const REFUSED: &str = "2026/11/20 15:00:00 [error] 21#22: *345 connect() failed (111: Connection refused) while connecting to \
                       upstream, client: 10.0.0.9, server: shop.example, request: \"GET /a?b=1 HTTP/1.1\", upstream: \
                       \"http://127.0.0.1:8080/a?b=1\", host: \"shop.example\", referrer: \"https://shop.example/\"";

/// What an entry with this message, phase and these fields says.
#[track_caller]
fn read(rest: &str) -> ErrorRecord<'static> {
    let entry = format!("2026/11/20 15:00:00 [error] 1#1: *1 {rest}");
    parse(Box::leak(entry.into_boxed_str()).as_bytes()).expect("it begins as entries do")
}

fn text(bytes: Option<&[u8]>) -> Option<&str> {
    bytes.map(|it| std::str::from_utf8(it).unwrap())
}

#[track_caller]
fn peer_of(upstream: &str, expected: &str) {
    let record = read(&format!(
        "connect() failed (111: Connection refused) while connecting to upstream, client: ::1, server: _, request: \"GET /x \
         HTTP/1.1\", upstream: \"{upstream}\", host: \"h\""
    ));
    assert_eq!(record.peer.as_deref(), Some(expected), "{upstream}");
}

#[test]
fn every_part_of_an_entry_is_read() {
    let record = parse(REFUSED.as_bytes()).unwrap();
    assert_eq!(record.time, jiff::civil::date(2026, 11, 20).at(15, 0, 0, 0));
    assert_eq!((record.level, record.pid, record.tid, record.connection), (Level::Error, 21, 22, Some(345)));
    assert_eq!(text(Some(record.message)), Some("connect() failed"));
    assert_eq!((record.errno, text(record.errno_text)), (Some(111), Some("Connection refused")));
    assert_eq!(text(record.action), Some("connecting to upstream"));
    assert_eq!(text(record.client), Some("10.0.0.9"));
    assert_eq!(text(record.server), Some("shop.example"));
    assert_eq!(text(record.request), Some("GET /a?b=1 HTTP/1.1"));
    assert_eq!(text(record.method), Some("GET"));
    assert_eq!(text(record.path), Some("/a?b=1"));
    assert_eq!(text(record.protocol), Some("HTTP/1.1"));
    assert_eq!(text(record.upstream), Some("http://127.0.0.1:8080/a?b=1"));
    assert_eq!((record.scheme, record.peer.as_deref()), (Some("http"), Some("127.0.0.1:8080")));
    assert_eq!(text(record.host), Some("shop.example"));
    assert_eq!(text(record.referrer), Some("https://shop.example/"));
    assert_eq!(record.symptom(), Some(Symptom::ConnectRefused));
    assert!(!record.truncated && !record.client_side());
}

#[test]
fn a_peer_is_an_address_a_socket_or_a_group() {
    peer_of("http://127.0.0.1:8080/x", "127.0.0.1:8080");
    peer_of("https://[::1]:8443/x", "[::1]:8443");
    peer_of("fastcgi://127.0.0.1:9000", "127.0.0.1:9000");
    peer_of("fastcgi://unix:/run/php/php8.2-fpm.sock:", "unix:/run/php/php8.2-fpm.sock");
    peer_of("http://unix:/run/a.sock:/x", "unix:/run/a.sock");
    peer_of("http://unix:/run/a:/x", "unix:/run/a");
    peer_of("http://backend/x", "backend");
    peer_of("10.0.0.1:5432", "10.0.0.1:5432");
}

#[test]
fn a_timed_out_unix_peer_has_lost_its_separator() {
    peer_of("http://unix:/run/a.sock/x", "unix:/run/a.sock");
    peer_of("uwsgi://unix:/run/app.socket", "unix:/run/app.socket");
    // Without a telling name, the request's own path is the best hint.
    peer_of("http://unix:/run/app/listen/x", "unix:/run/app/listen");
}

#[test]
fn known_sockets_settle_where_a_path_ends() {
    let record = read(
        "upstream timed out (110: Connection timed out) while reading response header from upstream, client: ::1, server: _, \
         request: \"GET / HTTP/1.1\", upstream: \"http://unix:/run/app/v2/login\", host: \"h\"",
    );
    assert_eq!(record.peer_among(&["/run/app", "/run/app/v2"]).as_deref(), Some("unix:/run/app/v2"));
    assert_eq!(record.peer_among(&["unix:/run/app"]).as_deref(), Some("unix:/run/app"));
    assert_eq!(record.peer_among(&["/run/ap"]), record.peer);
}

#[test]
fn look_alikes_are_no_errno() {
    let record = read(
        "shop.internal could not be resolved (3: Host not found), client: ::1, server: _, request: \"GET / HTTP/1.1\"",
    );
    assert_eq!((record.errno, record.symptom()), (None, Some(Symptom::ResolveFailed)));
    assert_eq!(text(Some(record.message)), Some("shop.internal could not be resolved (3: Host not found)"));
    let record = read(
        "upstream SSL certificate verify error: (18:self-signed certificate) while SSL handshaking to upstream, client: ::1, \
         server: _, request: \"GET / HTTP/1.1\", upstream: \"https://127.0.0.1:8443/\", host: \"h\"",
    );
    assert_eq!((record.errno, record.symptom()), (None, Some(Symptom::SslVerify)));
    let record = read(
        "OCSP response not successful (6: unauthorized) while requesting certificate status, responder: o.example",
    );
    assert_eq!(record.errno, None);
}

#[test]
fn tls_text_stands_before_the_errno() {
    let record = read(
        "SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number) (104: Connection reset by peer) \
         while SSL handshaking to upstream, client: ::1, server: _, request: \"GET / HTTP/1.1\"",
    );
    assert_eq!(text(record.ssl), Some("error:0A00010B:SSL routines::wrong version number"));
    assert_eq!((record.errno, record.symptom()), (Some(104), Some(Symptom::SslHandshake)));
}

#[test]
fn text_that_looks_like_an_action_stays_in_the_tls_text() {
    let record = read(
        "SSL_read() failed (SSL: error:0A000126:SSL routines::unexpected eof while reading) while reading response header from \
         upstream, client: ::1, server: _, request: \"GET / HTTP/1.1\"",
    );
    assert_eq!(text(record.action), Some("reading response header from upstream"));
    assert_eq!(text(record.ssl), Some("error:0A000126:SSL routines::unexpected eof while reading"));
}

#[test]
fn the_clients_side_is_no_symptom_of_the_upstream() {
    let entry = "2026/11/20 15:00:00 [crit] 1#1: *1 SSL_do_handshake() failed (SSL: error:0A00006C:SSL routines::bad key share) \
                 while SSL handshaking, client: 10.0.0.9, server: 0.0.0.0:443";
    let record = parse(entry.as_bytes()).unwrap();
    assert_eq!(record.symptom(), None);
    assert!(record.client_side());
    assert_eq!(text(record.server), Some("0.0.0.0:443"));
}

#[test]
fn an_upstreams_failure_under_sending_to_client_is_the_upstreams() {
    let record = read(
        "upstream prematurely closed connection while sending to client, client: ::1, server: _, request: \"GET / HTTP/1.1\", \
         upstream: \"http://127.0.0.1:8080/\", host: \"h\"",
    );
    assert_eq!((record.symptom(), record.client_side()), (Some(Symptom::BodyShort), false));
}

#[test]
fn a_server_name_can_be_empty_or_a_regex_with_commas() {
    for name in ["", "_", "~^(?<sub>a{1,3}|b, c)\\.example$"] {
        let record = read(&format!(
            "no live upstreams while connecting to upstream, client: ::1, server: {name}, request: \"GET / HTTP/1.1\", \
             upstream: \"http://backend/\", host: \"h\""
        ));
        assert_eq!(text(record.server), Some(name));
        assert_eq!(record.peer.as_deref(), Some("backend"));
    }
}

#[test]
fn a_fake_upstream_in_the_referer_fools_nobody() {
    let fake = "x\", upstream: \"http://6.6.6.6:66/\", host: \"evil HTTP/1.1\", upstream: \"http://6.6.6.6/";
    let record = read(&format!(
        "upstream timed out (110: Connection timed out) while reading response header from upstream, client: 10.0.0.9, server: \
         _, request: \"GET / HTTP/1.1\", upstream: \"http://127.0.0.1:8080/\", host: \"h\", referrer: \"{fake}\""
    ));
    assert_eq!(record.peer.as_deref(), Some("127.0.0.1:8080"));
    assert_eq!(text(record.host), Some("h"));
    assert_eq!(text(record.referrer), Some(fake));
}

#[test]
fn a_fake_context_in_the_referer_fools_nobody() {
    let record = read(
        "upstream sent invalid header: \"x\\x20...\" while reading response header from upstream, client: 10.0.0.9, server: _, \
         request: \"GET / HTTP/1.1\", upstream: \"http://127.0.0.1:8080/\", host: \"h\", referrer: \"a\" while reading upstream, \
         client: 6.6.6.6, server: evil, request: \"GET /evil HTTP/1.1\"\"",
    );
    assert_eq!(text(record.client), Some("10.0.0.9"));
    assert_eq!(text(record.path), Some("/"));
    assert_eq!(record.symptom(), Some(Symptom::HeaderInvalid));
}

#[test]
fn a_fake_upstream_in_the_request_fools_nobody() {
    let path = "/x\",_upstream:_\"http://6.6.6.6:66/\",_host:_\"evil".replace('_', " ");
    let record = read(&format!(
        "connect() failed (111: Connection refused) while connecting to upstream, client: 10.0.0.9, server: _, request: \"GET \
         {path} HTTP/1.1\", upstream: \"http://127.0.0.1:8080{path}\", host: \"h\""
    ));
    assert_eq!(text(record.path), Some(path.as_str()));
    assert_eq!(record.peer.as_deref(), Some("127.0.0.1:8080"));
    assert_eq!(text(record.host), Some("h"));
}

#[test]
fn a_fake_upstream_in_the_host_fools_nobody() {
    let record = read(
        "connect() failed (111: Connection refused) while connecting to upstream, client: 10.0.0.9, server: _, request: \"GET / \
         HTTP/1.1\", upstream: \"http://127.0.0.1:8080/\", host: \"h\", upstream: \"http://6.6.6.6/\"",
    );
    assert_eq!(record.peer.as_deref(), Some("127.0.0.1:8080"));
    assert_eq!(text(record.host), Some("h\", upstream: \"http://6.6.6.6/"));
}

#[test]
fn a_fake_context_in_a_php_message_fools_nobody() {
    let fake = "PHP message: oh\" while reading upstream, client: 6.6.6.6, server: evil, request: \"GET /evil HTTP/1.1\", \
                upstream: \"fastcgi://6.6.6.6:9000\", host: \"evil";
    let record = read(&format!(
        "FastCGI sent in stderr: \"{fake}\" while reading response header from upstream, client: 10.0.0.9, server: _, request: \
         \"GET /a.php HTTP/1.1\", upstream: \"fastcgi://unix:/run/php.sock:\", host: \"h\""
    ));
    assert_eq!(text(Some(record.message)), Some(format!("FastCGI sent in stderr: \"{fake}\"").as_str()));
    assert_eq!(text(record.client), Some("10.0.0.9"));
    assert_eq!(record.peer.as_deref(), Some("unix:/run/php.sock"));
    assert_eq!(record.symptom(), Some(Symptom::FastcgiStderr));
}

#[test]
fn a_fake_context_in_a_path_fools_nobody() {
    let path = "/srv/x\" failed (2: No such file or directory), client: 6.6.6.6, server: evil, request: \"GET / HTTP/1.1";
    let record = read(&format!(
        "open() \"{path}\" failed (13: Permission denied), client: 10.0.0.9, server: _, request: \"GET /x%22 HTTP/1.1\", host: \"h\""
    ));
    assert_eq!(text(record.client), Some("10.0.0.9"));
    assert_eq!((record.errno, record.symptom()), (Some(13), Some(Symptom::PermissionDenied)));
}

#[test]
fn garbage_in_the_request_line_ends_at_the_entrys_end() {
    let record = parse(
        b"2026/11/20 15:00:00 [info] 1#1: *1 client sent invalid request while reading client request line, client: 10.0.0.9, \
          server: _, request: \"GET /x HTTP/1.1\", upstream: \"http://6.6.6.6/\"",
    )
    .unwrap();
    assert_eq!(record.upstream, None);
    assert!(record.client_side());
}

#[test]
fn subrequests_streams_mail_and_resolvers_have_their_own_fields() {
    let record = read(
        "connect() failed (111: Connection refused) while connecting to upstream, client: ::1, server: _, request: \"GET /a \
         HTTP/1.1\", subrequest: \"/auth, \"x\"\", upstream: \"http://127.0.0.1:9/auth\", host: \"h\"",
    );
    assert_eq!(text(record.subrequest), Some("/auth, \"x\""));
    assert_eq!(record.peer.as_deref(), Some("127.0.0.1:9"));
    let record = read(
        "connect() failed (111: Connection refused) while connecting to upstream, udp client: 10.0.0.9, server: 0.0.0.0:53, \
         upstream: \"127.0.0.1:5353\", bytes from/to client:12/0, bytes from/to upstream:0/12",
    );
    assert_eq!(record.peer.as_deref(), Some("127.0.0.1:5353"));
    let bytes = StreamBytes { from_client: 12, to_client: 0, from_upstream: 0, to_upstream: 12 };
    assert_eq!(record.stream_bytes, Some(bytes));
    let record = read(
        "upstream timed out (110: Connection timed out) while connecting to upstream, client: ::1 using starttls, server: \
         0.0.0.0:143, login: \"a\", upstream: 6.6.6.6:6\", upstream: 127.0.0.1:1143",
    );
    assert_eq!(text(record.login), Some("a\", upstream: 6.6.6.6:6"));
    assert_eq!((text(record.client), record.peer.as_deref()), (Some("::1"), Some("127.0.0.1:1143")));
    let record =
        parse(b"2026/11/20 15:00:00 [error] 1#1: recv() failed (111: Connection refused) while resolving, resolver: 127.0.0.1:53")
            .unwrap();
    assert_eq!(text(record.resolver), Some("127.0.0.1:53"));
    assert_eq!((record.errno, record.symptom()), (Some(111), Some(Symptom::ResolveFailed)));
}

#[test]
fn a_configuration_error_keeps_its_errno_inside() {
    let entry = "2026/11/20 15:00:00 [emerg] 1#1: open() \"/a\" failed (2: No such file or directory) in /etc/nginx/x.conf:7";
    let record = parse(entry.as_bytes()).unwrap();
    assert!(record.message.ends_with(b" in /etc/nginx/x.conf:7"));
    assert_eq!((record.errno, record.symptom()), (Some(2), Some(Symptom::ConfigEmerg)));
}

#[test]
fn a_worker_that_gets_no_memory_for_a_request_is_no_configuration_error() {
    // nginx 1.22.1 under LimitAS=.
    let entry = "2026/11/20 19:29:55 [emerg] 255#255: *8 malloc(150000000) failed (12: Cannot allocate memory), client: \
                 127.0.0.1, server: app.example.org, request: \"POST /up HTTP/1.1\", host: \"127.0.0.1\"";
    let record = parse(entry.as_bytes()).unwrap();
    assert_eq!((record.errno, record.symptom()), (Some(12), Some(Symptom::WorkerExit)));
    let reload = "2026/11/20 19:29:55 [emerg] 1#1: malloc(150000000) failed (12: Cannot allocate memory)";
    assert_eq!(parse(reload.as_bytes()).unwrap().symptom(), None);
}

#[test]
fn standard_error_has_a_form_of_its_own() {
    let record =
        parse_stderr(b"nginx: [emerg] host not found in upstream \"x\" in /etc/nginx/x.conf:7").unwrap();
    assert_eq!((record.level, record.symptom()), (Some(Level::Emerg), Some(Symptom::ConfigEmerg)));
    assert_eq!((text(record.file), record.line), (Some("/etc/nginx/x.conf"), Some(7)));
    let record =
        parse_stderr(b"nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)").unwrap();
    assert_eq!((record.errno, record.line), (Some(98), None));
    let record = parse_stderr(b"nginx: configuration file /etc/nginx/nginx.conf test failed").unwrap();
    assert_eq!((record.level, record.symptom()), (None, None));
    assert_eq!(parse_stderr(b"nginx version: nginx/1.22.1"), None);
}

#[test]
fn carriers_are_taken_off() {
    for before in [
        "<187>Nov 20 15:00:00 web-1 nginx: ",
        "<187>Nov 20 15:00:00  nginx: ",
        "<187>Nov 20 15:00:00 nginx: ",
        "Nov 20 15:00:00 web-1 nginx[123]: ",
        "2026-11-20T15:00:00.123456+01:00 web-1 nginx: ",
        "<187>1 2026-11-20T15:00:00+01:00 web-1 nginx 123 - - ",
        "",
    ] {
        let line = format!("{before}{REFUSED}");
        assert_eq!(*strip_carrier(line.as_bytes()), *REFUSED.as_bytes(), "{before}");
    }
    assert_eq!(*strip_carrier(b"Nov 20 15:00:00 web-1 nginx[9]: nginx: [emerg] x"), *b"nginx: [emerg] x");
}

/// A FastCGI entry that is cut at nginx's limit.
fn cut_entry() -> String {
    let mut entry = "2026/11/20 15:00:00 [error] 1#1: *1 FastCGI sent in stderr: \"".to_owned();
    entry += &"x".repeat(2047 - entry.len());
    entry
}

#[test]
fn a_cut_entry_is_known_as_cut() {
    let entry = cut_entry();
    let record = parse(entry.as_bytes()).unwrap();
    assert!(record.truncated);
    assert_eq!(record.symptom(), Some(Symptom::FastcgiStderr));
    // Cut within a field, whatever the length that a carrier left.
    let record = parse(&REFUSED.as_bytes()[..REFUSED.len() - 5]).unwrap();
    assert!(record.truncated);
    assert_eq!(text(record.referrer), Some("https://shop.exam"));
}

#[test]
fn a_message_shortened_before_its_errno_is_known_as_cut() {
    let mut entry = "2026/11/20 15:00:00 [crit] 1#1: *1 open() \"/".to_owned();
    entry += &"x".repeat(2048 - 50 - entry.len());
    entry += "... (28: No space left on device)";
    let record = parse(entry.as_bytes()).unwrap();
    assert_eq!((record.errno, record.truncated), (Some(28), true));
}

#[test]
fn lines_of_one_entry_stay_together() {
    let stderr = "2026/11/20 15:00:01 [error] 1#1: *1 FastCGI sent in stderr: \"PHP message: a\n2026/11/20 15:00:01 [error] 9#9: \
                  *9 fake\nb\" while reading response header from upstream, client: ::1, server: _, request: \"GET / HTTP/1.1\", \
                  upstream: \"fastcgi://127.0.0.1:9000\", host: \"h\"";
    let path = "2026/11/20 15:00:02 [error] 1#1: *2 open() \"/srv/a\nb\" failed (2: No such file or directory), client: ::1, \
                server: _, request: \"GET /a%0Ab HTTP/1.1\", host: \"h\"";
    let log = format!("garbage\n{REFUSED}\nmore garbage\n{stderr}\n{path}\n{REFUSED}\n");
    let read: Vec<_> =
        entries(log.as_bytes()).map(|it| (text(Some(it.bytes)).unwrap(), it.line_count)).collect();
    let expected = [("garbage", 1), (REFUSED, 1), ("more garbage", 1), (stderr, 3), (path, 2), (REFUSED, 1)];
    assert_eq!(read, expected);
    for entry in entries(log.as_bytes()) {
        assert_eq!(&log.as_bytes()[entry.offset..][..entry.bytes.len()], entry.bytes);
    }
}

#[test]
fn a_block_goes_on_behind_a_fake_end() {
    let entry = "2026/11/20 15:00:01 [error] 1#1: *1 FastCGI sent in stderr: \"PHP message: oh\" while reading upstream, client: \
                 6.6.6.6, server: e, request: \"GET /e HTTP/1.1\", host: \"h\"\nmore\nPHP Stack trace:\" while reading \
                 response header from upstream, client: 10.0.0.9, server: _, request: \"GET /a.php HTTP/1.1\", host: \"h\"";
    let log = format!("{entry}\n{REFUSED}\n");
    assert_eq!(entries(log.as_bytes()).map(|it| it.line_count).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(text(parse(entry.as_bytes()).unwrap().client), Some("10.0.0.9"));
}

#[test]
fn a_block_cut_at_the_limit_ends_there() {
    let log = format!("{}\n{REFUSED}\n", cut_entry());
    assert_eq!(entries(log.as_bytes()).map(|it| it.line_count).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn a_block_that_never_closes_takes_no_other_entry_with_it() {
    let open = "2026/11/20 15:00:01 [error] 1#1: *1 FastCGI sent in stderr: \"PHP message: a";
    let log = format!("{open}\n{}", format!("{REFUSED}\n").repeat(20));
    assert_eq!(entries(log.as_bytes()).count(), 21);
}

#[test]
fn numbers_of_other_systems_are_understood() {
    let record = read(
        "connect() failed (61: Connection refused) while connecting to upstream, client: ::1, server: _, request: \"GET / \
         HTTP/1.1\", upstream: \"http://127.0.0.1:8080/\", host: \"h\"",
    );
    assert_eq!((record.errno, record.linux_errno()), (Some(61), Some(111)));
    assert_eq!(record.symptom(), Some(Symptom::ConnectRefused));
}

#[test]
fn bytes_that_are_no_text_pass_through() {
    let mut entry = REFUSED.as_bytes().to_vec();
    let at = entry.windows(2).position(|it| it == b"/a").unwrap();
    entry[at + 1] = 0xff;
    let record = parse(&entry).unwrap();
    assert_eq!(record.path, Some(b"/\xff?b=1".as_slice()));
}

#[test]
fn the_address_of_a_client_can_be_masked() {
    for client in ["x.x.x.x", "xx.xx.xx.xx", "<redacted>", "", "2001:db8::xxxx"] {
        let line = format!(
            "2020/08/27 17:12:58 [error] 14965#0: *20033661 recv() failed (104: Connection reset by peer) while reading \
             response header from upstream, client: {client}, server: localhost, request: \"POST /upload?x  HTTP/1.1\", \
             upstream: \"http://[2001:db8::7]:80/upload?x\", host: \"a\""
        );
        let record = parse(line.as_bytes()).unwrap();
        assert_eq!(record.client, Some(client.as_bytes()), "{line}");
        assert_eq!((record.peer.as_deref(), record.host), (Some("[2001:db8::7]:80"), Some(b"a".as_slice())));
        assert_eq!(record.symptom(), Some(Symptom::ReadReset));
    }
}

#[test]
fn a_tunnel_of_the_connect_module_goes_through_the_phases_of_nginx() {
    let line = b"2019/03/01 09:05:37 [error] 56#56: *79 upstream timed out (110: Operation timed out) while connecting to \
                 upstream(proxy_connect), client: 192.168.99.1, server: , request: \"CONNECT i.example:443 HTTP/1.1\", \
                 host: \"i.example:443\"";
    let record = parse(line).unwrap();
    assert_eq!(record.message, b"upstream timed out");
    assert_eq!(record.action, Some(b"connecting to upstream(proxy_connect)".as_slice()));
    assert_eq!(record.symptom(), Some(Symptom::ConnectTimeout));
    assert_eq!(record.peer, None);
}
