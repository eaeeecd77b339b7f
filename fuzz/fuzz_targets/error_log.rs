//! Error logs of any bytes: every byte belongs to one entry, and an entry gives a record or none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nginx_logs::error;

fuzz_target!(|log: &[u8]| {
    let mut next = 0;
    for entry in error::entries(log) {
        assert_eq!(entry.offset, next, "entries follow each other");
        next = entry.offset + entry.bytes.len() + 1;
        if let Some(record) = error::parse(entry.bytes) {
            let _ = (record.symptom(), record.client_side(), record.peer_among(&["/run/a.sock"]));
        }
        let _ = error::parse_stderr(entry.bytes);
    }
    assert!(next >= log.len(), "nothing is left over");
});
