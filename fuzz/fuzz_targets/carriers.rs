//! What a log is, from any bytes; and the lines below any carrier.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nginx_logs::{Carrier, Shape, backend};

fuzz_target!(|log: &[u8]| {
    let shape = Shape::detect(log, &[]);
    for line in log.split(|it| *it == b'\n') {
        let _ = shape.kind_of(line);
        for carrier in Carrier::ALL {
            if let Some(carried) = carrier.open(line) {
                let _ = shape.kind_of(&carried.text);
                let _ = backend::event(&String::from_utf8_lossy(&carried.text));
            }
        }
    }
});
