//! How text becomes a tree: quoting, blocks, includes.

mod common;

use common::{load_files, load_text};
use nginx_conf::{Config, Directive};

/// A tree on one line: words separated by `|`, blocks in braces.
fn outline(directives: &[Directive]) -> String {
    let one = |directive: &Directive| {
        let mut words = vec![directive.name.as_str()];
        words.extend(directive.args.iter().map(|arg| arg.text.as_str()));
        let words = words.join("|");
        match &directive.block {
            Some(block) => format!("{words}{{{}}}", outline(block)),
            None => format!("{words};"),
        }
    };
    directives.iter().map(one).collect()
}

#[track_caller]
fn reads(text: &str, expected: &str) {
    let config = load_text(text);
    let problems: Vec<_> = config.problems.iter().map(|it| &it.message).collect();
    assert!(problems.is_empty(), "{text}: {problems:?}");
    assert_eq!(outline(&config.root), expected, "{text}");
}

#[test]
fn words_are_cut_at_blanks_semicolons_and_braces() {
    reads("a  b\tc\r\n d;e;", "a|b|c|d;e;");
    reads("a{b c;}d{}", "a{b|c;}d{}");
    reads("a b}c;", "a|b}c;");
    reads("a b#c; # comment ; {\n#x\nd;", "a|b#c;d;");
}

#[test]
fn quotes_hold_everything_and_open_only_at_the_beginning_of_a_word() {
    reads("a \"b ; { } # 'c'\" 'd \"e\"';", "a|b ; { } # 'c'|d \"e\";");
    reads("a b\"c d'e;", "a|b\"c|d'e;");
    reads("a '' \"\";", "a||;");
    reads("a 'b\nc';", "a|b\nc;");
    reads("'a' b;", "a|b;");
    reads("a 'b'{c;}", "a|b{c;}");
    reads("if ($a = \"b\") { c; }", "if|($a|=|b|){c;}");
}

#[test]
fn backslashes_escape_as_nginx_does() {
    reads(r#"a "b\"c" 'd\'e' f\\g;"#, r#"a|b"c|d'e|f\g;"#);
    reads(r"a b\ c\;d \{e;", r"a|b\ c\;d|\{e;");
    reads(r"a ~*\.(jpg|png)$ \d+;", r"a|~*\.(jpg|png)$|\d+;");
    reads(r"a b\tc\nd\re;", "a|b\tc\nd\re;");
}

#[test]
fn a_brace_after_a_dollar_belongs_to_the_word() {
    reads("a http://${b}:80/${c} ${d};", "a|http://${b}:80/${c}|${d};");
    reads("a \"x${b}y\";", "a|x${b}y;");
    reads("a $b{c;}", "a|$b{c;}");
}

#[test]
fn bodies_of_tables_are_ordinary_directives() {
    reads(
        "map $a $b { default x; ~^/y(?<z>.*)$ $z; 'q r' s; hostnames; }",
        "map|$a|$b{default|x;~^/y(?<z>.*)$|$z;q r|s;hostnames;}",
    );
    reads("geo $g { ranges; 10.0.0.0-10.0.0.9 x; }", "geo|$g{ranges;10.0.0.0-10.0.0.9|x;}");
    reads("types { text/html html htm; }", "types{text/html|html|htm;}");
    reads("split_clients $a $b { 0.5% .one; * \"\"; }", "split_clients|$a|$b{0.5%|.one;*|;}");
    reads("match ok { status 200; body !~ \"x y\"; }", "match|ok{status|200;body|!~|x y;}");
    reads("mail { server { listen 25; protocol smtp; } }", "mail{server{listen|25;protocol|smtp;}}");
}

#[test]
fn lua_is_one_argument_up_to_its_own_brace() {
    reads(
        "content_by_lua_block { local t = { a = '}' } -- } comment\n ngx.say([==[ } ]] ]==], \"\\\"}\") --[[ } ]] } x;",
        "content_by_lua_block| local t = { a = '}' } -- } comment\n ngx.say([==[ } ]] ]==], \"\\\"}\") --[[ } ]] ;x;",
    );
    reads("set_by_lua_block $a { return t[1] } x;", "set_by_lua_block|$a| return t[1] ;x;");
}

#[test]
fn places_are_counted_from_one_in_lines_and_characters() {
    let config = load_text("a;\n  bü c; dä e;\n'f\ng' h;");
    let places: Vec<_> = config
        .root
        .iter()
        .flat_map(|it| [it.span, it.args.first().map_or(it.span, |arg| arg.span)])
        .map(|span| config.exact_place(span).replace("/etc/nginx/nginx.conf:", ""))
        .collect();
    assert_eq!(places, ["1:1", "1:1", "2:3", "2:6", "2:9", "2:12", "3:1", "4:4"]);
    assert_eq!(config.place(config.root[1].span), "/etc/nginx/nginx.conf:2");
    assert_eq!(config.text(config.root[1].span), "bü c;".as_bytes());
    assert_eq!(config.text(config.root[3].span), b"'f\ng' h;");
}

#[test]
fn a_block_spans_from_its_name_to_its_brace() {
    let config = load_text(" a b { c; } d;");
    assert_eq!(config.text(config.root[0].span), b"a b { c; }");
    assert_eq!(config.text(config.root[0].children()[0].span), b"c;");
}

#[test]
fn text_that_is_not_utf8_is_kept_in_the_file_and_readable_in_the_tree() {
    let main = std::path::Path::new("/n.conf");
    let files = nginx_conf::MemoryFiles([(main.into(), b"a \xff\xfe b;".to_vec())].into());
    let config = nginx_conf::load(&files, main);
    assert_eq!(outline(&config.root), "a|\u{fffd}\u{fffd}|b;");
    assert_eq!(config.text(config.root[0].args[0].span), b"\xff\xfe");
}

#[track_caller]
fn includes(files: &[(&str, &str)], expected: &str, problems: &[&str]) -> Config {
    let config = load_files(files);
    let seen: Vec<_> =
        config.problems.iter().map(|it| format!("{}: {}", config.exact_place(it.span), it.message)).collect();
    assert_eq!(seen, problems);
    assert_eq!(outline(&config.root), expected);
    config
}

#[test]
fn included_directives_stand_in_place_and_know_their_file() {
    let config = includes(
        &[
            ("/etc/nginx/nginx.conf", "a; b { include sub/*.conf; c; } include /opt/x.conf;"),
            ("/etc/nginx/sub/2.conf", "two;"),
            ("/etc/nginx/sub/1.conf", "one;\n include sub/deep/d;"),
            ("/etc/nginx/sub/.hidden.conf", "no;"),
            ("/etc/nginx/sub/deep/d", "deep;"),
            ("/opt/x.conf", "x;"),
        ],
        "a;b{one;deep;two;c;}x;",
        &[],
    );
    let inside = config.root[1].children();
    assert_eq!(config.place(inside[1].span), "/etc/nginx/sub/deep/d:1");
    assert_eq!(config.includes.len(), 3);
    assert_eq!(config.files.len(), 5);
    assert!(config.is_complete());
}

#[test]
fn a_missing_file_is_a_problem_and_a_pattern_without_match_is_none() {
    includes(
        &[("/etc/nginx/nginx.conf", "include none/*.conf;\n  include none.conf;\nb;")],
        "b;",
        &["/etc/nginx/nginx.conf:2:11: cannot read /etc/nginx/none.conf: no such file or directory"],
    );
    let config = nginx_conf::load(&nginx_conf::MemoryFiles::default(), "/n.conf".as_ref());
    assert_eq!(config.place(config.problems[0].span), "/n.conf");
    assert!(!config.is_complete());
}

#[test]
fn files_that_include_each_other_end() {
    includes(
        &[("/n/a", "x; include b;"), ("/n/b", "y; include ../n/./a; z;")],
        "x;y;z;",
        &["/n/b:1:12: /n/../n/./a includes itself"],
    );
    includes(&[("/n/a", "include *;")], "", &["/n/a:1:9: /n/a includes itself"]);
}

#[test]
fn a_file_included_twice_is_held_once_and_its_problems_are_told_once() {
    let config = includes(
        &[("/n/a", "b { include p; } c { include p; }"), ("/n/p", "x; ;")],
        "b{x;}c{x;}",
        &["/n/p:1:4: unexpected \";\""],
    );
    assert_eq!(config.files.len(), 2);
}

#[test]
fn files_that_double_at_each_step_do_not_unfold_without_end() {
    let names: Vec<String> = (0..=60).map(|number| format!("/n/{number}")).collect();
    let texts: Vec<String> = (1..=60).map(|next| format!("include {next}; include {next};")).collect();
    let padding = "#".repeat(1 << 20) + "\nx;";
    let mut files: Vec<(&str, &str)> =
        names.iter().zip(&texts).map(|(name, text)| (name.as_str(), text.as_str())).collect();
    files.push((&names[60], &padding));
    let config = load_files(&files);
    assert!(config.problems.iter().any(|problem| problem.message.contains("repeated includes")));
}

#[test]
fn directives_of_the_command_line_come_first() {
    let main = std::path::Path::new("/n.conf");
    let files = nginx_conf::MemoryFiles([(main.into(), b"b;".to_vec())].into());
    let config = nginx_conf::load_with_globals(&files, main, "daemon off; error_log stderr");
    assert_eq!(outline(&config.root), "daemon|off;error_log|stderr;b;");
    assert_eq!(config.place(config.root[0].span), "-g:1");
}
