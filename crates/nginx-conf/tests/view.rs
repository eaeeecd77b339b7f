//! What a configuration means.

mod common;

use std::time::Duration;

use common::{http, load_text, view_of};
use nginx_conf::{AnswerKind, Balancing, BuiltIn, LogContext, LogDestination, Scheme, Target, Version, View};

/// Each pass as `scheme address[,address…]`.
fn passes(text: &str) -> Vec<String> {
    let config = load_text(text);
    let view = View::new(&config, Version::default());
    let line = |pass: &nginx_conf::Pass| {
        let addresses: Vec<String> = pass.addresses(&view).into_iter().map(|it| it.address).collect();
        format!("{:?} {}", pass.scheme, addresses.join(","))
    };
    view.passes().iter().map(line).collect()
}

#[track_caller]
fn pass_is(directive: &str, expected: &str) {
    let text = http(&format!(
        "upstream app {{ server 10.0.0.1; server 10.0.0.2:81 backup; server unix:/run/app.sock down; }}
         server {{ set $name catalog.internal; set $group app; location / {{ {directive} }} }}"
    ));
    assert_eq!(passes(&text), [expected], "{directive}");
}

#[test]
fn a_pass_dials_what_nginx_dials() {
    pass_is("proxy_pass http://127.0.0.1;", "Http 127.0.0.1:80");
    pass_is("proxy_pass https://[::1]/x/;", "Https [::1]:443");
    pass_is("proxy_pass http://unix:/run/x.sock:/uri/;", "Http unix:/run/x.sock");
    pass_is("proxy_pass HTTP://APP/;", "Http 10.0.0.1:80,10.0.0.2:81,unix:/run/app.sock");
    pass_is("fastcgi_pass unix:/run/php.sock;", "Fastcgi unix:/run/php.sock");
    pass_is("fastcgi_pass 127.0.0.1:9000;", "Fastcgi 127.0.0.1:9000");
    pass_is("uwsgi_pass suwsgi://127.0.0.1:3031;", "Suwsgi 127.0.0.1:3031");
    pass_is("scgi_pass localhost:4000;", "Scgi localhost:4000");
    pass_is("grpc_pass grpcs://127.0.0.1;", "Grpcs 127.0.0.1:443");
    pass_is("grpc_pass 127.0.0.1;", "Grpc 127.0.0.1:80");
    pass_is("memcached_pass 127.0.0.1:11211;", "Memcached 127.0.0.1:11211");
}

#[test]
fn a_server_of_a_group_without_a_port_is_dialled_on_80_even_over_tls() {
    pass_is("proxy_pass https://app;", "Https 10.0.0.1:80,10.0.0.2:81,unix:/run/app.sock");
}

#[test]
fn a_variable_with_one_constant_value_gives_an_address() {
    pass_is("proxy_pass http://$name:8080;", "Http catalog.internal:8080");
    pass_is("proxy_pass http://${name}:8080$request_uri;", "Http catalog.internal:8080");
    pass_is("proxy_pass https://$name/x$uri;", "Https catalog.internal:443");
    pass_is("set $port 81; proxy_pass http://$name:$port;", "Http catalog.internal:81");
    pass_is("set $b $name:82; proxy_pass http://$b;", "Http catalog.internal:82");
    pass_is("proxy_pass http://$group;", "Http 10.0.0.1:80,10.0.0.2:81,unix:/run/app.sock");
    pass_is("if ($arg_x) { set $name other; } proxy_pass http://$name;", "Http ");
    pass_is("proxy_pass http://$host;", "Http ");
    pass_is("proxy_pass http://$http_x:8080;", "Http ");
    pass_is("set $a $b; set $b $a; proxy_pass http://$a;", "Http ");
}

#[test]
fn groups_of_stream_and_http_do_not_see_each_other() {
    let text = "
        stream {
            upstream db { server 10.0.0.9:5432; }
            server { listen 5432; proxy_pass db; proxy_timeout 5s; }
            server { listen 5433; proxy_ssl on; proxy_pass 10.0.0.8:5433; }
        }
        http { upstream db { server 10.0.0.1; } server { location / { proxy_pass http://db; } } }";
    assert_eq!(passes(text), ["Stream 10.0.0.9:5432", "StreamTls 10.0.0.8:5433", "Http 10.0.0.1:80"]);
    view_of(text, |view| {
        assert_eq!(view.passes()[0].settings.read_timeout.value, Duration::from_secs(5));
        assert_eq!(view.passes()[1].settings.read_timeout.value, Duration::from_secs(600));
        assert!(view.servers()[0].stream && !view.servers()[2].stream);
    });
}

#[test]
fn a_pass_is_not_inherited_by_nested_locations_but_by_conditions() {
    let text = http(
        "server { location /a/ {
            proxy_pass http://127.0.0.1:1;
            location /a/b/ { proxy_read_timeout 5s; }
            if ($arg_slow) { proxy_read_timeout 9s; }
            if ($arg_other) { proxy_pass http://127.0.0.1:2; }
            if ($arg_plain) { add_header X y; }
            limit_except GET { proxy_pass http://127.0.0.1:3; }
        } }",
    );
    view_of(&text, |view| {
        let seen: Vec<_> = view
            .passes()
            .iter()
            .map(|pass| {
                (pass.written.as_str(), pass.condition.as_deref(), pass.settings.read_timeout.value.as_secs())
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("http://127.0.0.1:1", None, 60),
                ("http://127.0.0.1:2", Some("if ($arg_other)"), 60),
                ("http://127.0.0.1:3", Some("limit_except GET"), 60),
                ("http://127.0.0.1:1", Some("if ($arg_slow)"), 9),
            ]
        );
        assert_eq!(view.locations()[0].pass, Some(0));
        assert_eq!(view.locations()[1].pass, None);
    });
}

#[test]
fn scalars_are_inherited_and_lists_are_replaced() {
    let text = http(
        "proxy_read_timeout 1m30s; proxy_set_header Host $host; proxy_set_header X 1;
         server { location / { proxy_set_header Connection ''; proxy_pass http://127.0.0.1; }
                  location /b { proxy_buffer_size 16k; proxy_pass http://127.0.0.1; } }",
    );
    view_of(&text, |view| {
        let (first, second) = (&view.passes()[0].settings, &view.passes()[1].settings);
        assert_eq!(first.read_timeout.value, Duration::from_secs(90));
        assert_eq!(view.config().place(first.read_timeout.from.unwrap()), "/etc/nginx/nginx.conf:1");
        assert!(first.header("host").is_none());
        assert_eq!(first.header("connection").unwrap().value, "");
        assert_eq!(second.set_headers.value.len(), 2);
        assert_eq!(
            (first.busy_buffers_size_bytes.value, second.busy_buffers_size_bytes.value),
            (8192, 32768)
        );
        assert_eq!(first.connect_timeout, nginx_conf::Setting { value: Duration::from_secs(60), from: None });
    });
}

#[test]
fn defaults_follow_the_version() {
    let text = http(
        "upstream app { server 10.0.0.1:80; }
         server { location / { proxy_pass http://app; } }",
    );
    let config = load_text(&text);
    let of = |version| {
        let view = View::new(&config, version);
        let pass = &view.passes()[0];
        let group = &view.upstreams()[0];
        (
            pass.settings.http_version.value.clone(),
            group.keepalive.value,
            group.keepalive_requests.value,
            pass.settings.ssl_protocols.value.len(),
            pass.keeps_connections(&view),
        )
    };
    assert_eq!(of(Version(1, 18, 0)), ("1.0".into(), 0, 100, 3, false));
    assert_eq!(of(Version(1, 22, 1)), ("1.0".into(), 0, 1000, 3, false));
    assert_eq!(of(Version(1, 25, 0)), ("1.0".into(), 0, 1000, 4, false));
    assert_eq!(of(Version(1, 29, 6)), ("1.0".into(), 0, 1000, 2, false));
    assert_eq!(of(Version(1, 29, 7)), ("1.1".into(), 32, 1000, 2, true));
}

#[test]
fn an_upstream_has_its_servers_and_balancing() {
    let text = http(
        "upstream app {
            hash $request_uri consistent;
            zone app 64k;
            server a:1 weight=5 max_fails=3 fail_timeout=1m max_conns=7 resolve;
            server b backup down;
            keepalive 16;
        }",
    );
    view_of(&text, |view| {
        let group = &view.upstreams()[0];
        let key = "$request_uri".to_owned();
        assert_eq!(group.balancing, Balancing::Hash { key, consistent: true });
        assert_eq!((group.zone.as_deref(), group.keepalive.value), (Some("app"), 16));
        let (first, second) = (&group.servers[0], &group.servers[1]);
        assert_eq!((first.weight, first.max_fails, first.max_conns, first.resolve), (5, 3, 7, true));
        assert_eq!(first.fail_timeout, Duration::from_secs(60));
        assert_eq!((second.address.as_str(), second.backup, second.down), ("b:80", true, true));
        assert_eq!((second.max_fails, second.fail_timeout), (1, Duration::from_secs(10)));
    });
}

#[test]
fn a_listen_is_taken_apart() {
    let text = http(
        "server { listen 8080 default_server; listen [::]:443 ssl http2 ipv6only=off; listen 127.0.0.1;
                  listen unix:/run/n.sock; listen localhost:81 proxy_protocol; listen 9000-9010; }
         server { }",
    );
    view_of(&text, |view| {
        let listens = &view.servers()[0].listens;
        assert!(listens[0].default_server && listens[0].has_port(8080));
        assert_eq!(listens[0].ip, Some([0, 0, 0, 0].into()));
        assert!(listens[1].ssl && listens[1].http2 && !listens[1].ipv6only);
        assert_eq!(listens[1].ip, Some("::".parse().unwrap()));
        assert_eq!(listens[2].port, Some(80));
        assert_eq!(listens[3].unix.as_deref(), Some("/run/n.sock".as_ref()));
        assert_eq!((listens[4].host.as_deref(), listens[4].ip), (Some("localhost"), None));
        assert!(listens[5].has_port(9005) && !listens[5].has_port(9011));
        assert!(view.servers()[1].listens[0].implicit && view.servers()[1].listens[0].has_port(80));
        assert_eq!(view.main().listens.len(), 7);
    });
}

#[test]
fn logs_are_resolved_and_the_compiled_in_ones_stand_in() {
    let text = "
        error_log logs/error.log warn;
        http {
            log_format main escape=json '$a ' \"$b\";
            server { access_log /var/log/a.log main buffer=32k if=$loud; error_log syslog:server=[::1] crit; }
            server { location / { access_log off; error_log stderr; } access_log $host.log; }
            server { }
        }
        stream { server { error_log memory:32m debug; } }";
    let config = load_text(text);
    let built_in =
        BuiltIn { prefix: "/opt/nginx".into(), access_log: "logs/access.log".into(), ..BuiltIn::default() };
    let view = View::with_built_in(&config, Version::default(), built_in);
    let errors: Vec<_> = view.error_logs().iter().map(|log| (&log.to, log.level.as_str())).collect();
    assert_eq!(
        errors,
        [
            (&LogDestination::File("/opt/nginx/logs/error.log".into()), "warn"),
            (&LogDestination::Syslog("server=[::1]".into()), "crit"),
            (&LogDestination::Stderr, "error"),
            (&LogDestination::Memory, "debug"),
        ]
    );
    let access: Vec<_> = view.access_logs().iter().map(|log| (&log.to, log.format.as_str())).collect();
    assert_eq!(
        access,
        [
            (&LogDestination::File("/var/log/a.log".into()), "main"),
            (&LogDestination::Off, ""),
            (&LogDestination::Variable("$host.log".into()), "combined"),
            (&LogDestination::File("/opt/nginx/logs/access.log".into()), "combined"),
        ]
    );
    assert!(view.access_logs()[0].buffered);
    assert_eq!(view.access_logs()[0].condition.as_deref(), Some("$loud"));
    assert_eq!(view.log_format("main").unwrap().text, "$a $b");
    assert!(view.log_format("combined").unwrap().text.starts_with("$remote_addr - "));
    assert!(view.log_format("none").is_none());
    assert_eq!(view.error_logs_at(Some(2), None)[0].context, LogContext::Main);
    assert_eq!(view.access_logs_at(Some(2), None)[0].context, LogContext::Http);
    let nested = view.servers()[1].locations[0];
    assert_eq!(view.error_logs_at(Some(1), Some(nested))[0].to, LogDestination::Stderr);
}

#[test]
fn answers_of_nginx_itself_are_listed() {
    let text = http(
        "limit_req_status 429;
         server {
            error_page 502 503 =200 /sorry.html;
            error_page 404 @app;
            if (-f /var/maintenance) { return 503; }
            location /a { limit_req zone=one burst=5; return 504 later; }
            location /b { limit_req_status 503; limit_req zone=two; limit_conn three 5; auth_request /auth; }
            location /c { return https://example.com; auth_request off; }
         }",
    );
    view_of(&text, |view| {
        let seen: Vec<_> =
            view.answers().iter().map(|it| (it.status, &it.kind, it.condition.as_deref())).collect();
        let page = |for_status, uri: &str| AnswerKind::ErrorPage { for_status, uri: uri.into() };
        let returns = |text: Option<&str>| AnswerKind::Return { text: text.map(str::to_owned) };
        assert_eq!(
            seen,
            [
                (200, &page(502, "/sorry.html"), None),
                (200, &page(503, "/sorry.html"), None),
                (404, &page(404, "@app"), None),
                (503, &returns(None), Some("if (-f /var/maintenance)")),
                (429, &AnswerKind::LimitReq { zone: "one".into() }, None),
                (504, &returns(Some("later")), None),
                (503, &AnswerKind::LimitReq { zone: "two".into() }, None),
                (503, &AnswerKind::LimitConn { zone: "three".into() }, None),
                (500, &AnswerKind::AuthRequest { uri: "/auth".into() }, None),
                (302, &returns(Some("https://example.com")), None),
            ]
        );
    });
}

#[test]
fn the_main_level_is_read() {
    let text = "user www-data web; pid run/n.pid; worker_processes auto; worker_rlimit_nofile 4096;
        daemon off; events { worker_connections 768; }
        http { client_body_temp_path tmp/body 1 2; server { location / { proxy_temp_path /var/tmp/p; } } }";
    view_of(text, |view| {
        let main = view.main();
        assert_eq!((main.user.value.as_str(), main.group.as_deref()), ("www-data", Some("web")));
        assert_eq!(main.pid.value, std::path::Path::new("/etc/nginx/run/n.pid"));
        assert_eq!((main.worker_processes.value, main.worker_connections.value), (None, 768));
        assert_eq!((main.worker_rlimit_nofile.value, main.daemon.value), (Some(4096), false));
        assert_eq!(main.temp_paths[0], ("client_body_temp_path".to_owned(), "/etc/nginx/tmp/body".into()));
        assert_eq!(main.temp_paths[1].1, std::path::Path::new("/var/tmp/p"));
    });
    view_of("", |view| assert_eq!(view.main().worker_connections.value, 512));
}

#[test]
fn fastcgi_parameters_and_the_resolver_are_settings() {
    let text = http(
        "resolver 10.0.0.2 [::1]:5353 valid=30s ipv6=off; resolver_timeout 5s;
         server { client_max_body_size 8m;
            location ~ \\.php$ { fastcgi_pass unix:/run/php.sock; fastcgi_keep_conn on;
                fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name; } }",
    );
    view_of(&text, |view| {
        let pass = &view.passes()[0];
        assert_eq!(pass.scheme, Scheme::Fastcgi);
        assert_eq!(pass.target, Target::Address("unix:/run/php.sock".into()));
        let settings = &pass.settings;
        assert_eq!(settings.param("SCRIPT_FILENAME").unwrap().value, "$document_root$fastcgi_script_name");
        assert!(settings.keep_conn.value);
        assert_eq!(settings.client_max_body_size_bytes.value, 8 << 20);
        let resolver = settings.resolver.value.as_ref().unwrap();
        assert_eq!(resolver.addresses, ["10.0.0.2:53", "[::1]:5353"]);
        assert_eq!((resolver.valid, resolver.ipv6), (Some(Duration::from_secs(30)), false));
    });
}
