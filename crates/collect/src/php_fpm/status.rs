//! A pool's own status page, asked over FastCGI. It is a supplement only: on a unix socket its queue is always 0, and a
//! full pool does not answer at all.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use snapshot::{ConnectOutcome, Peer, PhpPool, Reading, Reason};

use crate::probe::connect::{Target, attempt, until};
use crate::probe::fastcgi::{pair, record, split};
use crate::probe::hang_up;

const DEADLINE: Duration = Duration::from_millis(300);
const LONGEST_ANSWER_BYTES: usize = 64 << 10;

// Record types of the FastCGI specification, section 8.
const BEGIN_REQUEST: u8 = 1;
const END_REQUEST: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;

/// The status of a pool that has a status page and a child to answer it; none when there is nothing to ask.
pub(super) fn read(
    pool: &PhpPool,
    root: &Path,
    deadline: Instant,
    now: jiff::Timestamp,
) -> Option<Reading<Vec<(String, String)>>> {
    let path = pool.setting("pm.status_path").filter(|it| it.starts_with('/'))?;
    // A listener of its own answers even when every child is busy.
    let own = pool.setting("pm.status_listen").filter(|it| !it.is_empty());
    let listen = own.unwrap_or(pool.setting("listen")?);
    let free = pool.children.iter().any(|it| it.busy == Some(false));
    if own.is_none() && !free {
        return None;
    }
    let target = match super::config::peer_of(listen, "/etc/").parse::<Peer>() {
        Ok(Peer::Unix(path)) => Target::Unix(root.join(path.trim_start_matches('/'))),
        Ok(Peer::Tcp(mut address)) => {
            if address.ip().is_unspecified() {
                address.set_ip(match address.is_ipv4() {
                    true => std::net::Ipv4Addr::LOCALHOST.into(),
                    false => std::net::Ipv6Addr::LOCALHOST.into(),
                });
            }
            Target::Tcp(address)
        }
        _ => return None,
    };
    let source = format!("{path} of pool {} over FastCGI", pool.name);
    let deadline = deadline.min(Instant::now() + DEADLINE);
    Some(match ask(&target, path, deadline) {
        Ok(answer) => match values(&answer) {
            Some(values) => Reading::seen(values, source, now),
            None => Reading::unread(Reason::Malformed, source, "the answer is no status page"),
        },
        Err(Errno::TIMEDOUT) => Reading::unread(Reason::TimedOut, source, "no answer in time"),
        Err(errno) if errno == Errno::ACCESS => Reading::unread(Reason::Denied, source, errno.to_string()),
        Err(errno) => Reading::unread(Reason::Unsupported, source, errno.to_string()),
    })
}

fn request(path: &str) -> Vec<u8> {
    let mut parameters = Vec::new();
    for (name, value) in [
        ("REQUEST_METHOD", "GET"),
        ("SCRIPT_NAME", path),
        ("SCRIPT_FILENAME", path),
        ("REQUEST_URI", path),
        ("QUERY_STRING", "json"),
    ] {
        pair(&mut parameters, name, value);
    }
    // A responder, and the connection is closed after the answer.
    let begin = [0, 1, 0, 0, 0, 0, 0, 0];
    [
        record(BEGIN_REQUEST, 1, &begin),
        record(PARAMS, 1, &parameters),
        record(PARAMS, 1, &[]),
        record(STDIN, 1, &[]),
    ]
    .concat()
}

fn ask(target: &Target, path: &str, deadline: Instant) -> Result<Vec<u8>, Errno> {
    let (outcome, stream) = attempt(target, deadline.saturating_duration_since(Instant::now()));
    let stream = match (outcome, stream) {
        (_, Some(stream)) => stream,
        (ConnectOutcome::Failed { errno }, _) => return Err(Errno::from_raw_os_error(errno)),
        _ => return Err(Errno::TIMEDOUT),
    };
    let request = request(path);
    // It is a few hundred bytes, which any fresh socket takes at once.
    if send(&stream, &request, SendFlags::NOSIGNAL)? < request.len() {
        return Err(Errno::NOBUFS);
    }
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let mut waiting = [PollFd::new(&stream, PollFlags::IN)];
        match poll(&mut waiting, Some(&until(deadline))) {
            Ok(0) => return Err(Errno::TIMEDOUT),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        match rustix::io::read(&stream, &mut buffer) {
            Ok(0) => break,
            Ok(bytes) => answer.extend(&buffer[..bytes]),
            Err(Errno::AGAIN | Errno::INTR) => continue,
            Err(errno) => return Err(errno),
        }
        if ended(&answer) || answer.len() > LONGEST_ANSWER_BYTES {
            break;
        }
    }
    hang_up(stream);
    Ok(answer)
}

fn ended(mut answer: &[u8]) -> bool {
    while let Some((kind, _, rest)) = split(answer) {
        if kind == END_REQUEST {
            return true;
        }
        answer = rest;
    }
    false
}

/// The page is a flat JSON object after an HTTP-like header.
fn values(mut answer: &[u8]) -> Option<Vec<(String, String)>> {
    let mut page = Vec::new();
    while let Some((kind, body, rest)) = split(answer) {
        if kind == STDOUT {
            page.extend(body);
        }
        answer = rest;
    }
    let start = memchr::memmem::find(&page, b"\r\n\r\n")? + 4;
    let json: serde_json::Value = serde_json::from_slice(&page[start..]).ok()?;
    let values = json.as_object()?.iter().map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (name.clone(), value)
    });
    Some(values.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What PHP-FPM 8.2 answers, shortened.
    fn answer() -> Vec<u8> {
        let page = b"Expires: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-type: application/json\r\n\r\n\
            {\"pool\":\"www\",\"process manager\":\"static\",\"listen queue\":0,\"active processes\":1}";
        [record(STDOUT, 1, page), record(END_REQUEST, 1, &[0; 8])].concat()
    }

    #[test]
    fn the_values_of_the_page_are_read() {
        let values = values(&answer()).unwrap();
        assert!(values.contains(&("process manager".into(), "static".into())), "{values:?}");
        assert!(values.contains(&("active processes".into(), "1".into())), "{values:?}");
        assert!(ended(&answer()));
    }

    #[test]
    fn every_prefix_of_an_answer_is_survived() {
        let answer = answer();
        for end in 0..answer.len() {
            assert!(!ended(&answer[..end]));
            values(&answer[..end]);
        }
    }

    #[test]
    fn a_page_that_is_not_json_is_no_status() {
        assert_eq!(values(&record(STDOUT, 1, b"Content-type: text/html\r\n\r\nFile not found.\n")), None);
    }
}
