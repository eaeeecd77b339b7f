//! Logs of any size with their exact sums: what the benchmarks read, and what they compare the answers with.
//!
//! One stream of requests is written in three access formats and, for those that failed, as entries of an error log. The
//! same size gives the same bytes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};

/// What stands in the logs, counted while they were written.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Truth {
    pub requests: u64,
    /// By status that the client got.
    pub statuses: BTreeMap<u16, u64>,
    /// By address (`-` without one), then by status; every try, with 0 for one without a status.
    pub tries: BTreeMap<String, BTreeMap<u16, u64>>,
    /// By address of the last try, then by the client's status.
    pub finals: BTreeMap<String, BTreeMap<u16, u64>>,
    /// Requests and failed ones by minute, in seconds since 1970.
    pub minutes: BTreeMap<i64, (u64, u64)>,
    /// Entries of the error log by symptom and address.
    pub symptoms: BTreeMap<(String, String), u64>,
    /// `$request_time` in milliseconds, how often.
    pub request_ms: BTreeMap<u64, u64>,
}

/// Names of the files, below the folder.
pub const MAIN: &str = "access.main.log";
pub const COMBINED: &str = "access.combined.log";
pub const JSON: &str = "access.json.log";
pub const ERROR: &str = "error.log";

const START: &str = "2026-01-15T00:00:00Z";
const SPAN_SECONDS: u64 = 24 * 3600;
/// What a line of the main format takes on average, for the number of requests.
const BYTES_A_LINE: u64 = 285;

const GROUPS: [(&str, &[&str], u64, &str); 5] = [
    ("http", &["10.20.1.11:8080", "10.20.1.12:8080", "10.20.1.13:8080"], 40, "api.example.com"),
    ("http", &["10.20.2.11:3000", "10.20.2.12:3000"], 25, "www.example.com"),
    ("http", &["[fd00:20::11]:9000", "[fd00:20::12]:9000"], 5, "auth.example.com"),
    ("fastcgi", &["unix:/run/php/php8.2-fpm.sock"], 10, "blog.example.org"),
    ("", &[], 20, "www.example.com"),
];

const AGENTS: [&str; 5] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "Go-http-client/2.0",
    "curl/8.5.0",
];

const WORDS: [&str; 12] = [
    "account", "basket", "catalog", "checkout", "document", "invoice", "order", "payment", "product",
    "search", "session", "ticket",
];

/// How a try fails: status of the try, symptom, message and action, whether a connection was made, milliseconds.
const FAULTS: [(u16, &str, &str, &str, bool, u64); 4] = [
    (
        502,
        "connect-refused",
        "connect() failed (111: Connection refused)",
        "connecting to upstream",
        false,
        0,
    ),
    (
        504,
        "connect-timeout",
        "upstream timed out (110: Connection timed out)",
        "connecting to upstream",
        false,
        5_000,
    ),
    (
        504,
        "read-timeout",
        "upstream timed out (110: Connection timed out)",
        "reading response header from upstream",
        true,
        60_000,
    ),
    (
        502,
        "premature-close",
        "upstream prematurely closed connection",
        "reading response header from upstream",
        true,
        12,
    ),
];

/// xorshift64*: good enough for lines that look alike and are not, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.roll(all.len() as u64) as usize]
    }
}

struct Try {
    address: String,
    status: u16,
    connected: bool,
    ms: u64,
}

struct Files {
    main: BufWriter<File>,
    combined: BufWriter<File>,
    json: BufWriter<File>,
    error: BufWriter<File>,
}

/// Writes the four files for about that many bytes of the main format.
pub fn write(folder: &Path, bytes: u64) -> Result<Truth> {
    fs::create_dir_all(folder)?;
    let create = |name: &str| -> Result<BufWriter<File>> {
        let path = folder.join(name);
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(BufWriter::with_capacity(1 << 20, file))
    };
    let mut files = Files {
        main: create(MAIN)?,
        combined: create(COMBINED)?,
        json: create(JSON)?,
        error: create(ERROR)?,
    };
    let mut truth = Truth::default();
    let mut dice = Dice(0x5023_0000_0000_0001);
    let start: Timestamp = START.parse()?;
    let requests = (bytes / BYTES_A_LINE).max(1);
    let (mut second, mut stamps) = (u64::MAX, [String::new(), String::new(), String::new()]);
    for number in 0..requests {
        let now = number * SPAN_SECONDS / requests;
        if now != second {
            second = now;
            let at = start + SignedDuration::from_secs(now as i64);
            stamps = ["%d/%b/%Y:%H:%M:%S +0000", "%Y-%m-%dT%H:%M:%S+00:00", "%Y/%m/%d %H:%M:%S"]
                .map(|it| at.strftime(it).to_string());
        }
        request(&mut files, &mut truth, &mut dice, number, start.as_second() + now as i64, &stamps)?;
    }
    for file in [files.main, files.combined, files.json, files.error] {
        file.into_inner().map_err(|error| error.into_error())?;
    }
    Ok(truth)
}

fn request(
    files: &mut Files,
    truth: &mut Truth,
    dice: &mut Dice,
    number: u64,
    at: i64,
    stamps: &[String; 3],
) -> Result<()> {
    let mut share = dice.roll(100);
    let (scheme, peers, _, host) = GROUPS
        .iter()
        .find(|it| {
            let here = share < it.2;
            share = share.wrapping_sub(it.2);
            here
        })
        .unwrap_or(&GROUPS[0]);
    let path = match dice.roll(4) {
        0 => format!("/api/v1/{}/{}", dice.of(&WORDS), dice.roll(10_000_000)),
        1 => format!(
            "/{}/{:08x}-{:04x}/{}",
            dice.of(&WORDS),
            dice.roll(1 << 31),
            dice.roll(1 << 16),
            dice.of(&WORDS)
        ),
        2 => {
            format!("/{}?page={}&q={}+{}", dice.of(&WORDS), dice.roll(400), dice.of(&WORDS), dice.of(&WORDS))
        }
        _ => format!("/static/{}.{:08x}.js", dice.of(&WORDS), dice.roll(1 << 31)),
    };
    let method = dice.of(&["GET", "GET", "GET", "POST"]);
    let client = format!("198.18.{}.{}", dice.roll(256), 1 + dice.roll(254));
    // The first group is down for a while, and everywhere one try in 400 fails.
    let hour = (at.rem_euclid(86_400)) / 3600;
    let incident = *host == "api.example.com" && hour == 5;
    let mut tries: Vec<Try> = Vec::new();
    let mut entries: Vec<(usize, String)> = Vec::new();
    if !peers.is_empty() {
        let first = dice.roll(peers.len() as u64) as usize;
        for turn in 0..peers.len().min(2) {
            let address = peers[(first + turn) % peers.len()].to_owned();
            let fault = match () {
                () if incident => Some(0),
                () if dice.roll(400) == 0 => Some(dice.roll(FAULTS.len() as u64) as usize),
                () => None,
            };
            let Some(fault) = fault else {
                let status = if dice.roll(1000) == 0 { 500 } else { 200 };
                let ms = 1 + dice.roll(40) * dice.roll(40) / 4;
                tries.push(Try { address, status, connected: true, ms });
                break;
            };
            let (status, _, _, _, connected, ms) = FAULTS[fault];
            entries.push((fault, address.clone()));
            tries.push(Try { address, status, connected, ms });
        }
    }
    let status = tries.last().map_or(if dice.roll(20) == 0 { 404 } else { 200 }, |it| it.status);
    let ms: u64 = tries.iter().map(|it| it.ms).sum();
    let sent = 100 + dice.roll(20_000);

    truth.requests += 1;
    *truth.statuses.entry(status).or_default() += 1;
    let minute = truth.minutes.entry(at - at.rem_euclid(60)).or_default();
    *minute = (minute.0 + 1, minute.1 + u64::from(status >= 500));
    let last = tries.last().map_or("-", |it| it.address.as_str());
    *truth.finals.entry(last.to_owned()).or_default().entry(status).or_default() += 1;
    for it in &tries {
        *truth.tries.entry(it.address.clone()).or_default().entry(it.status).or_default() += 1;
    }
    *truth.request_ms.entry(ms).or_default() += 1;

    let request = format!("{method} {path} HTTP/1.1");
    let (agent, referer) =
        (dice.of(&AGENTS), if dice.roll(2) == 0 { "-" } else { "https://www.example.com/" });
    let list = |of: &dyn Fn(&Try) -> String, none: &str| match tries.as_slice() {
        [] => none.to_owned(),
        all => all.iter().map(of).collect::<Vec<_>>().join(", "),
    };
    let seconds = |ms: u64| format!("{}.{:03}", ms / 1000, ms % 1000);
    let connect = |it: &Try| if it.connected { "0.000".to_owned() } else { "-".to_owned() };
    let header = |it: &Try| if it.connected && it.status < 502 { seconds(it.ms) } else { "-".to_owned() };
    let head =
        format!("{client} - - [{}] \"{request}\" {status} {sent} \"{referer}\" \"{agent}\"", stamps[0]);
    writeln!(files.combined, "{head}")?;
    writeln!(
        files.main,
        "{head} rt={} uct=\"{}\" uht=\"{}\" urt=\"{}\" ua=\"{}\" us=\"{}\"",
        seconds(ms),
        list(&connect, "-"),
        list(&header, "-"),
        list(&|it| seconds(it.ms), "-"),
        list(&|it| it.address.clone(), "-"),
        list(&|it| it.status.to_string(), "-"),
    )?;
    writeln!(
        files.json,
        "{{\"time\":\"{}\",\"remote_addr\":\"{client}\",\"request\":\"{request}\",\"status\":{status},\
         \"body_bytes_sent\":{sent},\"http_referer\":\"{}\",\"http_user_agent\":\"{agent}\",\"host\":\"{host}\",\
         \"request_time\":{},\"upstream_connect_time\":\"{}\",\"upstream_header_time\":\"{}\",\
         \"upstream_response_time\":\"{}\",\"upstream_addr\":\"{}\",\"upstream_status\":\"{}\"}}",
        stamps[1],
        if referer == "-" { "" } else { referer },
        seconds(ms),
        list(&connect, ""),
        list(&header, ""),
        list(&|it| seconds(it.ms), ""),
        list(&|it| it.address.clone(), ""),
        list(&|it| it.status.to_string(), ""),
    )?;
    for (fault, address) in entries {
        let (_, symptom, message, action, ..) = FAULTS[fault];
        *truth.symptoms.entry((symptom.to_owned(), address.clone())).or_default() += 1;
        // Only HTTP prints the URI; a unix socket is told from it by a colon, except where nginx leaves that out.
        let upstream = match (*scheme, message.starts_with("upstream timed out")) {
            ("http", _) => format!("http://{address}{path}"),
            (scheme, true) => format!("{scheme}://{address}"),
            (scheme, false) => format!("{scheme}://{address}:"),
        };
        let pid = 3100 + number % 4;
        writeln!(
            files.error,
            "{} [error] {pid}#{pid}: *{number} {message} while {action}, client: {client}, server: {host}, \
             request: \"{request}\", upstream: \"{upstream}\", host: \"{host}\"",
            stamps[2]
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_are_those_of_the_lines() {
        let folder = std::env::temp_dir().join(format!("why502-generated-{}", std::process::id()));
        let truth = write(&folder, 100_000).unwrap();
        let main = fs::read_to_string(folder.join(MAIN)).unwrap();
        assert_eq!(main.lines().count() as u64, truth.requests);
        let bad = main.lines().filter(|it| it.split('"').nth(2).unwrap().starts_with(" 502 ")).count();
        assert_eq!(bad as u64, truth.statuses[&502]);
        let errors = fs::read_to_string(folder.join(ERROR)).unwrap();
        assert_eq!(errors.lines().count() as u64, truth.symptoms.values().sum::<u64>());
        fs::remove_dir_all(&folder).unwrap();
    }
}
