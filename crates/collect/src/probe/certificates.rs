//! What a TLS server shows before it is sure of its client: its certificates, and whether it asks for one. Up to TLS 1.2 all of
//! that is sent in the open, so a hello that offers no more is enough; a server of TLS 1.3 alone keeps it to itself.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use snapshot::TlsFlight;

use super::connect::{Target, attempt, until};
use super::{hang_up, tls, x509};

const HANDSHAKE: u8 = 22;
const CERTIFICATE: u8 = 11;
const CERTIFICATE_REQUEST: u8 = 13;
const SERVER_HELLO_DONE: u8 = 14;
/// The messages come at once, in one piece.
const LONGEST: Duration = Duration::from_millis(300);
const LONGEST_FLIGHT_BYTES: usize = 64 << 10;
/// A chain that is longer than that tells nothing more.
const MOST_CERTIFICATES: usize = 6;

/// Says hello and listens; none when the server shows nothing.
pub(crate) fn listen(target: &Target, name: Option<&str>, deadline: Instant) -> Option<TlsFlight> {
    let deadline = deadline.min(Instant::now() + LONGEST);
    let (_, stream) = attempt(target, deadline.saturating_duration_since(Instant::now()));
    let stream = stream?;
    // A new connection's send buffer has room for a hello.
    let hello = tls::hello(name, tls::Newest::Tls12);
    let mut received = Vec::new();
    if send(&stream, &hello, SendFlags::NOSIGNAL) == Ok(hello.len()) {
        let mut buffer = [0; 4096];
        while !is_whole(&received) && received.len() < LONGEST_FLIGHT_BYTES {
            match rustix::io::read(&stream, &mut buffer) {
                Ok(0) => break,
                Ok(bytes) => received.extend(&buffer[..bytes]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if Instant::now() < deadline => {
                    let mut waiting = [PollFd::new(&stream, PollFlags::IN)];
                    // Whatever poll says, the next read and the clock decide.
                    let _ = poll(&mut waiting, Some(&until(deadline)));
                }
                Err(_) => break,
            }
        }
    }
    hang_up(stream);
    flight(&received)
}

/// The payload of the handshake records, up to the first record that is none or is cut.
fn handshake(mut bytes: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    while let [HANDSHAKE, 3, _, high, low, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let Some((body, after)) = rest.split_at_checked(length) else { break };
        payload.extend(body);
        bytes = after;
    }
    payload
}

/// The messages in a payload, with their types.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&kind, rest) = bytes.split_first()?;
        let (body, after) = sized24(rest)?;
        bytes = after;
        Some((kind, body))
    })
}

fn sized24(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let ([a, b, c], rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c))
}

fn is_whole(bytes: &[u8]) -> bool {
    messages(&handshake(bytes)).any(|(kind, _)| kind == SERVER_HELLO_DONE)
}

fn flight(bytes: &[u8]) -> Option<TlsFlight> {
    let payload = handshake(bytes);
    let list = messages(&payload).find(|it| it.0 == CERTIFICATE).and_then(|it| sized24(it.1))?.0;
    let mut rest = list;
    let each = std::iter::from_fn(|| {
        let (der, after) = sized24(rest)?;
        rest = after;
        Some(der)
    });
    let certificates = each.take(MOST_CERTIFICATES).filter_map(x509::certificate).collect();
    let asks_for_certificate = messages(&payload).any(|it| it.0 == CERTIFICATE_REQUEST);
    Some(TlsFlight { certificates, asks_for_certificate })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sized(bytes: &[u8]) -> Vec<u8> {
        let length = (bytes.len() as u32).to_be_bytes();
        [&length[1..], bytes].concat()
    }

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        [&[kind][..], &sized(body)].concat()
    }

    fn record(body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u16).to_be_bytes();
        [&[HANDSHAKE, 3, 3][..], &length, body].concat()
    }

    #[test]
    fn a_request_for_a_certificate_is_heard_though_messages_lie_across_records() {
        let list = sized(&sized(b"no certificate that makes sense"));
        let all = [
            message(2, &[3, 3]),
            message(CERTIFICATE, &list),
            message(CERTIFICATE_REQUEST, &[1, 1]),
            message(SERVER_HELLO_DONE, &[]),
        ]
        .concat();
        let bytes = [record(&all[..20]), record(&all[20..])].concat();
        assert!(is_whole(&bytes));
        let expected = TlsFlight { certificates: Vec::new(), asks_for_certificate: true };
        assert_eq!(flight(&bytes), Some(expected));
        for end in 0..bytes.len() {
            let _ = (is_whole(&bytes[..end]), flight(&bytes[..end]));
        }
    }

    #[test]
    fn an_alert_shows_nothing() {
        assert_eq!(flight(&[21, 3, 3, 0, 2, 2, 40]), None);
    }
}
