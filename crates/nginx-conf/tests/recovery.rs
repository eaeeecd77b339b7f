//! What is left of a broken file: everything but the mistake.

mod common;

use common::load_text;
use nginx_conf::{Config, Directive};

fn outline(directives: &[Directive]) -> String {
    let one = |directive: &Directive| match &directive.block {
        Some(block) => format!("{} {{ {}}} ", directive.name, outline(block)),
        None => format!("{} ", directive.name),
    };
    directives.iter().map(one).collect()
}

#[track_caller]
fn recovers(text: &str, expected: &str, problems: &[&str]) -> Config {
    let config = load_text(text);
    let seen: Vec<_> = config
        .problems
        .iter()
        .map(|it| {
            format!("{}: {}", config.exact_place(it.span).replace("/etc/nginx/nginx.conf:", ""), it.message)
        })
        .collect();
    assert_eq!(seen, problems);
    assert_eq!(outline(&config.root).trim_end(), expected);
    assert!(config.problems.iter().all(|it| !it.advice.is_empty()));
    config
}

#[test]
fn a_missing_semicolon_ends_at_the_next_known_directive() {
    recovers(
        "server {\n proxy_pass http://a\n proxy_set_header Host $host\n root /x;\n}\nevents {}",
        "server { proxy_pass proxy_set_header root } events { }",
        &[
            "2:2: a \";\" is missing after \"proxy_pass http://a\"",
            "3:2: a \";\" is missing after \"proxy_set_header Host $host\"",
        ],
    );
    recovers(
        "server_name a\nlocation / { root /x }\nlisten 80;",
        "server_name location { root } listen",
        &["1:1: a \";\" is missing after \"server_name a\"", "2:14: a \";\" is missing after \"root /x\""],
    );
}

#[test]
fn a_missing_semicolon_after_an_unknown_directive_costs_no_more_than_the_next_one() {
    recovers("my_module a\nb c;\nroot /x;", "my_module root", &[]);
}

#[test]
fn words_over_several_lines_are_no_mistake() {
    recovers(
        "log_format main\n '$a'\n '$b';\nserver_name\n a\n b;\nlisten 443\n ssl;\nif ($a =\n root) {}\nindex\n index.php;",
        "log_format server_name listen if { } index",
        &[],
    );
}

#[test]
fn a_missing_brace_is_found_by_indentation() {
    let text = "
http {
    server {
        location / {
            root /a;

        location /b {
            root /b;
        }
    }
    server {
        listen 81;
    }
}
";
    recovers(
        text,
        "http { server { location { root } location { root } } server { listen } }",
        &["4:9: \"location /\" is not closed, a \"}\" is missing"],
    );
}

#[test]
fn a_brace_under_an_outer_block_closes_the_inner_ones() {
    recovers(
        "http {\n    server {\n        location / {\n            root /a;\n    }\n    upstream b {\n    }\n}\n",
        "http { server { location { root } } upstream { } }",
        &["3:9: \"location /\" is not closed, a \"}\" is missing"],
    );
}

#[test]
fn without_indentation_blocks_close_where_nginx_allows_no_nesting() {
    recovers(
        "http {\nserver {\nlocation / {\nroot /a;\n}\nserver {\nlisten 81;\n}\nupstream u {\n}\n}\n",
        "http { server { location { root } } server { listen } upstream { } }",
        &["2:1: \"server\" is not closed, a \"}\" is missing"],
    );
}

#[test]
fn a_surplus_brace_is_found_by_indentation() {
    recovers(
        "http {\n    server {\n        listen 80;\n        }\n        root /a;\n    }\n    server { }\n}\n",
        "http { server { listen root } server { } }",
        &["4:9: unexpected \"}\""],
    );
    recovers("a;\n}\nb;", "a b", &["2:1: unexpected \"}\""]);
}

#[test]
fn a_file_that_ends_early_keeps_what_it_has() {
    recovers(
        "a { b c",
        "a { b }",
        &[
            "1:1: \"a\" is never closed, a \"}\" is missing",
            "1:5: the file ends inside \"b\", a \";\" is missing",
        ],
    );
}

#[test]
fn braces_and_semicolons_without_a_name_are_passed_over() {
    recovers(
        "; a; { b; { c; } } d;",
        "a b c d",
        &["1:1: unexpected \";\"", "1:6: unexpected \"{\"", "1:11: unexpected \"{\""],
    );
}

#[test]
fn a_forgotten_quote_ends_with_its_line() {
    recovers(
        "add_header A \"x;\nadd_header B \"y\";\nroot /x;",
        "add_header add_header root",
        &["1:14: the quote \" that opens here is not closed"],
    );
    recovers("a 'x;\nb;\nc {\n}", "a b c { }", &["1:3: the quote ' that opens here is not closed"]);
    recovers("a 'x {\nb;\n}", "a { b }", &["1:3: the quote ' that opens here is not closed"]);
}

#[test]
fn a_word_glued_to_a_quote_is_a_word_of_its_own() {
    let config = recovers("a \"b\"c;\nd;", "a d", &["1:6: unexpected \"c\" after a closing quote"]);
    assert_eq!(config.root[0].args_joined(), "b c");
}

#[test]
fn lua_that_never_closes_ends_at_a_brace_of_its_own_column() {
    recovers(
        "server {\n  content_by_lua_block {\n    if a { then\n  }\n  root /x;\n}\nevents {}",
        "server { content_by_lua_block root } events { }",
        &["2:25: the Lua block that opens here is not closed"],
    );
    recovers(
        "content_by_lua_block {\n x",
        "content_by_lua_block x",
        &[
            "1:23: the Lua block that opens here is not closed",
            "2:2: the file ends inside \"x\", a \";\" is missing",
        ],
    );
}

#[test]
fn blocks_without_end_are_flattened() {
    let config = load_text(&"a {".repeat(5000));
    let mut depth = 0;
    let mut block = &config.root;
    while let Some(inner) = block.first().and_then(|it| it.block.as_ref()) {
        depth += 1;
        block = inner;
    }
    assert_eq!(depth, 101);
}

#[test]
fn a_byte_order_mark_and_an_endless_word_are_named() {
    recovers("\u{feff}a;", "a", &["1:1: the file begins with a byte order mark"]);
    let long = format!("a {};", "x".repeat(5000));
    recovers(&long, "a", &["1:3: a parameter of 5000 bytes is too long, nginx takes less than 4096"]);
}
