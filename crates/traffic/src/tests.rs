//! That the sums do not depend on how a log is read: fast or slowly, in one piece or in many, in whichever order.

use nginx_logs::Carrier;
use nginx_logs::access::{Escape, Format};
use proptest::prelude::*;
use snapshot::Traffic;

use super::*;

const MAIN: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \
    \"$http_user_agent\" rt=$request_time uct=\"$upstream_connect_time\" uht=\"$upstream_header_time\" \
    urt=\"$upstream_response_time\" ua=\"$upstream_addr\" us=\"$upstream_status\"";
const JSON: &str = "{\"time\":\"$time_iso8601\",\"remote_addr\":\"$remote_addr\",\"request\":\"$request\",\"status\":$status,\
    \"rt\":$request_time,\"uct\":\"$upstream_connect_time\",\"urt\":\"$upstream_response_time\",\"ua\":\"$upstream_addr\",\
    \"us\":\"$upstream_status\",\"host\":\"$host\"}";

fn formats() -> [Format; 3] {
    [
        Format::compile(MAIN, Escape::Default),
        Format::compile(JSON, Escape::Json),
        Format::compile("$msec|$status|$body_bytes_sent|$request_time|$upstream_addr|$request", Escape::None),
    ]
}

/// A line with these values; what the format does not have is not used.
fn line(format: &Format, value: impl Fn(&str) -> String) -> String {
    let mut line = format.text();
    for name in format.variables() {
        line = line.replacen(&format!("${{{name}}}"), &value(name), 1);
    }
    line
}

/// Endings of requests: status, and of the tries the addresses, statuses, times of connecting and of answering.
const ENDINGS: [[&str; 5]; 10] = [
    ["200", "10.0.0.1:80", "200", "0.001", "0.020"],
    ["200", "10.0.0.2:80", "200", "0.000", "1.500"],
    ["502", "10.0.0.1:80", "502", "-", "0.000"],
    ["200", "10.0.0.1:80, 10.0.0.2:80", "502, 200", "-, 0.001", "0.002, 0.030"],
    ["200", "10.0.0.1:80 : unix:/a.sock", "200 : 200", "0.001 : 0.000", "0.002 : 0.030"],
    ["504", "10.0.0.1:80, 10.0.0.2:80", "504, 504", "-, -", "60.000, 60.001"],
    ["404", "-", "-", "-", "-"],
    ["499", "10.0.0.1:80", "-", "0.001", "5"],
    ["200", "10.0.0.1:80", "200", "0.001, 0.002", "0.020"],
    ["x", "10.0.0.1:80, ", "20x", "", "1.2.3"],
];

/// Ending, path, minute, second, whether a carriage return ends it, and bytes that do not belong there.
type Drawn = (usize, usize, u32, u32, bool, Vec<(usize, u8)>);

fn access_line() -> impl Strategy<Value = Drawn> {
    let hostile = prop_oneof![
        6 => Just(Vec::new()),
        1 => proptest::collection::vec((0_usize..300, any::<u8>()), 1..3),
    ];
    (0_usize..ENDINGS.len(), 0_usize..4, 0_u32..5, 0_u32..60, any::<bool>(), hostile)
}

fn access_log(format: &Format, lines: &[Drawn]) -> Vec<u8> {
    let mut log = Vec::new();
    for (ending, path, minute, second, returns, hostile) in lines {
        let [status, addr, try_status, connect, response] = ENDINGS[*ending];
        let undefined =
            |it: &str| if it == "-" && format.escape() != Escape::Default { "" } else { it }.to_owned();
        let text = line(format, |name| match name {
            "remote_addr" => format!("10.1.0.{path}"),
            "time_local" => format!("02/May/2026:12:{minute:02}:{second:02} +0000"),
            "time_iso8601" => format!("2026-05-02T12:{minute:02}:{second:02}+00:00"),
            "msec" => format!("1777723{minute:01}{second:02}.123"),
            "request" => ["GET /a/17?x HTTP/1.1", "POST /b HTTP/1.1", "\\x16\\x03", "-"][*path].to_owned(),
            "status" => status.to_owned(),
            "body_bytes_sent" => format!("{}", second * 100),
            "request_time" => format!("{second}.{minute:03}"),
            "host" => "a.example".to_owned(),
            "upstream_addr" => undefined(addr),
            "upstream_status" => undefined(try_status),
            "upstream_connect_time" | "upstream_header_time" => undefined(connect),
            "upstream_response_time" => undefined(response),
            _ => "-".to_owned(),
        });
        let mut text = text.into_bytes();
        for (at, byte) in hostile {
            if let Some(to) = text.get_mut(*at).filter(|_| *byte != b'\n') {
                *to = *byte;
            }
        }
        log.extend(text);
        log.extend(if *returns && hostile.len() > 1 { b"\r\n".as_slice() } else { b"\n" });
    }
    log
}

const ENTRIES: [&str; 9] = [
    "[error] 7#7: *1 connect() failed (111: Connection refused) while connecting to upstream, client: 10.0.0.1, server: a, \
     request: \"GET / HTTP/1.1\", upstream: \"http://10.0.0.1:80/\", host: \"a\"",
    "[error] 7#7: *2 upstream timed out (110: Connection timed out) while reading response header from upstream, client: \
     10.0.0.1, server: a, request: \"GET / HTTP/1.1\", upstream: \"http://10.0.0.2:80/\", host: \"a\", referrer: \"b\"",
    "[error] 7#7: *3 FastCGI sent in stderr: \"x\ny\" while reading response header from upstream, client: 10.0.0.1, server: a, \
     request: \"GET / HTTP/1.1\", upstream: \"fastcgi://unix:/a.sock:\", host: \"a\"",
    "[error] 7#7: *4 open() \"/srv/x\" failed (2: No such file or directory), client: ::1, server: a, request: \"GET /x \
     HTTP/1.1\", host: \"a\"",
    "[notice] 7#7: signal process started",
    "[alert] 7#7: worker process 9 exited on signal 11",
    "[info] 7#7: *5 client 10.0.0.1 closed keepalive connection",
    "[error] 7#7: *6 upstream timed out (110: Connection timed out) while reading response header from upstream, client: \
     10.0.0.1, server: , request: \"GET /x HTTP/1.1\", upstream: \"http://unix:/a.sock/x\"",
    "[nonsense]",
];

/// Counts parts of one log, each in a tally of its own, and puts these together in that order.
fn count(
    scanner: &Scanner,
    options: &Options,
    parts: &[(u64, u64, &[u8])],
    order: &[usize],
) -> (Traffic, Vec<Kept>) {
    let mut lines = Vec::new();
    let mut tallies: Vec<Option<Tally>> = Vec::new();
    for (index, offset, bytes) in parts {
        let mut tally = Tally::new(options);
        let block = Block { source: 0, index: *index, offset: *offset, bytes };
        lines.push(scanner.scan(&block, &mut tally));
        tallies.push(Some(tally));
    }
    let mut all = Tally::new(options);
    order.iter().filter_map(|it| tallies[*it].take()).for_each(|it| all.merge(it));
    all.finish(|_, block| 1 + lines[..block as usize].iter().sum::<u64>())
}

fn cut(log: &[u8], cuts: &[usize], begins: impl Fn(&[u8]) -> bool) -> Vec<(u64, u64, Vec<u8>)> {
    let starts = (1..log.len()).filter(|it| log[it - 1] == b'\n' && begins(&log[*it..])).collect::<Vec<_>>();
    let mut places: Vec<usize> =
        cuts.iter().filter(|_| !starts.is_empty()).map(|it| starts[it % starts.len()]).collect();
    places.extend([0, log.len()]);
    places.sort_unstable();
    places.dedup();
    (0..)
        .zip(places.windows(2))
        .map(|(index, it)| (index, it[0] as u64, log[it[0]..it[1]].to_vec()))
        .collect()
}

#[track_caller]
fn agree_in_parts(
    scanner: &Scanner,
    options: &Options,
    log: &[u8],
    cuts: &[usize],
    begins: impl Fn(&[u8]) -> bool,
) {
    let parts = cut(log, cuts, begins);
    let parts: Vec<_> =
        parts.iter().map(|(index, offset, bytes)| (*index, *offset, bytes.as_slice())).collect();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|it| (it * 7919 + cuts.len()) % 13);
    let whole = count(scanner, options, &[(0, 0, log)], &[0]);
    let parted = count(scanner, options, &parts, &order);
    assert_eq!(whole.0, parted.0);
    let lines = |kept: &[Kept]| -> Vec<LogLines> { kept.iter().map(|it| it.lines.clone()).collect() };
    assert_eq!(lines(&whole.1), lines(&parted.1));
}

fn options() -> Options {
    let window =
        Window { from: "2026-05-02T12:01:00Z".parse().unwrap(), to: "2026-05-02T12:03:30Z".parse().unwrap() };
    Options { by: vec![By::Url, By::Reason], window: Some(window), ..Options::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn an_access_log_says_the_same_however_it_is_read(
        lines in proptest::collection::vec(access_line(), 1..60),
        cuts in proptest::collection::vec(any::<usize>(), 0..5),
        format in 0_usize..3,
        asks in any::<bool>(),
    ) {
        let format = &formats()[format];
        let log = access_log(format, &lines);
        let options = if asks { options() } else { Options::default() };
        let shape = Shape { carrier: Carrier::None, kinds: vec![Kind::Access(format.clone())] };
        let scanner = Scanner::new(shape.clone(), &options);
        agree_in_parts(&scanner, &options, &log, &cuts, |_| true);

        let slow = Scanner { plans: scanner.plans.iter().cloned().map(Plan::slow).collect(), ..scanner.clone() };
        let fast = count(&scanner, &options, &[(0, 0, &log)], &[0]);
        prop_assert_eq!(fast, count(&slow, &options, &[(0, 0, &log)], &[0]));
    }

    #[test]
    fn an_error_log_says_the_same_in_parts(
        lines in proptest::collection::vec((0_usize..ENTRIES.len(), 0_u32..60), 1..60),
        cuts in proptest::collection::vec(any::<usize>(), 0..5),
    ) {
        let log: String =
            lines.iter().map(|(it, second)| format!("2026/05/02 12:00:{second:02} {}\n", ENTRIES[*it])).collect();
        let options = Options::default();
        let scanner = Scanner::new(Shape { carrier: Carrier::None, kinds: vec![Kind::Error] }, &options);
        let begins = |it: &[u8]| nginx_logs::error::time_of_line(it).is_some();
        agree_in_parts(&scanner, &options, log.as_bytes(), &cuts, begins);
    }
}

/// The sums of one log.
fn read(kind: Kind, log: &str, options: &Options) -> (Traffic, Vec<Kept>) {
    let scanner = Scanner::new(Shape { carrier: Carrier::None, kinds: vec![kind] }, options);
    count(&scanner, options, &[(0, 0, log.as_bytes())], &[0])
}

fn main_line(minute: u32, ending: [&str; 5]) -> String {
    let [status, addr, try_status, connect, response] = ending;
    format!(
        "10.1.0.1 - - [02/May/2026:12:{minute:02}:00 +0000] \"GET /a/17?x HTTP/1.1\" {status} 100 \"-\" \"x\" rt={response} \
         uct=\"{connect}\" uht=\"-\" urt=\"{response}\" ua=\"{addr}\" us=\"{try_status}\"\n"
    )
}

fn main_log(lines: &[String]) -> (Traffic, Vec<Kept>) {
    read(Kind::Access(Format::compile(MAIN, Escape::Default)), &lines.concat(), &Options::default())
}

#[test]
fn a_retry_that_hid_a_failure_is_counted_at_both_servers() {
    let (traffic, kept) = main_log(&[
        main_line(1, ["200", "10.0.0.1:80, 10.0.0.2:80", "502, 200", "-, 0.001", "0.002, 0.030"])
            .replace("rt=0.002, 0.030", "rt=0.032"),
        main_line(2, ["200", "10.0.0.2:80", "200", "0.001", "0.030"]),
    ]);
    assert_eq!((traffic.requests, traffic.failed, traffic.hidden), (2, 0, 1));
    let [first, second] = traffic.upstreams.as_slice() else { panic!("{:?}", traffic.upstreams) };
    assert_eq!((first.tries.clone(), first.hidden, first.finals.len()), ([(502, 1)].into(), 1, 0));
    assert_eq!((second.tries.clone(), second.hidden), ([(200, 2)].into(), 0));
    assert_eq!(second.finals, [(200, 2)].into());
    assert_eq!(second.response_time.unwrap().p50, 0.03);
    let at: Vec<u64> = kept[0].lines.lines.iter().map(|it| it.line).collect();
    assert_eq!(at, [1, 2]);
    assert_eq!(kept[0].lines.successes[0].upstream, "10.0.0.2:80");
}

#[test]
fn a_minute_tells_which_upstream_failed_with_which_status() {
    let (traffic, _) = main_log(&[
        main_line(1, ["200", "10.0.0.1:80", "200", "0.000", "0.002"]),
        main_line(1, ["502", "10.0.0.1:80", "502", "-", "0.000"]),
        main_line(1, ["499", "10.0.0.1:80", "-", "0.000", "5.000"]),
        main_line(2, ["503", "-", "-", "-", "-"]).replace("rt=-", "rt=0.000"),
    ]);
    let steps: Vec<_> = traffic.steps.iter().map(|it| (it.requests, it.failed, it.errors.clone())).collect();
    assert_eq!(steps[0], (3, 2, vec![("10.0.0.1:80".to_owned(), 502, 1)]));
    assert_eq!(steps[1], (1, 1, vec![("-".to_owned(), 503, 1)]));
    let url = traffic.breakdowns.iter().find(|it| it.by == "url").unwrap();
    assert_eq!((url.rows[0].key.as_str(), url.rows[0].failed, url.of_all), ("/a/{n}", 3, false));
}

#[test]
fn a_hole_in_a_line_is_no_part_of_it_wherever_the_log_is_cut() {
    let good = main_line(1, ["502", "10.0.0.1:80", "502", "-", "0.000"]);
    let torn = good.replace("\"x\"", "\"\0\0\0\0\"");
    let kind = Kind::Access(Format::compile(MAIN, Escape::Default));
    let options = Options::default();
    let scanner = Scanner::new(Shape { carrier: Carrier::None, kinds: vec![kind] }, &options);
    let log = [good.as_str(), &torn].concat();
    agree_in_parts(&scanner, &options, log.as_bytes(), &[good.len()], |_| true);
}

#[test]
fn what_nginx_says_between_requests_is_counted_as_what_it_is() {
    let entry = "2026/05/02 12:01:00 [error] 7#7: *1 connect() failed (111: Connection refused) while connecting to \
                 upstream, client: 10.1.0.1, server: a, request: \"GET / HTTP/1.1\", upstream: \"http://10.0.0.1:80/\"\n";
    let line = main_line(1, ["502", "10.0.0.1:80", "502", "-", "0.000"]);
    let (traffic, kept) = main_log(&[line.clone(), entry.to_owned(), line, "neither\n".to_owned()]);
    assert_eq!((traffic.requests, traffic.sources[0].records, traffic.sources[0].unparsed), (2, 3, 1));
    assert_eq!((traffic.symptoms[0].symptom.as_str(), traffic.symptoms[0].count), ("connect-refused", 1));
    let texts: Vec<_> = kept.iter().map(|it| (it.kind.name(), it.lines.lines.len())).collect();
    assert_eq!(texts, [("access", 2), ("error", 1)]);
}

#[test]
fn a_format_that_tells_no_upstream_says_nothing_of_one() {
    let log = "10.0.0.1 - - [02/May/2026:12:00:00 +0000] \"GET / HTTP/1.1\" 502 1 \"-\" \"-\"\n";
    let (traffic, _) = read(Kind::Access(Format::combined()), log, &Options::default());
    assert_eq!((traffic.failed, traffic.upstreams.len()), (1, 0));
    assert_eq!(traffic.request_time, None);
}

#[test]
fn lines_of_no_format_are_counted_and_shown() {
    let log = "not this\n10.0.0.1 - - [02/May/2026:12:00:00 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"\n\nnor this";
    let (traffic, _) = read(Kind::Access(Format::combined()), log, &Options::default());
    let source = &traffic.sources[0];
    assert_eq!((source.lines, source.records, source.unparsed), (4, 1, 2));
    assert_eq!(source.unparsed_samples, [(1, "not this".to_owned()), (4, "nor this".to_owned())]);
}

#[test]
fn only_the_statuses_asked_for_count() {
    let lines = [
        main_line(1, ["200", "10.0.0.1:80", "200", "0.000", "0.002"]),
        main_line(1, ["502", "10.0.0.1:80", "502", "-", "0.000"]),
    ];
    let options = Options { statuses: Some(StatusFilter(vec![(500, 599)])), ..Options::default() };
    let (traffic, _) = read(Kind::Access(Format::compile(MAIN, Escape::Default)), &lines.concat(), &options);
    assert_eq!((traffic.requests, traffic.statuses), (1, [(502, 1)].into()));
    assert_eq!((traffic.steps[0].requests, traffic.upstreams[0].response_time.unwrap().count), (1, 1));
}

#[test]
fn keys_beyond_the_limit_are_counted_together() {
    let lines: Vec<String> = (0..50)
        .map(|it| {
            main_line(1, ["502", "10.0.0.1:80", "502", "-", "0.000"])
                .replace("10.1.0.1", &format!("10.1.0.{it}"))
        })
        .collect();
    let options = Options { most_keys: 20, ..Options::default() };
    let (traffic, _) = read(Kind::Access(Format::compile(MAIN, Escape::Default)), &lines.concat(), &options);
    let clients = traffic.breakdowns.iter().find(|it| it.by == "client").unwrap();
    assert_eq!((clients.rows.len(), clients.not_told_apart), (20, 30));
}

#[test]
fn entries_of_an_error_log_are_counted_by_symptom_and_peer() {
    let log: String = ENTRIES.iter().map(|it| format!("2026/05/02 12:00:00 {it}\n")).collect();
    let (traffic, kept) = read(Kind::Error, &log, &Options::default());
    let count = |symptom: &str, upstream: &str| {
        traffic
            .symptoms
            .iter()
            .find(|it| it.symptom == symptom && it.upstream == upstream)
            .map_or(0, |it| it.count)
    };
    assert_eq!(count("connect-refused", "10.0.0.1:80"), 1);
    assert_eq!(count("read-timeout", "10.0.0.2:80"), 1);
    assert_eq!(count("read-timeout", "unix:/a.sock"), 1);
    assert_eq!(count("fastcgi-stderr", "unix:/a.sock"), 1);
    assert_eq!(count("worker-exit", ""), 1);
    assert_eq!(count("other", ""), 3);
    assert_eq!(
        (traffic.sources[0].records, traffic.sources[0].unparsed, traffic.sources[0].lines),
        (8, 1, 10)
    );
    // The information is not worth quoting.
    assert_eq!((kept[0].lines.lines.len(), kept[0].lines.lines[3].line), (7, 5));
}
