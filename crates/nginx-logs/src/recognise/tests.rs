use super::*;

/// What the variables of a request were, once for a request that went well, a retried one, and one without an upstream.
const REQUESTS: [&[(&str, &str)]; 4] = [
    &[
        ("remote_addr", "10.0.0.9"),
        ("remote_user", "-"),
        ("time_local", "20/Nov/2026:15:00:00 +0100"),
        ("time_iso8601", "2026-11-20T15:00:00+01:00"),
        ("msec", "1795183200.123"),
        ("request", "GET /a?x=1 HTTP/1.1"),
        ("request_method", "GET"),
        ("request_uri", "/a?x=1"),
        ("server_protocol", "HTTP/1.1"),
        ("status", "200"),
        ("body_bytes_sent", "1570"),
        ("bytes_sent", "1800"),
        ("request_length", "312"),
        ("http_referer", "https://www.example.com/"),
        ("http_user_agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101, like Firefox/128.0"),
        ("http_x_forwarded_for", "203.0.113.9, 10.0.0.2"),
        ("host", "shop.example.com"),
        ("server_name", "shop.example.com"),
        ("server_port", "443"),
        ("scheme", "https"),
        ("request_time", "0.123"),
        ("upstream_addr", "10.0.1.1:8080"),
        ("upstream_status", "200"),
        ("upstream_connect_time", "0.001"),
        ("upstream_header_time", "0.120"),
        ("upstream_response_time", "0.122"),
        ("upstream_response_length", "1570"),
        ("upstream_cache_status", "MISS"),
        ("request_id", "0123456789abcdef0123456789abcdef"),
        ("ssl_protocol", "TLSv1.3"),
        ("ssl_cipher", "TLS_AES_256_GCM_SHA384"),
        ("connection", "77"),
        ("pipe", "."),
        ("gzip_ratio", "2.31"),
        ("proxy_upstream_name", "default-web-80"),
    ],
    &[
        ("remote_addr", "2001:db8::7"),
        ("remote_user", "joe"),
        ("status", "504"),
        ("body_bytes_sent", "160"),
        ("http_referer", "-"),
        ("http_user_agent", "curl/8.5.0"),
        ("http_x_forwarded_for", "-"),
        ("request_time", "60.004"),
        ("upstream_addr", "10.0.1.1:8080, unix:/run/a.sock : 10.0.2.1:9000"),
        ("upstream_status", "502, 504 : 504"),
        ("upstream_connect_time", "-, 0.001 : 0.002"),
        ("upstream_header_time", "-, - : -"),
        ("upstream_response_time", "0.003, 60.001 : 0.002"),
        ("upstream_response_length", "0, 0 : 0"),
        ("request", "POST /b HTTP/2.0"),
        ("request_method", "POST"),
        ("request_uri", "/b"),
        ("server_protocol", "HTTP/2.0"),
    ],
    &[
        ("remote_addr", "10.0.0.9"),
        ("status", "404"),
        ("upstream_addr", "-"),
        ("upstream_status", "-"),
        ("upstream_connect_time", "-"),
        ("upstream_header_time", "-"),
        ("upstream_response_time", "-"),
        ("upstream_response_length", "-"),
        ("upstream_cache_status", "-"),
        ("request_time", "0.000"),
        ("gzip_ratio", "-"),
    ],
    &[
        ("status", "499"),
        ("request_time", "1.500"),
        ("upstream_status", "-"),
        ("upstream_header_time", "-"),
        ("upstream_response_time", "1.499"),
    ],
];

fn value<'a>(request: usize, name: &str) -> &'a str {
    let of = |index: usize| REQUESTS[index].iter().find(|it| it.0 == name).map(|it| it.1);
    of(request).or_else(|| of(0)).unwrap_or("-")
}

/// The lines that nginx would write.
fn lines(format: &str, escape: Escape) -> Vec<String> {
    let of = |request: usize| {
        let mut line = String::new();
        let mut rest = format;
        while let Some((before, after)) = rest.split_once('$') {
            let end = after.find(|it: char| !it.is_ascii_alphanumeric() && it != '_').unwrap_or(after.len());
            let value = value(request, &after[..end]);
            line += before;
            line += if escape == Escape::Json && value == "-" { "" } else { value };
            rest = &after[end..];
        }
        line + rest
    };
    (0..REQUESTS.len()).map(of).collect()
}

/// What matters about a request, as far as the format tells it.
const SOUGHT: [&str; 14] = [
    "status",
    "request",
    "request_method",
    "request_uri",
    "remote_addr",
    "host",
    "http_referer",
    "http_user_agent",
    "request_time",
    "upstream_addr",
    "upstream_status",
    "upstream_connect_time",
    "upstream_header_time",
    "upstream_response_time",
];

/// The format is found from its lines alone, and gives each line's values. `unknown` may stay without their names.
#[track_caller]
fn found(format: &str, escape: Escape, unknown: &[&str]) {
    let lines = lines(format, escape);
    let Some(found) = recognise(lines.iter().map(|it| it.as_bytes())) else {
        panic!("not found: {}", lines[0])
    };
    for (request, line) in lines.iter().enumerate() {
        let record = found.parse(line.as_bytes()).unwrap_or_else(|| panic!("does not fit {found:?}: {line}"));
        assert_eq!(record.time().map(|it| it.as_second()), Some(1795183200), "{line}");
        for name in SOUGHT {
            let is_logged = format.contains(&format!("${name}")) && !format.contains(&format!("${name}_"));
            if !is_logged || unknown.contains(&name) {
                continue;
            }
            let expected = value(request, name);
            let logged = record.get(name);
            assert_eq!(
                logged.as_deref().unwrap_or("-"),
                expected,
                "{name} of {line} in {:?}",
                found.variables().collect::<Vec<_>>()
            );
        }
    }
}

const COMMON: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent";

#[test]
fn what_is_put_behind_the_usual_fields_is_known() {
    for tail in [
        "",
        " \"$http_x_forwarded_for\"",
        " \"$http_x_forwarded_for\" $request_time",
        " \"$http_x_forwarded_for\" $request_time $upstream_response_time",
        " \"$http_x_forwarded_for\" $request_time $upstream_response_time $pipe",
        " rt=$request_time uct=\"$upstream_connect_time\" uht=\"$upstream_header_time\" urt=\"$upstream_response_time\"",
        " rt=$request_time uct=$upstream_connect_time uht=$upstream_header_time urt=$upstream_response_time",
        " rt=$request_time uct=\"$upstream_connect_time\" uht=\"$upstream_header_time\" urt=\"$upstream_response_time\" \
         ua=\"$upstream_addr\" us=\"$upstream_status\"",
        // NGINX Amplify's main_ext.
        " \"$http_x_forwarded_for\" \"$host\" sn=\"$server_name\" rt=$request_time ua=\"$upstream_addr\" us=\"$upstream_status\" \
         ut=\"$upstream_response_time\" ul=\"$upstream_response_length\" cs=$upstream_cache_status",
        " $request_time",
        " $request_time $upstream_response_time",
        " $request_time $upstream_response_time $upstream_addr $upstream_status",
        " \"$upstream_addr\" \"$upstream_status\" $request_time $upstream_response_time",
        " $upstream_status $upstream_addr \"$upstream_response_time\" $request_time",
        " [$upstream_addr] [$upstream_status] [$request_time]",
        " $request_time $upstream_connect_time $upstream_header_time $upstream_response_time",
        " <$upstream_addr> $request_time",
        " upstream: $upstream_addr upstream_status: $upstream_status request_time: $request_time",
        " to: $upstream_addr: $request upstream_response_time $upstream_response_time msec $msec request_time $request_time",
        " $request_id $host $scheme $ssl_protocol/$ssl_cipher",
        " \"$host\" $request_length $bytes_sent $connection $gzip_ratio",
        " host=$host upstream_addr=$upstream_addr upstream_status=$upstream_status request_time=$request_time \
         upstream_response_time=$upstream_response_time",
        " | $upstream_addr | $upstream_status | $request_time",
    ] {
        let format = format!("{}{tail}", Format::COMBINED);
        // Without a key, and with `:` for the end of the address, these stay unknown rather than wrong.
        let unknown: &[&str] = match tail {
            _ if tail.contains("to: ") => &["upstream_addr", "upstream_response_time", "request_time"],
            _ if tail.contains('<') => &["upstream_addr"],
            _ => &[],
        };
        found(&format, Escape::Default, unknown);
    }
}

#[test]
fn formats_that_begin_otherwise_are_known() {
    for format in [
        COMMON.to_owned(),
        format!("{COMMON} $request_time"),
        format!("$host {}", Format::COMBINED),
        format!("$host:$server_port {}", Format::COMBINED),
        format!("$server_name {} $request_time", Format::COMBINED),
        format!("[$time_iso8601] {COMMON}"),
        "$time_iso8601 $remote_addr $host \"$request\" $status $body_bytes_sent $request_time $upstream_addr $upstream_status".to_owned(),
        "$msec $remote_addr \"$request\" $status $request_time".to_owned(),
        "$remote_addr [$time_local] $request_method $request_uri $server_protocol $status $body_bytes_sent".to_owned(),
        "[$time_local] $remote_addr \"$request_method $request_uri\" $status \"$http_user_agent\"".to_owned(),
        "$time_local $remote_addr \"$request\" $status".to_owned(),
    ] {
        let unknown: &[&str] = if format.contains("$request_method $request_uri\"") {
            &["request_method", "request_uri"]
        } else {
            &["host"]
        };
        found(&format, Escape::Default, unknown);
    }
}

#[test]
fn formats_that_everybody_copies_are_known() {
    // ingress-nginx; its own variables keep their names.
    found(
        &format!(
            "{} $request_length $request_time [$proxy_upstream_name] [] $upstream_addr $upstream_response_length \
             $upstream_response_time $upstream_status $request_id",
            Format::COMBINED
        ),
        Escape::Default,
        &[],
    );
    found(
        "$remote_addr - [$remote_addr] - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \
         \"$http_user_agent\" $request_length $request_time [$proxy_upstream_name] $upstream_addr $upstream_response_length \
         $upstream_response_time $upstream_status $request_id",
        Escape::Default,
        &["remote_addr"],
    );
    // Nginx Proxy Manager.
    found(
        "[$time_local] $upstream_cache_status $upstream_status $status - $request_method $scheme $host \"$request_uri\" [Client \
         $remote_addr] [Length $body_bytes_sent] [Gzip $gzip_ratio] [Sent-to app] \"$http_user_agent\" \"$http_referer\"",
        Escape::Default,
        &[],
    );
    found(
        "[$time_local] $status - $request_method $scheme $host \"$request_uri\" [Client $remote_addr] [Length $body_bytes_sent] \
         [Gzip $gzip_ratio] \"$http_user_agent\" \"$http_referer\"",
        Escape::Default,
        &[],
    );
}

#[test]
fn objects_of_any_keys_are_known() {
    for format in [
        r#"{"time":"$time_iso8601","remote_addr":"$remote_addr","request":"$request","status":$status,"request_time":$request_time,"upstream_addr":"$upstream_addr","upstream_status":"$upstream_status","upstream_response_time":"$upstream_response_time"}"#,
        r#"{ "@timestamp": "$time_iso8601", "clientip": "$remote_addr", "verb": "$request_method", "url": "$request_uri", "status": "$status", "responsetime": $request_time, "upstreamhost": "$upstream_addr", "upstreamtime": "$upstream_response_time", "http_host": "x", "ua": "$http_user_agent" }"#,
        r#"{"ts":$msec,"http":{"method":"$request_method","uri":"$request_uri","status_code":$status},"upstream":{"addr":"$upstream_addr","status":"$upstream_status","connect_time":"$upstream_connect_time","header_time":"$upstream_header_time","response_time":"$upstream_response_time"},"network":{"client":{"ip":"$remote_addr"}}}"#,
        r#"{"msec":"$msec","connection":"$connection","time_local":"$time_local","request":"$request","status":"$status","upstream_addr":"$upstream_addr","urt":"$upstream_response_time","uct":"$upstream_connect_time","uht":"$upstream_header_time","rt":"$request_time"}"#,
        r#"{"requestTime":"$request_time","upstreamStatus":"$upstream_status","upstreamAddr":"$upstream_addr","timeLocal":"$time_local","requestUri":"$request_uri","status":$status,"tags":["a","b"]}"#,
        r#"{"date":"$time_local","nginx_status":"$status","nginx_request":"$request","nginx_upstream_addr":"$upstream_addr"}"#,
    ] {
        found(format, Escape::Json, &[]);
    }
}

#[test]
fn keys_and_separators_of_any_kind_are_known() {
    for format in [
        "time=\"$time_iso8601\" client=$remote_addr method=$request_method uri=\"$request_uri\" status=$status rt=$request_time \
         upstream=\"$upstream_addr\" us=\"$upstream_status\" urt=\"$upstream_response_time\"",
        "time_local=\"$time_local\" status=$status request=\"$request\" ua=\"$http_user_agent\"",
        "time:$time_local\thost:$remote_addr\treq:$request\tstatus:$status\tua:$http_user_agent\treqtime:$request_time\tapptime:\
         $upstream_response_time",
        "$time_local\t$remote_addr\t$request\t$status\t$http_user_agent\t$request_time",
        "$remote_addr|$time_local|$request|$status|$body_bytes_sent|$http_user_agent|$request_time|$upstream_addr|$upstream_status",
        "$time_iso8601 | $remote_addr | $request_method | $request_uri | $status | $request_time | $upstream_addr | \
         $upstream_response_time",
        "$time_iso8601;$remote_addr;\"$request\";$status;\"$http_user_agent\";$request_time",
        "\"$time_local\",\"$remote_addr\",\"$request\",\"$status\",\"$request_time\",\"$upstream_addr\"",
    ] {
        found(format, Escape::Default, &["host"]);
    }
}

#[test]
fn an_agent_without_quotes_hides_only_what_stands_behind_it() {
    found(
        &format!("{COMMON} $request_time $upstream_addr $http_user_agent"),
        Escape::Default,
        &["http_user_agent"],
    );
}

#[test]
fn what_is_not_certain_is_not_guessed() {
    for lines in [
        // Which is the client's status?
        ["20/Nov/2026:15:00:00 +0100 /a 502 200 10.0.0.9", "20/Nov/2026:15:00:01 +0100 /a 200 502 10.0.0.9"],
        // No time, no status.
        ["10.0.0.9 \"GET / HTTP/1.1\" 200 5", "10.0.0.9 \"GET / HTTP/1.1\" 200 5"],
        [
            "10.0.0.9 [20/Nov/2026:15:00:00 +0100] \"GET / HTTP/1.1\" 5",
            "10.0.0.9 [20/Nov/2026:15:00:00 +0100] \"GET / HTTP/1.1\" 7",
        ],
        // Applications' own.
        [
            r#"{"level":"info","time":"2026-11-20T15:00:00Z","method":"GET","url":"/","status":200,"msg":"done"}"#,
            r#"{"level":"info","time":"2026-11-20T15:00:01Z","method":"GET","url":"/","status":200,"msg":"done"}"#,
        ],
        ["2026-11-20 15:00:00,123 INFO views GET / 200", "2026-11-20 15:00:00,124 INFO views GET / 200"],
        [
            "2026-11-20T15:00:00Z INFO request path=/a status=200",
            "2026-11-20T15:00:00Z WARN slow path=/a took=200",
        ],
    ] {
        assert_eq!(recognise(lines.map(str::as_bytes)), None, "{}", lines[0]);
    }
}

#[test]
fn every_beginning_of_a_line_is_harmless() {
    let format = format!("{} rt=$request_time [Client $remote_addr] | $upstream_addr", Format::COMBINED);
    for line in lines(&format, Escape::Default) {
        for end in 0..line.len() {
            let _ = recognise([&line.as_bytes()[..end]]);
        }
    }
    let object =
        r#"{"a":{"time":"2026-11-20T15:00:00Z","b":[1,{"c":2}]},"status":200,"uri":"/\"x","d":null}"#;
    for end in 0..object.len() {
        let _ = recognise([&object.as_bytes()[..end]]);
    }
}

#[test]
fn a_status_behind_the_addresses_is_no_address() {
    let lines = [
        "10.0.0.9 [20/Nov/2026:15:00:00 +0100] \"GET / HTTP/1.1\" -> 10.0.0.5:8080, 10.0.0.6:8080 : 504, 200 200 0.012",
        "10.0.0.9 [20/Nov/2026:15:00:01 +0100] \"GET / HTTP/1.1\" -> 10.0.0.5:8080 : 200 200 0.011",
    ];
    let format = recognise(lines.iter().map(|it| it.as_bytes())).unwrap();
    let record = format.parse(lines[0].as_bytes()).unwrap();
    assert_eq!(record.get("upstream_addr").as_deref(), Some("10.0.0.5:8080, 10.0.0.6:8080"));
}

#[test]
fn st_is_the_upstream_s_status_where_the_request_has_one() {
    let line = "10.0.0.9 - - [20/Nov/2026:15:00:00 +0100] \"GET / HTTP/1.1\" 502 157 \"-\" \"curl/8.5.0\" up=10.0.0.5:8080 st=504";
    let format = recognise([line.as_bytes()]).unwrap();
    let record = format.parse(line.as_bytes()).unwrap();
    assert_eq!((record.status(), record.get("upstream_status").as_deref()), (Some(502), Some("504")));
}
