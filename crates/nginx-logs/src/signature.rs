//! What a program puts before each of its lines, and no other program does.

use crate::access_time::month;
use crate::bytes::{find, leading_number, split_byte};
use crate::error::looks_like_start;
use crate::kind::{Program, Signature};

/// The program whose header a line has; `None` for lines of access logs, of applications, and for continuations.
pub(crate) fn signature(line: &[u8]) -> Option<Signature> {
    let program = match line.first()? {
        b'{' => return None,
        b'[' => bracketed(line),
        b'0'..=b'9' if looks_like_start(line) => return is_error(line).then_some(Signature::Error),
        b'0'..=b'9' => numbered(line),
        b'n' if line.starts_with(b"nginx: ") => return Some(Signature::Error),
        b'<' => line.get(2..5).and_then(|it| find(it, b">")).and_then(|at| kernel(&line[at + 3..])),
        _ => worded(line),
    };
    program.map(Signature::Program)
}

/// Go writes the same time, but no level in brackets with a process behind it.
fn is_error(line: &[u8]) -> bool {
    let level = &line[21..line.len().min(29)];
    split_byte(level, b']').is_none_or(|(level, _)| crate::error::Level::from_name(level).is_some())
}

/// Lines that begin with `[`.
fn bracketed(line: &[u8]) -> Option<Program> {
    let (inner, rest) = split_byte(&line[1..], b']')?;
    if let Some(program) = kernel(line) {
        return Some(program);
    }
    match inner {
        b"NOTICE" | b"ALERT" | b"WARNING" | b"EMERG" | b"DEBUG" => {
            // `[ALERT]    (16553) : ` since HAProxy 2.4, `[ALERT] 123/150000 (16553) : ` before.
            let rest = rest.trim_ascii_start();
            let rest = split_byte(rest, b' ').filter(|it| it.0.get(3) == Some(&b'/')).map_or(rest, |it| it.1);
            let (_, rest) = leading_number::<u32>(rest.strip_prefix(b"(")?)?;
            rest.starts_with(b") : ").then_some(Program::Haproxy)
        }
        b"uWSGI" => Some(Program::Uwsgi),
        // uwsgi's line of a request.
        _ if inner.starts_with(b"pid: ") && find(inner, b"|app: ").is_some() => Some(Program::App),
        _ if is_day_month_year(inner, b'-') && inner.get(11) == Some(&b' ') => {
            // PHP itself writes its zone behind the time: that is the application's log. So is the slow log, which names the
            // pool there.
            let has_zone = inner[20..].iter().any(u8::is_ascii_alphabetic);
            let level = rest.strip_prefix(b" ").filter(|it| it.first().is_some_and(u8::is_ascii_uppercase));
            Some(if has_zone || level.is_none() { Program::App } else { Program::PhpFpm })
        }
        _ if inner.len() == 25 && inner[4] == b'-' && matches!(inner[20], b'+' | b'-') => {
            // `[2026-11-20 15:00:00 +0000] [21] [INFO] `.
            let (_, rest) = leading_number::<u32>(rest.strip_prefix(b" [")?)?;
            rest.starts_with(b"] [").then_some(Program::Gunicorn)
        }
        _ => None,
    }
}

/// `[12345.678901] ` and `[Fri Nov 20 15:00:00 2026] ` of `dmesg` and `dmesg -T`.
fn kernel(line: &[u8]) -> Option<Program> {
    let (inner, rest) = split_byte(line.strip_prefix(b"[")?, b']')?;
    let rest = rest.strip_prefix(b" ")?;
    if let Some((seconds, micros)) = split_byte(inner.trim_ascii_start(), b'.') {
        let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        return (micros.len() == 6 && digits(seconds) && digits(micros)).then_some(Program::Kernel);
    }
    let is_time = inner.len() == 24
        && (inner[3], inner[7], inner[13], inner[16], inner[19]) == (b' ', b' ', b':', b':', b' ')
        && month(&inner[4..7]).is_some();
    // PHP's built-in server writes the same time, then an address or its own name.
    let of_php = rest.starts_with(b"[") || rest.starts_with(b"PHP ") || address_with_port(rest).is_some();
    (is_time && !of_php).then_some(Program::Kernel)
}

/// Lines that begin with a digit.
fn numbered(line: &[u8]) -> Option<Program> {
    if is_day_month_year(line, b'-') {
        // `02-May-2026 12:00:00.000 SEVERE [main] `: org.apache.juli.OneLineFormatter.
        let rest = line.get(24..)?;
        return (line[11] == b' ' && line[20] == b'.' && rest.starts_with(b" ")).then_some(Program::Tomcat);
    }
    haproxy_request(line)
}

/// `10.0.0.9:51234 [02/May/2026:12:00:00.123] frontend backend/server 0/0/1/-1/2 `: the time has no zone.
fn haproxy_request(line: &[u8]) -> Option<Program> {
    let rest = address_with_port(line)?.strip_prefix(b" [")?;
    let time = rest.get(..25)?;
    (is_day_month_year(time, b'/') && time[20] == b'.' && time[24] == b']').then_some(Program::Haproxy)
}

/// What follows `10.0.0.9:51234` or `[::1]:51234`.
fn address_with_port(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().take(60).position(|it| *it == b' ')?;
    let (address, port) = crate::bytes::rsplit_byte(&text[..end], b':')?;
    let is_port = (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit);
    let is_address =
        address.iter().all(|it| it.is_ascii_hexdigit() || matches!(it, b'.' | b':' | b'[' | b']'))
            && address.iter().any(|it| matches!(it, b'.' | b':'));
    (is_port && is_address).then(|| &text[end..])
}

/// `02-May-2026` or `02/May/2026`.
fn is_day_month_year(text: &[u8], separator: u8) -> bool {
    text.len() >= 20
        && text[0].is_ascii_digit()
        && text[1].is_ascii_digit()
        && text[2] == separator
        && text[6] == separator
        && month(&text[3..6]).is_some()
        && text[7..11].iter().all(u8::is_ascii_digit)
}

/// Lines that begin with a word.
fn worded(line: &[u8]) -> Option<Program> {
    const STARTS: [(&[u8], Program); 22] = [
        (b"*** Starting uWSGI", Program::Uwsgi),
        (b"*** uWSGI", Program::Uwsgi),
        (b"*** HARAKIRI", Program::Uwsgi),
        (b"*** Operational MODE", Program::Uwsgi),
        (b"*** WARNING: you are running uWSGI", Program::Uwsgi),
        (b"*** backtrace of ", Program::Uwsgi),
        (b"DAMN ! ", Program::Uwsgi),
        (b"spawned uWSGI ", Program::Uwsgi),
        (b"Respawned uWSGI ", Program::Uwsgi),
        (b"!!! uWSGI process ", Program::Uwsgi),
        (b"uwsgi socket ", Program::Uwsgi),
        (b"HARAKIRI ", Program::Uwsgi),
        (b"WSGI app ", Program::Uwsgi),
        (b"uWSGI ", Program::Uwsgi),
        (b"type=", Program::Audit),
        (b"node=", Program::Audit),
        (b"audit: ", Program::Audit),
        (b"Proxy ", Program::Haproxy),
        (b"Server ", Program::Haproxy),
        (b"Backup Server ", Program::Haproxy),
        (b"backend ", Program::Haproxy),
        (b"Health check for ", Program::Haproxy),
    ];
    let program = STARTS.iter().find(|it| line.starts_with(it.0)).map(|it| it.1);
    let whole = match program {
        Some(Program::Audit) => find(&line[..line.len().min(200)], b"audit(").is_some(),
        Some(Program::Haproxy) => is_haproxy_notice(line),
        Some(_) => true,
        None => false,
    };
    if whole {
        return program;
    }
    if let Some(rest) = line.strip_prefix(b"kernel: ") {
        return kernel(rest).or(Some(Program::Kernel));
    }
    // `Fri Nov 20 15:00:00 2026 - *** …`: uwsgi with `log-date`.
    if line.len() > 27 && line[24..].starts_with(b" - ") && line[3] == b' ' && month(&line[4..7]).is_some() {
        return Some(worded(&line[27..]).unwrap_or(Program::Uwsgi));
    }
    // `May 02, 2026 12:00:00 PM org.apache.catalina.core.StandardService startInternal`: java.util.logging's default.
    let of_java = line.len() > 24
        && month(&line[..3]).is_some()
        && (line[3], line[6], line[7]) == (b' ', b',', b' ')
        && find(&line[..line.len().min(32)], b"M ").is_some();
    if of_java {
        return Some(Program::Tomcat);
    }
    // `php8.2-fpm.service: Main process exited, …`, as `journalctl -o cat` prints it.
    let (unit, _) = split_byte(&line[..line.len().min(128)], b':')?;
    let is_unit =
        [b".service".as_slice(), b".socket", b".scope", b".slice"].iter().any(|it| unit.ends_with(it));
    (is_unit && !unit.contains(&b' ')).then_some(Program::Journal)
}

fn is_haproxy_notice(line: &[u8]) -> bool {
    [
        b" is DOWN".as_slice(),
        b" is UP",
        b" is going DOWN",
        b" has no server available!",
        b" started.",
        b" stopped (",
        b" check for server ",
        b" for server ",
    ]
    .iter()
    .any(|it| find(line, it).is_some())
}
