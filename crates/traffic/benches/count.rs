//! Counting made-up logs, in bytes per second: `cargo bench -p traffic`.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use nginx_logs::access::{Escape, Format};
use nginx_logs::split::{Scratch, Splitter};
use nginx_logs::{Block, Shape};
use traffic::{By, Options, Scanner, Tally};

const MAIN: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \
    \"$http_user_agent\" rt=$request_time uct=\"$upstream_connect_time\" uht=\"$upstream_header_time\" \
    urt=\"$upstream_response_time\" ua=\"$upstream_addr\" us=\"$upstream_status\"";
const COMBINED: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \
    \"$http_user_agent\"";
const JSON: &str = "{\"time\":\"$time_iso8601\",\"remote_addr\":\"$remote_addr\",\"request\":\"$request\",\"status\":$status,\
    \"body_bytes_sent\":$body_bytes_sent,\"request_time\":$request_time,\"upstream_addr\":\"$upstream_addr\",\
    \"upstream_status\":\"$upstream_status\",\"upstream_response_time\":\"$upstream_response_time\",\
    \"http_user_agent\":\"$http_user_agent\"}";
const LINES: u32 = 20_000;

fn main() {
    divan::main();
}

/// As many numbers as are asked for, the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Lines of an access log: one second each ten, one of fifty fails, of one in ten files the upstream is not asked.
fn access_log(text: &str, escape: Escape) -> (Format, Vec<u8>) {
    let format = Format::compile(text, escape);
    let mut numbers = Numbers(1);
    let mut log = String::new();
    for line in 0..LINES {
        let (minute, second) = (line / 600, line / 10 % 60);
        let (fails, is_file) = (numbers.below(50) == 0, numbers.below(10) == 0);
        let (page, server) = (numbers.below(5_000), numbers.below(4));
        let mut text = format.text();
        for name in format.variables() {
            let value = match name {
                "remote_addr" => format!("203.0.113.{}", numbers.below(256)),
                "time_local" => format!("02/May/2026:12:{minute:02}:{second:02} +0000"),
                "time_iso8601" => format!("2026-05-02T12:{minute:02}:{second:02}+00:00"),
                "request" if is_file => format!("GET /static/js/shop.{page:08x}.js HTTP/1.1"),
                "request" => format!("GET /api/v1/orders/{page}?page={server} HTTP/1.1"),
                "status" => if fails { "502" } else { "200" }.to_owned(),
                "body_bytes_sent" => numbers.below(100_000).to_string(),
                "http_user_agent" => {
                    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0".to_owned()
                }
                "request_time" => format!("0.{:03}", numbers.below(1_000)),
                _ if is_file || !name.starts_with("upstream_") => "-".to_owned(),
                "upstream_addr" => format!("10.0.0.{server}:8080"),
                "upstream_status" => if fails { "502" } else { "200" }.to_owned(),
                _ => format!("0.{:03}", numbers.below(1_000)),
            };
            text = text.replacen(&format!("${{{name}}}"), &value, 1);
        }
        log.push_str(&text);
        log.push('\n');
    }
    (format, log.into_bytes())
}

/// Entries of an error log about upstreams, files, limits and clients.
fn error_log() -> Vec<u8> {
    let mut numbers = Numbers(1);
    let mut log = String::new();
    for line in 0..LINES {
        let (minute, second) = (line / 600, line / 10 % 60);
        let (page, server) = (numbers.below(5_000), numbers.below(4));
        let upstream = format!(", upstream: \"http://10.0.0.{server}:8080/orders/{page}\"");
        let (level, message, upstream) = match numbers.below(10) {
            0..5 => (
                "error",
                "connect() failed (111: Connection refused) while connecting to upstream".to_owned(),
                upstream,
            ),
            5 | 6 => (
                "warn",
                format!(
                    "an upstream response is buffered to a temporary file /cache/2/01/{page:010} while reading upstream"
                ),
                upstream,
            ),
            7 => (
                "error",
                format!("limiting requests, excess: {server}.{page:03} by zone \"api\""),
                String::new(),
            ),
            _ => (
                "error",
                format!("open() \"/srv/www/{page:08x}.js\" failed (2: No such file or directory)"),
                String::new(),
            ),
        };
        log.push_str(&format!(
            "2026/05/02 12:{minute:02}:{second:02} [{level}] 7#7: *{line} {message}, client: 203.0.113.{server}, server: \
             shop.example.com, request: \"GET /orders/{page} HTTP/1.1\"{upstream}, host: \"shop.example.com\"\n"
        ));
    }
    log.into_bytes()
}

fn count(bencher: Bencher<'_, '_>, log: &[u8], formats: &[Format], by: &[By]) {
    let options = Options { by: by.to_vec(), ..Options::default() };
    let scanner = Scanner::new(Shape::detect(&log[..64 << 10], formats), &options);
    let block = Block { source: 0, index: 0, offset: 0, bytes: log };
    bencher.counter(BytesCount::of_slice(log)).with_inputs(|| Tally::new(&options)).bench_local_refs(
        |tally| {
            let lines = scanner.scan(black_box(&block), tally);
            assert_eq!(lines, u64::from(LINES));
        },
    );
}

#[divan::bench]
fn split_main(bencher: Bencher<'_, '_>) {
    let (format, log) = access_log(MAIN, Escape::Default);
    let asked =
        ["time_local", "status", "body_bytes_sent", "request_time", "upstream_addr", "upstream_status"];
    let splitter = Splitter::new(&format, &asked, asked.len()).expect("a format with quotes can be split");
    let mut scratch = Scratch::default();
    bencher.counter(BytesCount::of_slice(&log)).bench_local(|| {
        splitter.each_line(black_box(&log), &mut scratch, |_, _, fields| {
            black_box(fields);
        })
    });
}

#[divan::bench]
fn main_log(bencher: Bencher<'_, '_>) {
    let (format, log) = access_log(MAIN, Escape::Default);
    count(bencher, &log, &[format], &[]);
}

#[divan::bench]
fn combined_log(bencher: Bencher<'_, '_>) {
    let (_, log) = access_log(COMBINED, Escape::Default);
    count(bencher, &log, &[], &[]);
}

#[divan::bench]
fn combined_log_by_url(bencher: Bencher<'_, '_>) {
    let (_, log) = access_log(COMBINED, Escape::Default);
    count(bencher, &log, &[], &[By::Url]);
}

#[divan::bench]
fn json_log(bencher: Bencher<'_, '_>) {
    let (format, log) = access_log(JSON, Escape::Json);
    count(bencher, &log, &[format], &[]);
}

#[divan::bench]
fn error_log_of_a_failure(bencher: Bencher<'_, '_>) {
    count(bencher, &error_log(), &[], &[]);
}
