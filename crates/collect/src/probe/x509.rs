//! What an operator wants to know of a certificate: whose it is, who signed it, for which names and when it holds. Just
//! enough of DER (ITU-T X.690) and of RFC 5280 to find these; nothing is verified.

use std::net::{Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use snapshot::Certificate;

const SEQUENCE: u8 = 0x30;
const OCTET_STRING: u8 = 0x04;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

/// 2.5.4.3, 2.5.4.10, 2.5.29.17.
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ORGANIZATION: &[u8] = &[0x55, 4, 10];
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 17];

/// More names are not kept: some certificates hold hundreds.
const MOST_NAMES: usize = 12;
/// A DNS name has no more (RFC 1035), and neither has what is worth showing of any other.
const LONGEST_NAME_BYTES: usize = 255;

/// One value: its tag, and what is in it.
type Value<'a> = (u8, &'a [u8]);

/// The first value, and what follows it.
fn value(bytes: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let (digits, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.is_empty() || digits.len() > 3 {
            return None;
        }
        length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
        rest = after;
    }
    let (content, after) = rest.split_at_checked(length)?;
    Some(((tag, content), after))
}

/// The values that stand one after another; ends where they do not make sense any more.
fn values(mut bytes: &[u8]) -> impl Iterator<Item = Value<'_>> {
    std::iter::from_fn(move || {
        let (next, rest) = value(bytes)?;
        bytes = rest;
        Some(next)
    })
}

/// Reads a certificate.
pub(super) fn certificate(der: &[u8]) -> Option<Certificate> {
    let ((SEQUENCE, outer), _) = value(der)? else { return None };
    let ((SEQUENCE, signed), _) = value(outer)? else { return None };
    // Serial number, algorithm, issuer, validity, subject, key; then what is optional.
    let mut fields = values(signed).skip_while(|it| it.0 == VERSION).skip(2);
    let issuer = name(fields.next()?.1);
    let mut validity = values(fields.next()?.1).map(time);
    let (not_before, not_after) = (validity.next()??, validity.next()??);
    let subject = name(fields.next()?.1);
    let extensions = fields.find(|it| it.0 == EXTENSIONS).and_then(|it| Some(value(it.1)?.0.1));
    let names = extensions.map(alternative_names).unwrap_or_default();
    Some(Certificate { subject, issuer, names, not_before, not_after })
}

/// The common name; where there is none, the organization.
fn name(sequence: &[u8]) -> String {
    let attribute = |wanted: &[u8]| {
        values(sequence).flat_map(|set| values(set.1)).find_map(|(_, pair)| {
            let mut pair = values(pair);
            (pair.next()?.1 == wanted).then(|| text(pair.next()?.1.into()))?
        })
    };
    attribute(COMMON_NAME).or_else(|| attribute(ORGANIZATION)).unwrap_or_default()
}

fn text(bytes: Option<&[u8]>) -> Option<String> {
    let bytes = bytes?;
    Some(String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST_NAME_BYTES)]).into_owned())
}

fn alternative_names(extensions: &[u8]) -> Vec<String> {
    let holds = |parts: &[Value]| parts.first().is_some_and(|it| it.1 == ALTERNATIVE_NAMES);
    let extension = values(extensions).map(|it| values(it.1).collect::<Vec<_>>()).find(|it| holds(it));
    let octets = extension.and_then(|it| it.into_iter().rfind(|it| it.0 == OCTET_STRING));
    let Some(((_, names), _)) = octets.and_then(|it| value(it.1)) else { return Vec::new() };
    let spelled = values(names).filter_map(|(tag, bytes)| match tag {
        DNS_NAME => text(Some(bytes)),
        IP_ADDRESS => match bytes.len() {
            4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).to_string()),
            16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_string()),
            _ => None,
        },
        _ => None,
    });
    spelled.take(MOST_NAMES).collect()
}

/// `260502130000Z`, `20500102030405Z`: RFC 5280 allows these forms only.
fn time((tag, bytes): Value) -> Option<Timestamp> {
    let digits = std::str::from_utf8(bytes).ok()?.strip_suffix('Z')?;
    let whole = match tag {
        // Two digits mean 1950 to 2049.
        UTC_TIME => format!("{}{digits}", if digits.get(..2)? < "50" { "20" } else { "19" }),
        GENERALIZED_TIME => digits.to_owned(),
        _ => return None,
    };
    let local = DateTime::strptime("%Y%m%d%H%M%S", whole).ok()?;
    Some(local.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let [high, low] = (content.len() as u16).to_be_bytes();
        let mut bytes = match content.len() {
            0..128 => vec![tag, low],
            128..256 => vec![tag, 0x81, low],
            _ => vec![tag, 0x82, high, low],
        };
        bytes.extend(content);
        bytes
    }

    fn named(oid: &[u8], name: &str) -> Vec<u8> {
        let pair = der(SEQUENCE, &[&der(6, &[oid]), &der(12, &[name.as_bytes()])]);
        der(SEQUENCE, &[&der(0x31, &[&pair])])
    }

    /// One of our own making, signed by nobody.
    fn sample() -> Vec<u8> {
        let times =
            [der(UTC_TIME, &[b"260502130000Z"]), der(GENERALIZED_TIME, &[b"20510102030405Z"])].concat();
        let names =
            der(SEQUENCE, &[&der(DNS_NAME, &[b"shop.internal"]), &der(IP_ADDRESS, &[&[10, 0, 0, 7]])]);
        let extension = der(
            SEQUENCE,
            &[&der(6, &[ALTERNATIVE_NAMES]), &der(1, &[&[0xff]]), &der(OCTET_STRING, &[&names])],
        );
        let signed = [
            der(VERSION, &[&der(2, &[&[2]])]),
            der(2, &[&[1, 2, 3]]),
            der(SEQUENCE, &[]),
            named(ORGANIZATION, "House CA"),
            der(SEQUENCE, &[&times]),
            named(COMMON_NAME, "shop"),
            der(SEQUENCE, &[&[5, 0]]),
            der(EXTENSIONS, &[&der(SEQUENCE, &[&extension])]),
        ];
        der(SEQUENCE, &[&der(SEQUENCE, &[&signed.concat()]), &der(SEQUENCE, &[])])
    }

    #[test]
    fn names_issuer_and_dates_are_found() {
        let found = certificate(&sample()).unwrap();
        assert_eq!((found.subject.as_str(), found.issuer.as_str()), ("shop", "House CA"));
        assert_eq!(found.names, ["shop.internal", "10.0.0.7"]);
        assert_eq!(found.not_before.to_string(), "2026-05-02T13:00:00Z");
        assert_eq!(found.not_after.to_string(), "2051-01-02T03:04:05Z");
    }

    #[test]
    fn every_prefix_and_every_changed_byte_is_survived() {
        let whole = sample();
        for end in 0..whole.len() {
            let _ = certificate(&whole[..end]);
            let mut changed = whole.clone();
            changed[end] ^= 0xff;
            let _ = certificate(&changed);
        }
    }
}
