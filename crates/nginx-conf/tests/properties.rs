//! What holds for any input.

mod common;

use std::path::Path;

use common::load_files;
use nginx_conf::{Config, Directive, MemoryFiles, Version, View};
use proptest::prelude::*;

/// Text of the pieces that configurations are made of, so that braces, quotes and names really meet.
fn configuration() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just(" ".to_owned()),
        Just("\n".to_owned()),
        Just(";".to_owned()),
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just("\"".to_owned()),
        Just("'".to_owned()),
        Just("\\".to_owned()),
        Just("#".to_owned()),
        Just("$".to_owned()),
        Just("${x}".to_owned()),
        Just("content_by_lua_block {".to_owned()),
        Just("[[".to_owned()),
        Just("--".to_owned()),
        Just("include b; ".to_owned()),
        Just("http {\n".to_owned()),
        Just("stream {".to_owned()),
        Just("    server {\n".to_owned()),
        Just("upstream u { server ".to_owned()),
        Just("location ~* ".to_owned()),
        Just("        location / {".to_owned()),
        Just("if ($a) {".to_owned()),
        Just("set $x $x$y;".to_owned()),
        Just("listen ".to_owned()),
        Just("server_name *.a ~b".to_owned()),
        Just("proxy_pass http://".to_owned()),
        Just("proxy_buffers 8 ".to_owned()),
        Just("access_log ".to_owned()),
        Just("error_page 502 = ".to_owned()),
        Just("unix:".to_owned()),
        Just("[::1]:80".to_owned()),
        "[a-zü/:.0-9=$*-]{1,5}",
        any::<String>(),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn each<'c>(directives: &'c [Directive], look: &mut dyn FnMut(&'c Directive)) {
    for directive in directives {
        look(directive);
        each(directive.children(), look);
    }
}

/// The span of each directive begins with its name, holds its arguments, and lies inside the block around it.
fn spans_hold(config: &Config) {
    each(&config.root, &mut |directive| {
        let raw = String::from_utf8_lossy(config.text(directive.span)).into_owned();
        assert!(directive.span.line >= 1 && directive.span.column >= 1);
        let bare = raw.trim_start_matches(['"', '\'']);
        let plain = !directive.name.contains(['\\', '"', '\'', '\t', '\r', '\n']) && !raw.contains('\\');
        assert!(!plain || bare.starts_with(directive.name.as_str()), "{raw:?} {:?}", directive.name);
        for arg in &directive.args {
            assert!(arg.span.start >= directive.span.start && arg.span.end <= directive.span.end, "{raw:?}");
        }
        for inner in directive.children().iter().filter(|inner| inner.span.file == directive.span.file) {
            assert!(
                inner.span.start >= directive.span.start && inner.span.end <= directive.span.end,
                "{raw:?}"
            );
        }
    });
}

/// Line and column of each span, counted anew from the text.
fn places_hold(config: &Config) {
    each(&config.root, &mut |directive| {
        let text = &config.files[directive.span.file.0 as usize].text;
        for span in directive.args.iter().map(|arg| arg.span).chain([directive.span]) {
            let before = &text[..span.start];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
            assert_eq!((span.line as usize, span.column as usize), (line, column));
        }
    });
}

fn look_everywhere(config: &Config) {
    for version in [Version(1, 18, 0), Version(1, 30, 0)] {
        let view = View::new(config, version);
        for pass in view.passes() {
            pass.addresses(&view);
            pass.keeps_connections(&view);
        }
        for server in 0..view.servers().len() {
            view.route_in(server, "/a/b.php");
            view.error_logs_at(Some(server), None);
        }
        view.route("a.b.c", Some(80), "/%41/../x?y");
        view.main();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_that_looks_like_a_configuration_breaks_the_reader(main in configuration(), other in configuration()) {
        let config = load_files(&[("/n/main", &main), ("/n/b", &other)]);
        spans_hold(&config);
        places_hold(&config);
        look_everywhere(&config);
    }

    #[test]
    fn no_bytes_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let config = nginx_conf::load(&MemoryFiles([("/n".into(), bytes)].into()), Path::new("/n"));
        spans_hold(&config);
        look_everywhere(&config);
    }

    #[test]
    fn units_take_any_text(text in "[0-9yMwdhms kKgG]{0,12}|\\PC{0,8}") {
        nginx_conf::units::duration(&text);
        nginx_conf::units::size_bytes(&text);
        Version::parse(&text);
        nginx_conf::glob_matches(&text, "/a/b");
    }
}

/// Texts that would take very long, or very much memory, if any step were not linear.
#[test]
fn large_broken_files_are_read_in_one_go() {
    let repeated = |piece: &str, count: usize| piece.repeat(count);
    let texts = [
        repeated(";", 400_000),
        repeated("a {\n", 100_000),
        repeated("  a {\n", 50_000) + &repeated(" }\n", 50_000),
        repeated("a \"b\n", 100_000),
        repeated("a 'b\n a \"c\n", 50_000),
        repeated("x_by_lua_block {\n", 100_000),
        repeated("  x_by_lua_block { [[\n", 50_000),
        format!(
            "http {{ server {{ location / {{ {} proxy_pass http://$a; }} }} }}",
            repeated("set $a $a$a;", 20_000)
        ),
        format!("http {{ server {{ if (a) {{ {} }} }} }}", repeated("return 200;", 50_000)),
        format!(
            "http {{ {} }}",
            repeated("server { listen 1-65535; location / { proxy_pass http://a; } }", 10_000)
        ),
        format!(
            "http {{ server {{ location / {{ {} }} }} }}",
            repeated("if (a) { proxy_buffering off; }", 30_000)
        ),
        repeated("\u{fc}\u{fc} ", 200_000),
    ];
    for text in texts {
        let config = load_files(&[("/n", &text)]);
        assert!(config.problems.len() < 200);
        let view = View::new(&config, Version::default());
        view.route("a", None, "/");
        view.main();
    }
}

#[test]
fn blocks_nested_across_files_stay_shallow() {
    let names: Vec<String> = (0..=60).map(|number| format!("/n/{number}")).collect();
    let texts: Vec<String> = (1..=60)
        .map(|next| format!("{} include {next}; {}", "server { ".repeat(90), "}".repeat(90)))
        .collect();
    let files: Vec<(&str, &str)> =
        names.iter().zip(&texts).map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let config = load_files(&files);
    let mut deepest = 0;
    let mut level: Vec<&Directive> = config.root.iter().collect();
    while !level.is_empty() {
        deepest += 1;
        level = level.into_iter().flat_map(Directive::children).collect();
    }
    assert!(deepest < 250);
    assert!(config.problems.iter().any(|problem| problem.message.contains("inside more than 100 blocks")));
}
