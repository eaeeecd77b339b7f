//! Sums do not depend on where a log is cut into blocks, nor on which of them is counted first.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nginx_logs::access::Format;
use nginx_logs::{Block, Carrier, Kind, Shape};
use traffic::{Options, Scanner, Tally};

const MAIN: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \
    \"$http_user_agent\" rt=$request_time uct=\"$upstream_connect_time\" uht=\"$upstream_header_time\" \
    urt=\"$upstream_response_time\" ua=\"$upstream_addr\" us=\"$upstream_status\"";

fuzz_target!(|input: (u8, u16, &[u8])| {
    let (kind, cut, log) = input;
    let kind = match kind % 3 {
        0 => Kind::Access(Format::combined()),
        1 => Kind::Access(Format::compile(MAIN, Default::default())),
        _ => Kind::Error,
    };
    // An entry of several lines must not be torn; whoever cuts logs sees to that.
    let cuttable = !matches!(kind, Kind::Error);
    let shape = Shape { carrier: Carrier::None, kinds: vec![kind] };
    let options = Options::default();
    let scanner = Scanner::new(shape, &options);
    let count = |parts: &[(u64, &[u8])]| {
        let mut tallies: Vec<Tally> = Vec::new();
        for (index, (offset, bytes)) in (0..).zip(parts) {
            let mut tally = Tally::new(&options);
            scanner.scan(&Block { source: 0, index, offset: *offset, bytes }, &mut tally);
            tallies.push(tally);
        }
        let mut all = Tally::new(&options);
        tallies.into_iter().rev().for_each(|it| all.merge(it));
        all.finish(|_, _| 1).0
    };
    let whole = count(&[(0, log)]);
    let near = usize::from(cut) % (log.len() + 1);
    let cut = log[..near].iter().rposition(|it| *it == b'\n').map_or(0, |it| it + 1);
    if cuttable {
        let parted = count(&[(0, &log[..cut]), (cut as u64, &log[cut..])]);
        assert_eq!(whole.statuses, parted.statuses);
        assert_eq!((whole.requests, whole.failed, whole.hidden), (parted.requests, parted.failed, parted.hidden));
        assert_eq!(whole.upstreams, parted.upstreams);
        assert_eq!(whole.steps, parted.steps);
    }
});
