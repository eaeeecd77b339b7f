//! The PROXY protocol's header, version 1, before another greeting. `UNKNOWN` claims no client: the receiver must then use
//! the connection's own addresses (haproxy's proxy-protocol.txt, 2.1).

pub(super) fn greeting(inner: Vec<u8>) -> Vec<u8> {
    let mut bytes = b"PROXY UNKNOWN\r\n".to_vec();
    bytes.extend(inner);
    bytes
}
