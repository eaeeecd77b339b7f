use crate::outage::{self, Outage};
use crate::rule::*;
use crate::{said, space};
use snapshot::Disk;

cause! {
    /// A filesystem that nginx or the backend writes to has no space or no inodes left.
    ///
    /// ## What you see
    /// `28: No space left on device` for temporary files or a cache: uploads fail with 500, large responses are cut. `df`
    /// may show free space when the inodes are used up, or when what filled it was a temporary file that is gone again:
    /// then the line says `has written only N of M`. A backend without space fails as it was written to: it hangs up,
    /// ends, or does not start.
    ///
    /// ## How we know
    /// The kernel said so to nginx, or to the backend, which told it at the second of the failure. The filesystem's counts
    /// of blocks and inodes tell which of the two ran out.
    ///
    /// ## What to do
    /// Free space (or remove many small files), or move that path to a larger filesystem.
    ///
    /// ## Not to be confused with
    /// `temp-path-permission`: there the space is there, and the workers may not write.
    "disk-full",
    explains: [TempWrite, PrematureClose, ReadReset, ConnectRefused, ConnectSocketMissing, UpstreamStatus],
    leads_to: ["passive-health-ejection", "backend-aborts-request", "backend-crashed", "backend-start-failed", "backend-not-running", "upstream-returned-error"],
    judge: Judge::Group(judge),
}

/// ENOSPC and EDQUOT.
const NO_SPACE: i32 = 28;
const QUOTA: i32 = 122;

/// A filesystem with less than this share of its space left counts as full: some of it is kept for root.
const FULL_SHARE: f64 = 0.02;

/// A file larger than this is seldom nginx's: `proxy_max_temp_file_size` is 1 GiB unless somebody raised it.
const LARGEST_TEMPORARY_BYTES: u64 = 1 << 30;

fn judge(case: &Case) -> Result<Verdict, Blind> {
    if case.group.symptom != Symptom::TempWrite {
        return of_backend(case);
    }
    let Some(last) = case.entries().next_back() else { return Ok(Verdict::NotIt) };
    // The kernel writes a part of the data to a regular file only when there is no room for more of it, and says why at
    // the next attempt, which nginx does not make.
    let short = last.errno.is_none() && last.message.contains(" has written only ");
    let errno = if short { NO_SPACE } else { last.errno.unwrap_or_default() };
    if !matches!(errno, NO_SPACE | QUOTA) {
        return Ok(Verdict::ruled_out(format!("the error is {errno}, not a lack of space")));
    }
    let scene = case.scene;
    let path = space::path_in(&last.message).unwrap_or_default();
    let disk = space::disk_of(scene, path);
    let place = disk.map_or(path, |it| it.path.as_str());
    let number = last.errno.map(|it| format!("{it}: ")).unwrap_or_default();
    let says = format!("\"{number}{}\", {}", last.message, times(case.group.count));
    let fact = Fact::new("error-log", says).reference(last.reference.clone()).at(last.at);
    let (what, state) = match disk {
        Some(disk) if no_inodes(disk) => ("no inodes left", Some(inodes(disk))),
        Some(disk) => ("no space left", Some(blocks(disk))),
        None => ("no space left", None),
    };
    let what = if errno == QUOTA { "reached the quota of the workers' user" } else { what };
    let where_ = if place.is_empty() { "nginx's temporary files".to_owned() } else { place.to_owned() };
    let summary = match errno {
        QUOTA => format!("nginx has {what} on the filesystem of {where_}"),
        _ if short => format!("The filesystem of {where_} has no room for what nginx writes there"),
        _ => format!("The filesystem of {where_} has {what}, so nginx cannot write there"),
    };
    let state = state.map(|it| scene.snapshot.disks.fact("filesystem", it));
    let fix = match disk.is_some_and(no_inodes) {
        true => Fix::repair(format!("Remove many small files from the filesystem of {where_}"))
            .run(format!("du --inodes -x {where_} | sort -n | tail -20")),
        false => Fix::repair(format!("Free space on the filesystem of {where_}"))
            .run(format!("du -xh {where_} | sort -h | tail -20")),
    };
    // A file-size limit of the process cuts a write short as well; a large and empty filesystem was never full.
    let doubtful = short && disk.is_none_or(|it| !may_have_been_full(it));
    Ok(confirmed(summary)
        .decisive(fact)
        .only_likely_if(doubtful)
        .supporting_each(state)
        .fix(fix)
        .verify(format!("df -h {where_}; df -i {where_}"))
        .verify(case.verify_command())
        .prevent("Alert when free space or free inodes of that filesystem fall below a tenth")
        .into())
}

/// Whether it is full, or small enough that the temporary file itself, which is gone by now, can have filled it.
fn may_have_been_full(disk: &Disk) -> bool {
    disk.available_bytes <= LARGEST_TEMPORARY_BYTES || no_inodes(disk)
}

/// A backend that says itself, when requests fail, that it has no space left.
fn of_backend(case: &Case) -> Result<Verdict, Blind> {
    let about_space = |text: &str| {
        ["No space left on device", "ENOSPC", "Disk quota exceeded", "EDQUOT"]
            .iter()
            .any(|it| text.contains(it))
    };
    let refused = matches!(case.group.symptom, Symptom::ConnectRefused | Symptom::ConnectSocketMissing);
    let words = if refused {
        match outage::of(case)? {
            Outage::StartFails { words, .. } | Outage::Died { words, .. } => {
                words.into_iter().find(|it| about_space(&it.says))
            }
            _ => None,
        }
    } else {
        said::near(case, about_space)
    };
    let Some(words) = words else { return Ok(Verdict::NotIt) };
    let name = case.backend()?.name(case.scene);
    Ok(confirmed(format!("{name} cannot write, since a filesystem is full: {}", words.says.trim()))
        .decisive(words)
        .only_likely_if(refused && outage::by_timing(case))
        .supporting(case.failures_fact())
        .fix(
            Fix::repair("Find the filesystem that is full, of space or of inodes, and make room there")
                .run("df -h; df -i"),
        )
        .verify(case.verify_command())
        .prevent("Alert when free space or free inodes of a filesystem fall below a tenth")
        .into())
}

fn no_inodes(disk: &Disk) -> bool {
    let (Some(total), Some(free)) = (disk.total_inodes, disk.available_inodes) else { return false };
    let space = disk.available_bytes as f64 > disk.total_bytes as f64 * FULL_SHARE;
    total > 0 && free as f64 <= total as f64 * FULL_SHARE && (space || free == 0)
}

fn inodes(disk: &Disk) -> String {
    let free = disk.available_inodes.unwrap_or_default();
    let total = disk.total_inodes.unwrap_or_default();
    format!(
        "{} has {free} of {total} inodes free, and {} of space",
        disk.path,
        mebibytes(disk.available_bytes)
    )
}

fn blocks(disk: &Disk) -> String {
    format!(
        "{} has {} of {} free now",
        disk.path,
        mebibytes(disk.available_bytes),
        mebibytes(disk.total_bytes)
    )
}

fn mebibytes(bytes: u64) -> String {
    if bytes >= 10 << 30 {
        format!("{} GiB", bytes >> 30)
    } else {
        format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::Snapshot;

    fn full(available_bytes: u64, available_inodes: u64) -> Snapshot {
        let line = "[crit] 101#101: *7 open() \"/var/lib/nginx/body/0000000004\" failed (28: No space left on device), client: \
            10.0.0.9, server: shop.example.com, request: \"POST /upload HTTP/1.1\", host: \"shop.example.com\"";
        logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[line]).with(|it| {
            let disk = Disk {
                path: "/var/lib/nginx/body".into(),
                used_for: "client_body_temp_path".into(),
                total_bytes: 64 << 20,
                available_bytes,
                total_inodes: Some(40),
                available_inodes: Some(available_inodes),
                read_only: false,
                node: None,
                worker_may_write: Some(true),
                closed_by: None,
            };
            it.disks = seen(vec![disk]);
        })
    }

    #[test]
    fn a_filesystem_without_space_is_named() {
        let report = check(&full(0, 20), "disk-full: confirmed");
        assert!(report.causes[0].summary.contains("no space left"), "{}", report.causes[0].summary);
    }

    #[test]
    fn a_filesystem_without_inodes_is_told_apart() {
        let report = check(&full(60 << 20, 0), "disk-full: confirmed");
        assert!(report.causes[0].summary.contains("no inodes left"), "{}", report.causes[0].summary);
        assert!(report.causes[0].fixes[0].commands[0].contains("--inodes"));
    }

    /// A temporary file was cut short; its filesystem has that much room now.
    #[track_caller]
    fn cut_short(total_bytes: u64, expected: &str) {
        let line = failed(
            "pwritev() \"/var/lib/nginx/body/1/00/0000000001\" has written only 408 of 8192",
            "reading upstream",
            "http://127.0.0.1:8000/cart",
        );
        let host = full(total_bytes, 20).with(|it| {
            let Reading::Seen(disks) = &mut it.disks else { return };
            disks.value[0].total_bytes = total_bytes;
            it.logs.clear();
        });
        check(&logged(host, &[&line.replace("[error]", "[crit]")]), expected);
    }

    #[test]
    fn a_short_write_means_a_full_filesystem_unless_it_is_a_large_one() {
        cut_short(3 << 20, "disk-full: confirmed");
        cut_short(100 << 30, "disk-full: likely");
    }

    #[test]
    fn a_backend_that_says_it_has_no_space_is_the_cause_of_its_hanging_up() {
        let line = failed(
            "upstream prematurely closed connection",
            "reading response header from upstream",
            "http://127.0.0.1:8080/cart",
        );
        for (says, expected) in
            [("OSError: [Errno 28] No space left on device", true), ("OSError: [Errno 9] Bad file", false)]
        {
            let mut host = logged(passing_to("proxy_pass http://127.0.0.1:8080"), &[&line]);
            serving(&mut host, 700, "/usr/bin/python3 app.py", "127.0.0.1:8080");
            let unit = host.units.value().unwrap().last().unwrap().name.clone();
            journal(&mut host, &unit, &[(10, "python3", says)]);
            let report = crate::diagnose(&host);
            assert_eq!(first(&report) == "disk-full: confirmed", expected, "{}", outline(&report));
        }
    }
}
