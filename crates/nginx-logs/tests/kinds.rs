//! What a log is, found from its lines.

use nginx_logs::access::{Escape, Format};
use nginx_logs::{Carrier, Kind, Program, Shape};

const ACCESS: &str =
    "10.0.0.9 - - [20/Nov/2026:15:00:00 +0100] \"GET /a HTTP/1.1\" 502 157 \"-\" \"curl/8.5.0\"";
const ERROR: &str = "2026/11/20 15:00:00 [error] 9#9: *1 connect() failed (111: Connection refused) while connecting to upstream, \
                     client: 10.0.0.9, server: a, request: \"GET / HTTP/1.1\", upstream: \"http://127.0.0.1:8080/\", host: \"a\"";

/// A line of each kind, from the program named.
const LINES: &[(&str, &str)] = &[
    ("access", ACCESS),
    ("error", ERROR),
    ("error", "2026/11/20 15:00:00 [notice] 1#1: nginx/1.22.1"),
    ("error", "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)"),
    ("error", "nginx: configuration file /etc/nginx/nginx.conf test failed"),
    // PHP-FPM 8.2.
    ("php-fpm", "[20-Nov-2026 15:00:00] NOTICE: fpm is running, pid 1"),
    (
        "php-fpm",
        "[20-Nov-2026 15:00:00] WARNING: [pool www] server reached pm.max_children setting (5), consider raising it",
    ),
    (
        "php-fpm",
        "[20-Nov-2026 15:00:00.123456] DEBUG: pid 7, fpm_event_loop(), line 419: event module triggered 1 events",
    ),
    // Its slow log, PHP's own log, and its access log.
    ("app", "[20-Nov-2026 15:00:00]  [pool www] pid 77"),
    ("app", "[20-Nov-2026 15:00:00 UTC] PHP Fatal error:  Uncaught Error: x in /srv/a.php:1"),
    ("app", "[20-Nov-2026 15:00:00 Europe/Berlin] PHP Warning:  x"),
    ("app", "127.0.0.1 -  20/Nov/2026:15:00:00 +0000 \"GET /a.php\" 200"),
    // gunicorn 20.1.
    ("gunicorn", "[2026-11-20 15:00:00 +0000] [21] [CRITICAL] WORKER TIMEOUT (pid:107)"),
    // uWSGI 2.0.
    ("uwsgi", "*** Starting uWSGI 2.0.21-debian (64bit) on [Fri Nov 20 15:00:00 2026] ***"),
    ("uwsgi", "DAMN ! worker 1 (pid: 77) died, killed by signal 9 :( trying respawn ..."),
    ("uwsgi", "Fri Nov 20 15:00:00 2026 - *** HARAKIRI ON WORKER 2 (pid: 77, try: 1) ***"),
    (
        "app",
        "[pid: 77|app: 0|req: 1/1] 10.0.0.9 () {34 vars in 400 bytes} [Fri Nov 20 15:00:00 2026] GET /a => generated 9 bytes in 1 \
         msecs (HTTP/1.1 200) 2 headers in 79 bytes (1 switches on core 0)",
    ),
    // Tomcat 9 (OneLineFormatter) and 7 (java.util.logging).
    (
        "tomcat",
        "20-Nov-2026 15:00:00.123 SEVERE [main] org.apache.catalina.core.StandardService.initInternal x",
    ),
    ("tomcat", "Nov 20, 2026 3:00:00 PM org.apache.catalina.startup.Catalina start"),
    // HAProxy 2.6.
    (
        "haproxy",
        "10.0.0.9:51234 [20/Nov/2026:15:00:00.123] fe be/s1 0/0/-1/-1/0 503 217 - - SC-- 1/1/0/0/3 0/0 \"GET / HTTP/1.1\"",
    ),
    (
        "haproxy",
        "[ALERT]    (16553) : Binding [ha.cfg:6] for frontend f: cannot bind socket (Address already in use)",
    ),
    (
        "haproxy",
        "[WARNING] 324/150000 (16553) : Server be/s1 is DOWN, reason: Layer4 timeout, check duration: 2001ms.",
    ),
    (
        "haproxy",
        "Server be/s1 is DOWN, reason: Layer4 connection problem, info: \"Connection refused\", check duration: 0ms.",
    ),
    ("haproxy", "backend be has no server available!"),
    // Linux 6.1: dmesg, dmesg -T, /dev/kmsg's priority.
    ("kernel", "[   12.345678] nf_conntrack: nf_conntrack: table full, dropping packet"),
    ("kernel", "[Fri Nov 20 15:00:00 2026] Out of memory: Killed process 123 (php-fpm8.2) total-vm:512000kB"),
    (
        "kernel",
        "<4>[   12.345678] TCP: request_sock_TCP: Possible SYN flooding on port 8080. Sending cookies.",
    ),
    (
        "audit",
        "type=AVC msg=audit(1795183200.123:456): avc:  denied  { name_connect } for  pid=123 comm=\"nginx\" dest=8080",
    ),
    ("journal", "php8.2-fpm.service: Main process exited, code=killed, status=9/KILL"),
    // Applications.
    ("app", r#"{"level":50,"time":1795183200123,"pid":7,"hostname":"a","msg":"connect ECONNREFUSED"}"#),
    (
        "app",
        "2026-11-20 15:00:00,123 [http-nio-8080-exec-1] ERROR c.e.Shop - java.lang.OutOfMemoryError: Java heap space",
    ),
    (
        "app",
        "2026-11-20T15:00:00.123+01:00 ERROR 1 --- [nio-8080-exec-1] o.a.c.c.C.[.[.[/].[dispatcherServlet] : x",
    ),
    ("app", "E, [2026-11-20T15:00:00.123456 #7] ERROR -- : RuntimeError (boom):"),
    (
        "app",
        "2026/11/20 15:00:00 http: Accept error: accept tcp [::]:8080: accept4: too many open files; retrying in 5ms",
    ),
    ("app", "time=\"2026-11-20T15:00:00Z\" level=error msg=\"dial tcp: refused\""),
    ("app", "E1120 15:00:00.123456       7 leaderelection.go:330] error retrieving resource lock"),
];

fn known_as(kinds: &[Kind]) -> Vec<&str> {
    kinds.iter().map(Kind::name).collect()
}

#[test]
fn a_log_of_one_line_is_known() {
    for (kind, line) in LINES {
        let shape = Shape::detect(line.as_bytes(), &[]);
        assert_eq!(known_as(&shape.kinds), [*kind], "{line}");
        assert_eq!(shape.kind_of(line.as_bytes()).map(Kind::name), Some(*kind), "{line}");
        assert_eq!(shape.carrier, Carrier::None, "{line}");
        assert!(shape.plain().is_some());
    }
}

#[test]
fn each_line_of_a_mixed_stream_is_known_by_itself() {
    let stream: String = LINES.iter().map(|it| format!("{}\n", it.1)).collect();
    let shape = Shape::detect(stream.as_bytes(), &[]);
    for (kind, line) in LINES {
        assert_eq!(shape.kind_of(line.as_bytes()).map(Kind::name), Some(*kind), "{line}");
    }
}

#[test]
fn every_beginning_of_a_line_is_harmless() {
    let shape = Shape::detect(format!("{ACCESS}\n{ERROR}\n").as_bytes(), &[]);
    for (_, line) in LINES {
        for end in 0..line.len() {
            let line = &line.as_bytes()[..end];
            let _ = Shape::detect(line, &[Format::combined()]);
            let _ = shape.open(line);
        }
    }
}

#[test]
fn one_kind_can_hide_behind_many_lines_of_another() {
    let late = format!("{}{}", format!("{ERROR}\n").repeat(60), format!("{ACCESS}\n").repeat(3));
    let shape = Shape::detect(late.as_bytes(), &[]);
    assert_eq!(known_as(&shape.kinds), ["error", "access"]);
    // Behind the sample's end the line still decides.
    let shape = Shape::detect(format!("{ERROR}\n").repeat(60).as_bytes(), &[]);
    assert_eq!(shape.kind_of(ACCESS.as_bytes()).map(Kind::name), Some("access"));
    let shape = Shape::detect(format!("{ACCESS}\n").repeat(60).as_bytes(), &[]);
    assert_eq!(shape.kind_of(ERROR.as_bytes()).map(Kind::name), Some("error"));
    assert!(shape.plain().is_some());
}

#[test]
fn torn_lines_at_the_beginning_and_the_end_make_no_kind() {
    let log = format!("1\" 200 5 \"-\" \"-\"\n{}{}", format!("{ACCESS}\n").repeat(20), &ACCESS[..70]);
    let shape = Shape::detect(log.as_bytes(), &[]);
    assert_eq!(known_as(&shape.kinds), ["access"]);
    let log = format!("[20/Nov/2026:15:00:00 +0100] torn\n{}", format!("{ERROR}\n").repeat(20));
    assert_eq!(known_as(&Shape::detect(log.as_bytes(), &[]).kinds), ["error"]);
}

#[test]
fn what_a_backend_says_inside_of_an_entry_makes_no_kind() {
    let block = "2026/11/20 15:00:00 [error] 9#9: *1 FastCGI sent in stderr: \"PHP message: x\n[20-Nov-2026 15:00:00] NOTICE: \
                 forged\n[2026-11-20 15:00:00] production.ERROR: y\" while reading response header from upstream, client: \
                 10.0.0.9, server: a, request: \"GET / HTTP/1.1\", upstream: \"fastcgi://127.0.0.1:9000\", host: \"a\"\n";
    assert_eq!(known_as(&Shape::detect(block.repeat(9).as_bytes(), &[]).kinds), ["error"]);
}

#[test]
fn a_named_format_comes_before_a_guess() {
    let format = Format::compile("$status $remote_addr $msec", Escape::Default);
    let shape = Shape::detect(b"502 10.0.0.9 1795183200.123\n", std::slice::from_ref(&format));
    assert_eq!(shape.kinds, [Kind::Access(format)]);
}

#[test]
fn a_carrier_says_who_wrote_a_line() {
    let log = "Nov 20 15:00:00 web-1 systemd[1]: Started php8.2-fpm.service - The PHP 8.2 FastCGI Process Manager.\n\
               Nov 20 15:00:00 web-1 kernel: nf_conntrack: nf_conntrack: table full, dropping packet\n\
               Nov 20 15:00:00 web-1 haproxy[7]: Proxy fe started.\n\
               Nov 20 15:00:00 web-1 sshd[9]: Accepted publickey for a\n";
    let shape = Shape::detect(log.as_bytes(), &[]);
    assert_eq!(shape.carrier, Carrier::Syslog);
    let kinds: Vec<_> = log.lines().map(|it| shape.open(it.as_bytes()).1.unwrap().name()).collect();
    assert_eq!(kinds, ["journal", "kernel", "haproxy", "journal"]);
}

#[test]
fn a_line_without_the_carrier_is_handed_on_as_it_is() {
    let log = format!("web-1  | {ERROR}\nweb-1  | {ACCESS}\nweb-1  | {ACCESS}\nAttaching to web-1\n");
    let shape = Shape::detect(log.as_bytes(), &[]);
    assert_eq!(shape.carrier, Carrier::Compose);
    let (carried, kind) = shape.open(b"Attaching to web-1");
    assert_eq!((&*carried.text, kind), (b"Attaching to web-1".as_slice(), None));
    assert_eq!(shape.open(ERROR.as_bytes()).1, Some(&Kind::Error));
}

#[test]
fn one_request_among_the_words_of_other_programs_is_known() {
    let log = format!(
        "web-1  | /docker-entrypoint.sh: Configuration complete; ready for start up\n\
         web-1  | 2026/11/20 15:00:00 [notice] 1#1: using the \"epoll\" event method\n\
         web-1  | {ACCESS} \"-\"\n\
         app-1  | [2026-11-20 15:00:00 +0000] [1] [INFO] Starting gunicorn 22.0.0\n\
         app-1  | Traceback (most recent call last):\n\
         app-1  |   File \"/app/x.py\", line 3, in <module>\n\
         app-1  | ModuleNotFoundError: No module named 'flask'\n\
         web-1  | {ERROR}\n"
    );
    let shape = Shape::detect(log.as_bytes(), &[]);
    let mut kinds = known_as(&shape.kinds);
    kinds.sort_unstable();
    assert_eq!(kinds, ["access", "error", "gunicorn"]);
}

#[test]
fn a_traceback_without_times_is_an_applications() {
    let log = b"Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\nModuleNotFoundError: No module named 'x'\n";
    assert_eq!(Shape::detect(log, &[]).kinds, [Kind::Program(Program::App)]);
    assert_eq!(Shape::detect(b"lorem ipsum\ndolor sit\n", &[]).kinds, []);
}

#[test]
fn lines_of_every_kind_have_their_time() {
    let zone = jiff::tz::TimeZone::UTC;
    let now = "2026-12-01T00:00:00Z".parse().unwrap();
    for (_, line) in LINES {
        let shape = Shape::detect(line.as_bytes(), &[]);
        let time = shape.kind_of(line.as_bytes()).unwrap().time_of(line.as_bytes(), &zone, now);
        let has_none =
            ["nginx: ", "DAMN", "[ALERT]", "[WARNING]", "Server ", "backend ", "[   12", "<4>", "php8.2"];
        assert_eq!(time.is_none(), has_none.iter().any(|it| line.starts_with(it)), "{line}");
        // 15:00 in one of the zones that the lines name, or in the zone given.
        let minute = time.map(|it| it.as_second() / 60 % 60);
        assert!(minute.is_none_or(|it| it == 0), "{line}: {time:?}");
    }
}
