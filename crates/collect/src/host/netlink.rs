//! Netlink dumps: one request, a list of answers with attributes. Source: netlink(7).
//!
//! Written out here because it is little: the crates for sock_diag hide the device and inode of a unix socket's file, and
//! one attribute that they do not know makes them drop the whole message.

use std::io;
use std::time::{Duration, Instant};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with,
    sockopt,
};

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER_BYTES: usize = 16;

/// The kernel sends at most 32 KiB at once in a dump.
const BUFFER_BYTES: usize = 64 << 10;

/// Asks for a dump and hands each answer's payload, without its header, to `on_answer`. No protocol is NETLINK_ROUTE, 0.
pub fn dump(
    protocol: Option<Protocol>,
    kind: u16,
    payload: &[u8],
    deadline: Instant,
    mut on_answer: impl FnMut(&[u8]),
) -> io::Result<()> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
    let mut request = Vec::with_capacity(HEADER_BYTES + payload.len());
    request.extend(u32::try_from(HEADER_BYTES + payload.len()).unwrap_or(0).to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    request.extend([0; 8]);
    request.extend(payload);
    sendto(&socket, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        sockopt::set_socket_timeout(
            &socket,
            sockopt::Timeout::Recv,
            Some(left.max(Duration::from_millis(1))),
        )?;
        let (length, _) = recv(&socket, &mut buffer[..], RecvFlags::empty())?;
        if read_answers(&buffer[..length], &mut on_answer)? {
            return Ok(());
        }
    }
}

/// Takes one datagram apart; true when it ends the dump.
fn read_answers(mut datagram: &[u8], on_answer: &mut impl FnMut(&[u8])) -> io::Result<bool> {
    while let (Some(length), Some(kind)) = (u32_at(datagram, 0), u16_at(datagram, 4)) {
        let length = length as usize;
        let Some(payload) = datagram.get(HEADER_BYTES..length) else { break };
        match kind {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => {
                let code = u32_at(payload, 0).unwrap_or(0).cast_signed();
                return if code == 0 {
                    Ok(true)
                } else {
                    Err(io::Error::from_raw_os_error(code.wrapping_neg()))
                };
            }
            _ => on_answer(payload),
        }
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// The attributes that follow the fixed part of an answer.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// A number in the machine's byte order.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut message = u32::try_from(16 + payload.len()).unwrap().to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend([0; 10]);
        message.extend(payload);
        message.resize(message.len().next_multiple_of(4), 0);
        message
    }

    #[test]
    fn a_dump_ends_with_done_or_an_error() {
        let mut seen = Vec::new();
        let mut datagram = message(20, b"one");
        datagram.extend(message(20, b"two!"));
        datagram.extend(message(NLMSG_DONE, &[0; 4]));
        assert!(read_answers(&datagram, &mut |it: &[u8]| seen.push(it.to_vec())).unwrap());
        assert_eq!(seen, [b"one".to_vec(), b"two!".to_vec()]);
        let refused = read_answers(&message(NLMSG_ERROR, &(-13i32).to_ne_bytes()), &mut |_: &[u8]| {});
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        for end in 0..datagram.len() {
            let _ = read_answers(&datagram[..end], &mut |_: &[u8]| {});
        }
    }

    #[test]
    fn attributes_are_padded_to_four_bytes() {
        let bytes = [5, 0, 1, 0, 7, 0, 0, 0, 6, 0, 2, 0, 8, 9];
        if cfg!(target_endian = "little") {
            let found: Vec<_> = attributes(&bytes).collect();
            assert_eq!(found, [(1, &[7][..]), (2, &[8, 9][..])]);
        }
        for end in 0..bytes.len() {
            attributes(&bytes[..end]).count();
        }
    }

    #[test]
    fn a_length_of_zero_ends_the_walk() {
        assert_eq!(attributes(&[0; 16]).count(), 0);
        let _ = read_answers(&[0; 64], &mut |_: &[u8]| {});
    }
}
