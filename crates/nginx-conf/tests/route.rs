//! Which server and location a request meets.

mod common;

use common::{http, load_text};
use nginx_conf::{Version, View};

/// The chosen location as written, `-` for none, with `!` where nginx redirects to the path with a slash.
#[track_caller]
fn meets(locations: &str, cases: &[(&str, &str)]) {
    let config = load_text(&http(&format!("server {{ {locations} }}")));
    assert_eq!(config.problems, []);
    let view = View::new(&config, Version::default());
    for (path, expected) in cases {
        let route = view.route("any", Some(80), path).expect("there is a server");
        let location = route.location.and_then(|id| view.location(id));
        let mut seen = location.map_or("-".to_owned(), |location| location.heading());
        seen.push_str(if route.redirects { "!" } else { "" });
        assert_eq!(&seen, expected, "{path}");
        assert_eq!(route.unsure, None, "{path}");
    }
}

#[test]
fn exact_beats_prefix_and_regex_beats_a_plain_prefix() {
    meets(
        "location = / { } location / { } location /documents/ { } location ^~ /images/ { }
         location ~* \\.(gif|jpg|jpeg)$ { }",
        &[
            ("/", "= /"),
            ("/index.html", "/"),
            ("/documents/document.html", "/documents/"),
            ("/images/1.gif", "^~ /images/"),
            ("/documents/1.JPG", "~* \\.(gif|jpg|jpeg)$"),
            ("/?x=1.gif", "= /"),
        ],
    );
}

#[test]
fn the_longest_prefix_wins_whatever_the_order() {
    meets(
        "location /a/b { } location /a { } location /a/b/c { }",
        &[("/a/b/cd", "/a/b/c"), ("/a/bx", "/a/b"), ("/ax", "/a"), ("/x", "-")],
    );
}

#[test]
fn the_first_matching_expression_wins_and_case_counts_without_a_star() {
    meets(
        "location ~ \\.PHP$ { } location ~* \\.php$ { } location ~ ^/index { }",
        &[("/index.php", "~* \\.php$"), ("/x.PHP", "~ \\.PHP$"), ("/index", "~ ^/index"), ("/y", "-")],
    );
}

#[test]
fn only_the_longest_prefix_can_forbid_expressions() {
    meets(
        "location ^~ /a/ { } location /a/b/ { } location ~ \\.php$ { }",
        &[("/a/x.php", "^~ /a/"), ("/a/b/x.php", "~ \\.php$")],
    );
}

#[test]
fn a_modifier_may_stand_right_before_its_path() {
    meets(
        "location =/a { } location ^~/b { } location ~\\.x$ { } location ~*\\.y$ { }",
        &[("/a", "= /a"), ("/b.x", "^~ /b"), ("/c.x", "~ \\.x$"), ("/c.Y", "~* \\.y$")],
    );
}

#[test]
fn nested_locations_are_searched_before_the_expressions_around_them() {
    meets(
        "location /a/ { location /a/b/ { } location ~ \\.css$ { } }
         location ~ \\.(css|js)$ { location ~ /min/ { } }",
        &[
            ("/a/x.css", "~ \\.css$"),
            ("/a/x.js", "~ \\.(css|js)$"),
            ("/a/b/x", "/a/b/"),
            ("/a/b/x.css", "~ \\.css$"),
            ("/a/x", "/a/"),
            ("/min/x.js", "~ /min/"),
        ],
    );
}

#[test]
fn a_nested_mark_against_expressions_spares_those_further_out() {
    meets(
        "location /a/ { location ^~ /a/b/ { } location ~ b { } } location ~ \\.php$ { }",
        &[("/a/b/x", "^~ /a/b/"), ("/a/b/x.php", "~ \\.php$")],
    );
}

#[test]
fn named_locations_meet_no_path() {
    meets("location @app { } location / { }", &[("/@app", "/"), ("@app", "/")]);
}

#[test]
fn a_pass_for_a_directory_redirects_the_path_without_slash() {
    let pass = "proxy_pass http://127.0.0.1:1;";
    meets(
        &format!("location /a/ {{ {pass} }} location /b/ {{ }} location / {{ }} location ~ a$ {{ }}"),
        &[("/a", "/a/!"), ("/b", "/"), ("/a/", "/a/"), ("/ca", "~ a$")],
    );
    meets(&format!("location /a/ {{ {pass} }} location = /a {{ }}"), &[("/a", "= /a")]);
}

#[test]
fn a_path_is_decoded_and_tidied_before_it_is_compared() {
    meets(
        "location /a/b { } location = /ü { } location / { }",
        &[
            ("/a//b", "/a/b"),
            ("/a/./b/", "/a/b"),
            ("/x/../a/b", "/a/b"),
            ("/%61/b?q=/", "/a/b"),
            ("/%C3%BC", "= /ü"),
            ("/../../..", "/"),
            ("", "/"),
            ("/a%", "/"),
            ("/%zz%", "/"),
        ],
    );
}

#[test]
fn an_expression_that_cannot_be_judged_is_said() {
    let config = load_text(&http("server { location ~ ( { } location / { } }"));
    let view = View::new(&config, Version::default());
    let route = view.route("any", None, "/x").unwrap();
    assert_eq!(view.location(route.location.unwrap()).unwrap().path, "/");
    assert_eq!(view.location(route.unsure.unwrap()).unwrap().path, "(");
}

#[test]
fn try_files_leads_to_a_named_location_or_a_path() {
    let config = load_text(&http(
        "server {
            location / { try_files $uri $uri/ /index.php?$args; }
            location /app { try_files $uri @app; }
            location /none { try_files $uri =404; }
            location @app { proxy_pass http://127.0.0.1:1; }
            location ~ \\.php$ { fastcgi_pass 127.0.0.1:9000; }
        }",
    ));
    let view = View::new(&config, Version::default());
    let fallback = |path| Some(view.route("any", None, path)?.fallback?.1?.written.as_str());
    assert_eq!(fallback("/x"), Some("127.0.0.1:9000"));
    assert_eq!(fallback("/app/x"), Some("http://127.0.0.1:1"));
    assert_eq!(fallback("/none"), None);
}

#[test]
fn a_directory_leads_to_its_index_where_that_is_passed_on() {
    let config = load_text(&http(
        "index index.html index.php;
        server { location ~ \\.php$ { fastcgi_pass 127.0.0.1:9000; } location /app/ { proxy_pass http://127.0.0.1:1; } }",
    ));
    let view = View::new(&config, Version::default());
    let fallback = |path| Some(view.route("any", None, path)?.fallback?.1?.written.as_str());
    assert_eq!(fallback("/"), Some("127.0.0.1:9000"));
    assert_eq!(fallback("/news/"), Some("127.0.0.1:9000"));
    assert_eq!(fallback("/news"), None);
    assert_eq!(fallback("/app/"), None);
}

/// The number of the server that a host and port meet.
#[track_caller]
fn server_is(servers: &[&str], cases: &[(&str, Option<u16>, Option<usize>)]) {
    let text: String = servers.iter().map(|inside| format!("server {{ {inside} }} ")).collect();
    let config = load_text(&http(&text));
    assert_eq!(config.problems, []);
    let view = View::new(&config, Version::default());
    for (host, port, expected) in cases {
        assert_eq!(view.server_for(host, *port), *expected, "{host} {port:?}");
    }
}

#[test]
fn names_are_tried_from_exact_to_expression() {
    server_is(
        &[
            "server_name default.example;",
            "server_name example.org www.Example.org;",
            "server_name *.example.org;",
            "server_name mail.*;",
            "server_name ~^(?<user>.+)\\.example\\.net$;",
            "server_name *.deep.example.org;",
            "server_name .example.com;",
            "server_name ~^mail;",
        ],
        &[
            ("example.org", None, Some(1)),
            ("WWW.example.org.", None, Some(1)),
            ("www.example.org:80", Some(80), Some(1)),
            ("x.y.example.org", None, Some(2)),
            ("x.deep.example.org", None, Some(5)),
            ("mail.example.org", None, Some(2)),
            ("mail.other.net", None, Some(3)),
            ("tom.example.net", None, Some(4)),
            ("example.com", None, Some(6)),
            ("a.b.example.com", None, Some(6)),
            ("mailx", None, Some(7)),
            ("unknown", None, Some(0)),
            ("", None, Some(0)),
        ],
    );
}

#[test]
fn a_dotted_name_is_ignored_where_its_bare_name_is_taken() {
    server_is(
        &["server_name a;", "server_name b.com;", "server_name .b.com;"],
        &[("b.com", None, Some(1)), ("x.b.com", None, Some(0))],
    );
}

#[test]
fn the_default_server_belongs_to_its_port() {
    server_is(
        &[
            "listen 80; server_name a;",
            "listen 81; listen 80 default_server; server_name b;",
            "listen 81; server_name a;",
            "listen 8000-8010; server_name r;",
        ],
        &[
            ("x", Some(80), Some(1)),
            ("x", Some(81), Some(1)),
            ("a", Some(81), Some(2)),
            ("a", Some(80), Some(0)),
            ("x", Some(8005), Some(3)),
            ("a", Some(443), None),
        ],
    );
}

#[test]
fn a_server_without_a_name_answers_to_the_empty_host() {
    server_is(&["server_name a;", "listen 80;"], &[("", None, Some(1)), ("b", None, Some(0))]);
}

#[test]
fn a_route_gives_the_pass_of_its_location() {
    let config = load_text(&http(
        "server { location / { proxy_pass http://127.0.0.1:1; if ($x) { proxy_pass http://127.0.0.1:2; } } }",
    ));
    let view = View::new(&config, Version::default());
    let route = view.route("any", Some(80), "/x").unwrap();
    assert_eq!(route.pass.unwrap().written, "http://127.0.0.1:1");
    assert_eq!(view.location(route.location.unwrap()).unwrap().conditional_passes, [1]);
    assert!(View::new(&load_text(""), Version::default()).route("any", None, "/").is_none());
}
