use super::*;

/// What nginx wrote.
const ENTRY: &str = "2026/11/20 15:00:00 [error] 9#9: *1 connect() failed (111: Connection refused) while connecting to upstream, \
                     client: 10.0.0.9, server: a.example, request: \"GET / HTTP/1.1\", upstream: \"http://127.0.0.1:8080/\", host: \
                     \"a.example\"";

/// The entry as JSON writes it.
fn in_json() -> String {
    ENTRY.replace('"', "\\\"")
}

/// Lines of each carrier around the entry, written down from the programs named.
fn carried_lines() -> Vec<(Carrier, String)> {
    let around = |carrier, before: &str| (carrier, format!("{before}{ENTRY}"));
    let json = in_json();
    vec![
        // nginx itself: with a host, with `nohostname`, with an empty host, as it does while it loads its configuration.
        around(Carrier::Syslog, "<187>Nov 20 15:00:00 web-1 nginx: "),
        around(Carrier::Syslog, "<187>Nov 20 15:00:00 nginx: "),
        around(Carrier::Syslog, "<187>Nov 20 15:00:00  nginx: "),
        // rsyslog: RSYSLOG_TraditionalFileFormat, RSYSLOG_FileFormat, and RFC 6587's length before it.
        around(Carrier::Syslog, "Nov  2 15:00:00 web-1 nginx: "),
        around(Carrier::Syslog, "2026-11-20T15:00:00.123456+01:00 web-1 nginx: "),
        around(Carrier::Syslog, "312 <187>Nov 20 15:00:00 web-1 nginx: "),
        // journalctl: short, short-precise, short-iso before and since systemd 250, short-full.
        around(Carrier::Syslog, "Nov 20 15:00:00 web-1 nginx[123]: "),
        around(Carrier::Syslog, "Nov 20 15:00:00.123456 web-1 nginx[123]: "),
        around(Carrier::Syslog, "2026-11-20T15:00:00+0100 web-1 nginx[123]: "),
        around(Carrier::Syslog, "2026-11-20T15:00:00+01:00 web-1 nginx[123]: "),
        around(Carrier::Syslog, "Fri 2026-11-20 15:00:00 CET web-1 nginx[123]: "),
        around(Carrier::Rfc5424, "<187>1 2026-11-20T15:00:00+01:00 web-1 nginx 123 - - "),
        around(
            Carrier::Rfc5424,
            "<187>1 2026-11-20T15:00:00.003Z web-1 nginx - ID47 [a@1 k=\"v ]\\\"\"][b@2] \u{feff}",
        ),
        around(Carrier::Rfc5424, "298 <187>1 - - nginx - - - "),
        (
            Carrier::DockerJson,
            format!(r#"{{"log":"{json}\n","stream":"stderr","time":"2026-11-20T15:00:00.123456789Z"}}"#),
        ),
        (
            Carrier::DockerJson,
            format!(
                r#"{{"log":"{json}\r\n","stream":"stderr","attrs":{{"tag":"a}}b","x":"\""}},"time":"2026-11-20T15:00:00.1Z"}}"#
            ),
        ),
        // fluent-bit, which adds what it knows of the pod.
        (
            Carrier::DockerJson,
            format!(
                r#"{{"time":"2026-11-20T15:00:00.1Z","stream":"stderr","kubernetes":{{"pod":"a"}},"log":"{json}\n"}}"#
            ),
        ),
        around(Carrier::Compose, "web_1  | "),
        around(Carrier::Compose, "shop-web-1            | "),
        around(Carrier::Compose, "web-1  | 2026-11-20T15:00:00.123456789Z "),
        around(Carrier::Compose, "\x1b[36mweb_1  |\x1b[0m "),
        around(Carrier::Compose, "\x1b[36mweb-1  | \x1b[0m"),
        around(Carrier::Cri, "2026-11-20T15:00:00.123456789Z stderr F "),
        around(Carrier::Cri, "2026-11-20T16:00:00.123456789+01:00 stderr F:tag "),
        around(Carrier::Kubectl, "[pod/web-0/nginx] "),
        around(Carrier::Kubectl, "[pod/web-0/nginx] 2026-11-20T15:00:00.123456789Z "),
        around(Carrier::Kubectl, "2026-11-20T15:00:00.123456789Z "),
        (
            Carrier::JournalJson,
            format!(
                r#"{{"__CURSOR":"s=1","__REALTIME_TIMESTAMP":"1795183200123456","_PID":"9","SYSLOG_IDENTIFIER":"nginx","MESSAGE":"{json}","_SYSTEMD_UNIT":"nginx.service"}}"#
            ),
        ),
        around(Carrier::JournalExport, "MESSAGE="),
        // Carriers within carriers.
        (
            Carrier::DockerJson,
            format!(
                r#"{{"log":"\u003c187\u003eNov 20 15:00:00 web-1 nginx: {json}\n","stream":"stdout","time":"2026-11-20T15:00:00Z"}}"#
            ),
        ),
        around(
            Carrier::Cri,
            "2026-11-20T15:00:00.123456789Z stdout F <187>1 2026-11-20T15:00:00Z web-1 nginx 1 - - ",
        ),
        around(Carrier::Compose, "web-1  | <187>Nov 20 15:00:00 nginx: "),
        around(Carrier::None, ""),
    ]
}

#[test]
fn every_carrier_is_found_and_taken_off() {
    for (carrier, line) in carried_lines() {
        assert_eq!(Carrier::detect([line.as_bytes()]), carrier, "{line}");
        let carried = carrier.open(line.as_bytes()).expect(&line);
        assert_eq!(String::from_utf8_lossy(&carried.text), ENTRY, "{line}");
        assert!(!carried.continues, "{line}");
        assert_eq!(String::from_utf8_lossy(&strip_carrier(line.as_bytes())), ENTRY, "{line}");
    }
}

#[test]
fn line_ends_marks_and_holes_are_no_part_of_a_line() {
    for (carrier, line) in carried_lines() {
        let wrapped = [
            format!("{line}\r\n"),
            format!("\u{feff}{line}"),
            format!("{}{line}\n", "\0".repeat(4000)),
            format!("{}\u{feff}{line}", "\0"),
            format!("10.0.0.1 - - [20/Nov{}{line}", "\0".repeat(4000)),
            format!("{line}{}", "\0".repeat(4000)),
        ];
        for line in wrapped {
            let carried = carrier.open(line.as_bytes()).expect(&line);
            assert_eq!(String::from_utf8_lossy(&carried.text), ENTRY, "{line:?}");
        }
    }
    assert_eq!(tidy(b"a\0b"), b"a\0b", "a client can send a NUL");
}

#[test]
fn every_beginning_of_a_line_is_harmless() {
    for (_, line) in carried_lines() {
        for end in 0..line.len() {
            for carrier in Carrier::ALL {
                let _ = carrier.open(&line.as_bytes()[..end]);
            }
            let _ = strip_carrier(&line.as_bytes()[..end]);
        }
    }
}

#[test]
fn what_a_carrier_tells_is_kept() {
    let opened = |carrier: Carrier, line: &'static str| carrier.open(line.as_bytes()).unwrap();
    let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());

    let it = opened(Carrier::Syslog, "<30>Nov 20 15:00:00 web-1 php-fpm8.2[77]: x");
    assert_eq!((it.program.as_deref(), it.pid, it.at), (Some("php-fpm8.2"), Some(77), None));
    let now = "2027-01-02T00:00:00Z".parse().unwrap();
    assert_eq!(it.taken_at(&TimeZone::UTC, now), at("2026-11-20T15:00:00Z"));

    let it = opened(Carrier::Rfc5424, "<30>1 2026-11-20T15:00:00.5+01:00 web-1 app 77 - - x");
    assert_eq!((it.program.as_deref(), it.pid, it.at), (Some("app"), Some(77), at("2026-11-20T14:00:00.5Z")));

    let it =
        opened(Carrier::DockerJson, r#"{"log":"x\n","stream":"stdout","time":"2026-11-20T15:00:00.5Z"}"#);
    assert_eq!((it.stream, it.at), (Some(Stream::Output), at("2026-11-20T15:00:00.5Z")));

    let it = opened(Carrier::Compose, "web-1  | 2026-11-20T15:00:00.500000000Z x");
    assert_eq!((it.source.as_deref(), it.at), (Some("web-1"), at("2026-11-20T15:00:00.5Z")));

    let it = opened(Carrier::Kubectl, "[pod/web-0/nginx] x");
    assert_eq!((it.source.as_deref(), it.at), (Some("pod/web-0/nginx"), None));

    let it = opened(
        Carrier::JournalJson,
        r#"{"MESSAGE":[120,255],"_PID":"1","SYSLOG_IDENTIFIER":"systemd","UNIT":"a.service","_SYSTEMD_UNIT":"init.scope","__REALTIME_TIMESTAMP":"1795186800500000"}"#,
    );
    assert_eq!(*it.text, *b"x\xff");
    assert_eq!(
        (it.source.as_deref(), it.program.as_deref(), it.pid),
        (Some("a.service"), Some("systemd"), Some(1))
    );
    assert_eq!(it.at, at("2026-11-20T15:00:00.5Z"));
}

#[test]
fn a_line_that_was_split_goes_on() {
    let docker = |text: &str| {
        let line = format!(r#"{{"log":"{text}","stream":"stdout","time":"2026-11-20T15:00:00.5Z"}}"#);
        Carrier::DockerJson.open(line.as_bytes()).unwrap().continues
    };
    assert!(docker("half a line") && docker(r"a path \\n") && docker(r"\\\\n"));
    assert!(!docker(r"a line\n") && !docker(r"\\\n"));
    assert!(Carrier::Cri.open(b"2026-11-20T15:00:00.5Z stdout P half").unwrap().continues);
}

#[test]
fn what_applications_write_is_no_carrier() {
    for line in [
        // A pipe-separated access log, logs with their own times, a JSON access log, an address.
        "10.0.0.1 | 2026-11-20T15:00:00+00:00 | GET /",
        "shop.example | 10.0.0.1 | GET /",
        "2026-11-20T15:00:00.123Z INFO app: started",
        "2026-11-20T15:00:00.123456Z ERROR: failed",
        "2026-11-20T15:00:00+00:00 10.0.0.1 GET /",
        r#"{"time":"2026-11-20T15:00:00Z","status":200}"#,
        "10.0.0.1 - - [20/Nov/2026:15:00:00 +0100] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\"",
        "[20-Nov-2026 15:00:00] NOTICE: ready to handle connections",
        "May 02, 2026 12:00:00 PM org.apache.catalina.core.StandardService startInternal",
        "nginx: [emerg] unknown directive",
        "Traceback (most recent call last):",
        "",
    ] {
        assert_eq!(Carrier::detect([line.as_bytes()]), Carrier::None, "{line}");
    }
}

#[test]
fn lines_without_the_carrier_do_not_hide_it() {
    let head = "Nov 20 15:00:00 web-1 app[7]: Traceback (most recent call last):";
    let lines = [head, "  File \"a.py\", line 1", "    x()", head, "-- Boot 3c0a --"];
    assert_eq!(Carrier::detect(lines.map(str::as_bytes)), Carrier::Syslog);
    assert_eq!(Carrier::Syslog.open(b"    x()"), None);
    // One quoted line makes no carrier.
    let lines = [ENTRY, head, ENTRY, ENTRY];
    assert_eq!(Carrier::detect(lines.map(str::as_bytes)), Carrier::None);
}
