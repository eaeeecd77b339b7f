//! The program as a program: exit status, standard output and standard error.

use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn why502(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_why502"));
    // The zone decides what "14:30" means, and the rest decides about colour.
    command.args(arguments).env_clear().env("TZ", "UTC").stdin(Stdio::null());
    command
}

fn output(arguments: &[&str]) -> Output {
    why502(arguments).output().expect("the program starts")
}

fn stdout(output: &Output) -> &str {
    str::from_utf8(&output.stdout).expect("results are UTF-8")
}

fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).expect("messages are UTF-8")
}

/// Status, standard output and standard error as one text.
#[track_caller]
fn told(arguments: &[&str]) -> String {
    let output = output(arguments);
    let code = output.status.code().expect("no signal ended it");
    format!("exit status: {code}\n--- stdout\n{}--- stderr\n{}", stdout(&output), stderr(&output))
}

#[test]
fn an_unknown_word_is_refused_with_the_nearest_one() {
    insta::assert_snapshot!(told(&["explain", "connect-refusd"]));
}

#[test]
fn a_bundle_that_is_not_there_is_named() {
    insta::assert_snapshot!(told(&["--bundle", "/nonexistent/bundle.json.gz"]));
}

#[test]
fn a_bundle_that_is_none_is_refused() {
    let output = output(&["--bundle", "/dev/null"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with("error: the bundle cannot be read\n  where: /dev/null\n  why:   "));
}

#[test]
fn wrong_usage_ends_with_2_and_says_nothing_on_standard_output() {
    for arguments in [
        &["--since", "soon"][..],
        &["--until", "2h", "--since", "1h"],
        &["--probe", "hard"],
        &["--timeout", "0s"],
        &["--format", "xml"],
        &["logs", "x", "--status", "5x"],
        &["logs", "x", "--by", "colour"],
        &["logs", "x", "--top", "0"],
        &["logs", "x", "--timezone", "Mars/Olympus"],
        &["logs", "x", "--since", "soon"],
        &["logs", "x", "--since", "1h", "--until", "2h"],
        &["logs", "x", "--log-format", "main"],
        &["logs", "/nonexistent/access.log"],
        &["explain"],
        &["explain", "--list", "111"],
        &["explain", "nothing-of-that-kind"],
        &["frobnicate"],
        &["--bundle", "x", "--since", "1h"],
        &["--pid", "0"],
        &["lab", "run"],
        &["parse", "--timezone", "Nowhere/Land", "x"],
        &["parse", "--config", "/nonexistent/nginx.conf", "x"],
        &["lab", "run", "no-such-case"],
        &["lab", "try", "no-such-case"],
    ] {
        let output = output(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{arguments:?}");
        assert!(stderr(&output).starts_with("error: "), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn a_report_has_a_form_for_tickets_and_one_for_browsers() {
    for (format, beginning) in [("markdown", "## Faulty: "), ("html", "<!DOCTYPE html>\n")] {
        let output = output(&["demo", "--format", format]);
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).starts_with(beginning), "{}", stdout(&output));
    }
}

/// An access log and an error log, as nginx wrote them for requests that a dead backend got.
fn shop_logs(name: &str) -> Folder {
    const ACCESS: &[u8] = br#"10.0.0.9 - - [20/Nov/2026:15:00:00 +0000] "GET / HTTP/1.1" 200 512 "-" "curl/8"
10.0.0.9 - - [20/Nov/2026:15:00:01 +0000] "GET /cart HTTP/1.1" 502 157 "-" "curl/8"
10.0.0.9 - - [20/Nov/2026:15:01:02 +0000] "GET /cart HTTP/1.1" 502 157 "-" "curl/8"
"#;
    const ERROR: &[u8] = br#"2026/11/20 15:00:01 [error] 7#7: *2 connect() failed (111: Connection refused) while connecting to upstream, client: 10.0.0.9, server: shop.example.com, request: "GET /cart HTTP/1.1", upstream: "http://127.0.0.1:8080/cart", host: "shop.example.com"
2026/11/20 15:01:02 [error] 7#7: *3 connect() failed (111: Connection refused) while connecting to upstream, client: 10.0.0.9, server: shop.example.com, request: "GET /cart HTTP/1.1", upstream: "http://127.0.0.1:8080/cart", host: "shop.example.com"
"#;
    Folder::with(name, &[("access.log", ACCESS), ("error.log", ERROR)])
}

fn report_of(arguments: &[&str]) -> Value {
    let output = output(&[&["logs"], arguments, &["--format", "json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {}", stderr(&output)))
}

#[test]
fn logs_alone_say_what_failed() {
    let logs = shop_logs("logs-both");
    let (access, error) = (logs.path("access.log"), logs.path("error.log"));
    let report = report_of(&[&access, &error]);
    let traffic = &report["traffic"];
    assert_eq!(report["schema"], "why502.report/1");
    assert_eq!((&traffic["requests"], &traffic["failed"]), (&3.into(), &2.into()), "{traffic}");
    assert_eq!(traffic["statuses"]["502"], 2);
    assert_eq!(traffic["symptoms"][0]["symptom"], "connect-refused");
    assert_eq!(traffic["steps"].as_array().map(Vec::len), Some(2));
    let symptom = &report["symptoms"][0];
    assert!(
        symptom["sample"]["line"].as_str().is_some_and(|it| it.contains("Connection refused")),
        "{symptom}"
    );
    let request = symptom["sample_request"]["line"].as_str().expect("the entry was joined to its request");
    assert!(request.contains("\"GET /cart HTTP/1.1\" 502"), "{request}");
}

#[test]
fn the_text_of_logs_has_a_timeline_and_names_what_was_read() {
    let logs = shop_logs("logs-text");
    let (access, error) = (logs.path("access.log"), logs.path("error.log"));
    let output = output(&["logs", &access, &error, "--by", "minute"]);
    let text = stdout(&output);
    assert!(matches!(output.status.code(), Some(1 | 3)), "{text}");
    assert!(text.starts_with("why502: "), "{text}");
    assert!(text.contains("3, 2 of them failed (67 %): 2 with 502"), "{text}");
    assert!(
        text.contains("\n  15:00         2       1  ########################  502 connect-refused\n"),
        "{text}"
    );
    assert!(text.contains("  2026-11-20 15:01\n"), "{text}");
    assert!(text.contains(&format!("{access}: access as combined, 3 lines")), "{text}");
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_window_and_statuses_narrow_what_is_counted() {
    let logs = shop_logs("logs-window");
    let access = logs.path("access.log");
    let counted = |arguments: &[&str]| {
        report_of(&[&[access.as_str()], arguments].concat())["traffic"]["requests"].clone()
    };
    assert_eq!(counted(&["--since", "2026-11-20T15:01:00Z"]), 1);
    // A duration counts back from the end of the logs, which may be long ago.
    assert_eq!(counted(&["--since", "30s"]), 1);
    assert_eq!(counted(&["--until", "2026-11-20 15:00:30"]), 2);
    assert_eq!(counted(&["--until", "2026-11-20 16:00:30", "--timezone", "+01:00"]), 2);
    assert_eq!(counted(&["--status", "502"]), 2);
    assert_eq!(counted(&["--status", "2xx,503-599"]), 1);
}

#[test]
fn a_log_that_cannot_be_read_is_named_and_the_others_are_read() {
    let logs = shop_logs("logs-unreadable");
    let output =
        output(&["logs", &logs.path("access.log"), "/nonexistent/error.log", "--format", "markdown"]);
    assert!(
        stderr(&output)
            .starts_with("error: a log cannot be read\n  where: /nonexistent/error.log\n  why:   ")
    );
    assert!(stdout(&output).contains("`/nonexistent/error.log` was not read"), "{}", stdout(&output));
    assert_ne!(output.status.code(), Some(2));
}

#[test]
fn the_page_of_logs_is_one_file() {
    let logs = shop_logs("logs-page");
    let output = output(&["logs", &logs.path("access.log"), "--format", "html"]);
    assert!(stdout(&output).starts_with("<!DOCTYPE html>\n"), "{}", stderr(&output));
    assert!(stdout(&output).contains("<svg"), "it has a chart");
}

#[test]
fn an_errno_is_explained() {
    let output = output(&["explain", "ECONNREFUSED"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).starts_with("111 ECONNREFUSED: Connection refused\n"));
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_symptom_is_explained_with_the_causes_that_it_can_have() {
    let output = output(&["explain", "connect-refused", "--format", "json"]);
    let explained: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(explained["kind"], "symptom");
    assert!(!explained["causes"].as_array().expect("a list").is_empty());
}

#[test]
fn a_cause_is_explained_by_its_page() {
    let output = output(&["explain", "wrong-upstream-port"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).starts_with("wrong-upstream-port\n  "));
    assert!(stdout(&output).contains("\nHow we know\n"));
}

#[test]
fn a_line_is_taken_from_standard_input_and_its_escapes_stay_text() {
    let mut child = why502(&["explain", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let line = b"2026/05/02 15:02:04 [error] 7#7: *1 connect() failed (111: Connection refused) while connecting to upstream, \
        client: 10.0.0.1, server: a, request: \"GET /\x1b[2J\xff HTTP/1.1\", upstream: \"http://127.0.0.1:1/\"\n";
    child.stdin.take().expect("piped").write_all(line).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("GET /\\x1b[2J\u{fffd} HTTP/1.1"), "{}", stdout(&output));
    assert!(!output.stdout.contains(&0x1b));
}

#[test]
fn the_list_names_causes_and_symptoms() {
    let output = output(&["explain", "--list"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("\nThe address nginx dials\n"));
    assert!(stdout(&output).contains("wrong-upstream-port"));
    assert!(stdout(&output).contains("connect-refused, connect-timeout"));
}

#[test]
fn the_demonstration_needs_nothing_and_succeeds() {
    let output = output(&["demo"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).starts_with("why502: "));
    assert!(stderr(&output).starts_with("why502 demo: a recorded incident"));
    assert!(!output.stdout.contains(&0x1b), "a pipe gets no colour");
}

#[test]
fn the_demonstration_names_the_full_pool() {
    let output = output(&["demo", "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let first = &report["causes"][0];
    assert_eq!((&first["id"], &first["certainty"]), (&"php-fpm-pool-exhausted".into(), &"confirmed".into()));
}

#[test]
fn the_readme_shows_what_the_demonstration_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let readme = std::fs::read_to_string(path).expect("README.md is there");
    let (before, rest) = readme.split_once("$ why502 demo\n").expect("README.md shows the demonstration");
    let (_, after) = rest.split_once("```").expect("the block ends");
    let fresh = format!("{before}$ why502 demo\n{}```{after}", stdout(&output(&["demo"])));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, fresh).expect("README.md can be written");
    } else {
        assert!(readme == fresh, "README.md shows an old demonstration: run UPDATE=1 cargo test -p why502");
    }
}

#[test]
fn colour_comes_when_it_is_asked_for() {
    assert!(output(&["demo", "--color", "always"]).stdout.contains(&0x1b));
    let output = why502(&["demo"]).env("NO_COLOR", "1").output().expect("the program starts");
    assert!(!output.stdout.contains(&0x1b));
}

#[test]
fn json_is_json_and_nothing_else() {
    let output = output(&["demo", "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(report["schema"], "why502.report/1");
}

#[test]
fn any_host_gets_an_answer_in_time() {
    let started = std::time::Instant::now();
    let output = output(&["diagnose", "--since", "1m", "--probe", "none", "--format", "json"]);
    assert!(started.elapsed().as_secs() < 60, "the default deadline is three seconds");
    let report: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let status = match report["verdict"].as_str() {
        Some("healthy" | "degraded") => 0,
        Some("faulty") => 1,
        Some("inconclusive") => 3,
        other => panic!("{other:?} is no verdict"),
    };
    assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
}

#[test]
fn a_capture_is_diagnosed_as_the_host_was() {
    let folder = std::env::temp_dir().join(format!("why502-capture-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
    let file = folder.join("capture.json.gz");
    let path = file.to_str().expect("a plain path");
    let written = output(&["capture", "-o", path, "--probe", "none"]);
    assert_eq!((written.status.code(), stdout(&written)), (Some(0), format!("{path}\n").as_str()));
    assert!(stderr(&written).contains("log lines and configuration"));
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).expect("it was written"));
    assert_eq!(mode & 0o777, 0o600);

    let report = output(&["--bundle", path, "--format", "json"]);
    assert!(serde_json::from_slice::<Value>(&report.stdout).is_ok(), "{}", stderr(&report));
    let again = output(&["--bundle", path, "--format", "json"]);
    assert_eq!(stdout(&report), stdout(&again), "one capture, one report");

    let refused = output(&["capture", "-o", path, "--probe", "none"]);
    assert_eq!(refused.status.code(), Some(2), "nothing is overwritten");
    std::fs::remove_dir_all(&folder).expect("it is ours");
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let mut child = why502(&["explain", "--list", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut said).expect("it is UTF-8");
    assert_eq!((child.wait().expect("it ends").code(), said.as_str()), (Some(0), ""));
}

#[test]
fn every_verb_has_help_with_examples_in_80_columns() {
    let lab = [&["lab"][..], &["lab", "list"], &["lab", "run"], &["lab", "try"]];
    let others = [&[][..], &["diagnose"], &["logs"], &["explain"], &["demo"], &["capture"], &["completions"]];
    for verb in others.into_iter().chain(lab) {
        let output = output(&[verb, &["--help"]].concat());
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).contains("Examples:"), "{verb:?}");
        let long: Vec<&str> = stdout(&output).lines().filter(|it| it.chars().count() > 80).collect();
        assert!(long.is_empty(), "{verb:?}: {long:?}");
    }
}

#[test]
fn the_cases_of_the_lab_are_listed_by_cause_without_root() {
    let text = output(&["lab", "list"]);
    assert_eq!(text.status.code(), Some(0), "{}", stderr(&text));
    assert!(stdout(&text).contains("\nbackend-hung\n  backend-hung-"), "{}", stdout(&text));
    let list: Value =
        serde_json::from_slice(&output(&["lab", "list", "--format", "json"]).stdout).expect("it is JSON");
    let first = &list["cases"][0];
    assert!(first["id"].as_str().expect("text").starts_with(first["cause"].as_str().expect("text")));
}

#[test]
fn practising_without_a_terminal_is_refused_before_anything_boots() {
    let output = output(&["lab", "try"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with("error: practising needs a terminal\n"), "{}", stderr(&output));
}

#[test]
fn completions_are_printed() {
    let output = output(&["completions", "bash"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("_why502"));
}

/// A folder with these files, which goes when the test ends.
struct Folder(std::path::PathBuf);

impl Folder {
    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn with(name: &str, files: &[(&str, &[u8])]) -> Folder {
        let path = std::env::temp_dir().join(format!("why502-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder of our own");
        for (name, content) in files {
            std::fs::write(path.join(name), content).expect("a file in it");
        }
        Folder(path)
    }

    /// What the program tells when it runs there.
    #[track_caller]
    fn told(&self, arguments: &[&str]) -> String {
        let output = why502(arguments).current_dir(&self.0).output().expect("the program starts");
        let code = output.status.code().expect("no signal ended it");
        format!("exit status: {code}\n--- stdout\n{}--- stderr\n{}", stdout(&output), stderr(&output))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of it is in the way of nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const ACCESS: &[u8] =
    b"10.0.0.9 [20/Nov/2026:15:00:00 +0100] \"GET /a HTTP/1.1\" 502 0.001 10.0.0.1:80 502 - -\ntorn\n";
const ERROR: &[u8] = b"2026/11/20 15:00:00 [notice] 1#1: reconfiguring\n";

#[test]
fn every_record_is_printed_and_what_became_of_the_lines_is_told_beside() {
    let conf = b"http { log_format timed '$remote_addr [$time_local] \"$request\" $status '\n'$request_time $upstream_addr \
                 $upstream_status $upstream_connect_time $upstream_header_time'; }";
    let folder = Folder::with("parse", &[("access.log", ACCESS), ("error.log", ERROR), ("nginx.conf", conf)]);
    insta::assert_snapshot!(folder.told(&["parse", "--config", "nginx.conf", "access.log", "error.log"]));
}

#[test]
fn what_can_be_read_is_printed_though_some_cannot() {
    let folder = Folder::with("parse-some", &[("error.log", ERROR)]);
    insta::assert_snapshot!(folder.told(&["parse", "gone.log", "error.log", "--format", "csv"]));
}

#[test]
fn what_is_no_log_format_is_refused() {
    let folder = Folder::with("parse-none", &[("access.log", ACCESS)]);
    insta::assert_snapshot!(folder.told(&["parse", "--log-format", "timed", "access.log"]));
}
