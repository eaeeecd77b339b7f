use crate::rule::*;
use crate::space;

cause! {
    /// nginx's workers may not write their temporary files.
    ///
    /// ## What you see
    /// `open() "/var/lib/nginx/…/0000000001" failed (13: Permission denied)` (level crit). Uploads fail with 500; large
    /// responses are cut. Small requests work, since they need no file.
    ///
    /// ## How we know
    /// The kernel said so to nginx about one of its own temporary files.
    ///
    /// ## What to do
    /// Give the directory back to the user that the workers run as, and let that user through every directory above it.
    ///
    /// ## Not to be confused with
    /// `disk-full`: there the space or the inodes are used up. `unix-socket-permission`: there the backend's socket is
    /// concerned.
    "temp-path-permission",
    explains: [TempWrite, PermissionDenied],
    leads_to: [],
    judge: Judge::Group(judge),
}

/// EACCES, EROFS and ENOENT: denied, read-only, or the directory is gone.
const DENIED: i32 = 13;
const READ_ONLY: i32 = 30;
const MISSING: i32 = 2;

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let Some(last) = case.entries().next_back() else { return Ok(Verdict::NotIt) };
    if case.group.symptom == Symptom::PermissionDenied && !is_temporary(&last.message) {
        return Ok(Verdict::NotIt);
    }
    let errno = last.errno.unwrap_or_default();
    if !matches!(errno, DENIED | READ_ONLY | MISSING) {
        return Ok(Verdict::ruled_out(format!("the error is {errno}, not a denial")));
    }
    let scene = case.scene;
    let file = space::path_in(&last.message).unwrap_or_default();
    let disk = space::disk_of(scene, file);
    let directory =
        disk.filter(|it| it.path.len() > 1).map_or_else(|| parent(file).to_owned(), |it| it.path.clone());
    let user =
        scene.nginx.and_then(|it| it.worker_user.value()).map_or("the workers' user", |it| it.name.as_str());
    let says = format!("\"{errno}: {}\", {}", last.message, times(case.group.count));
    let fact = Fact::new("error-log", says).reference(last.reference.clone()).at(last.at);
    // What is in the way: a directory above, or the one itself.
    let closed_by = disk.and_then(|it| it.closed_by.as_ref());
    let node = closed_by.or(disk.and_then(|it| it.node.as_ref())).map(|it| {
        let says = format!("{} belongs to {}:{}, mode {:04o}", it.path, it.owner, it.group, it.mode);
        scene.snapshot.disks.fact("path", says).reference(format!("stat {}", it.path))
    });
    let by = closed_by.map(|it| format!(": {} (mode {:04o}) does not let them through", it.path, it.mode));
    let summary = match errno {
        READ_ONLY => {
            format!("The filesystem of {directory} is read-only, so nginx cannot write temporary files there")
        }
        MISSING => format!("{directory} is gone, so nginx cannot write temporary files there"),
        _ => format!(
            "nginx's workers ({user}) may not write temporary files in {directory}{}",
            by.unwrap_or_default()
        ),
    };
    let fix = match errno {
        READ_ONLY => Fix::repair(format!(
            "Find out why it is read-only (dmesg), then mount it read-write: findmnt -T {directory}"
        )),
        MISSING => {
            Fix::repair(format!("Make {directory} again: a reload does")).run("nginx -t && nginx -s reload")
        }
        _ => match closed_by {
            Some(node) => open_up(node),
            None => give_back(&directory, user),
        },
    };
    Ok(confirmed(summary)
        .decisive(fact)
        .supporting_each(node)
        .fix(fix)
        .verify(format!("namei -l {directory}"))
        .verify(case.verify_command())
        .into())
}

/// The directory above that is in the way.
fn open_up(node: &snapshot::PathNode) -> Fix {
    let fix = Fix::repair(format!("Let the workers through {}", node.path));
    fix.run(format!("chmod a+x {}", node.path))
        .risk("everybody may pass through it then, as is usual; what it holds stays unreadable")
}

/// The directory to the workers, and the way to it open.
fn give_back(directory: &str, user: &str) -> Fix {
    let plain =
        |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_alphanumeric() || b"/._-".contains(&it));
    let fix = Fix::repair(format!(
        "Give {directory} to {user}, and let that user through the directories above it"
    ));
    if !plain(directory) || !plain(user) || directory.matches('/').count() < 2 {
        return fix;
    }
    let fix = fix.run(format!("chown {user} {directory}")).run(format!("chmod u+rwx {directory}"));
    let parents = directory.match_indices('/').map(|(at, _)| &directory[..at]).filter(|it| !it.is_empty());
    let open: Vec<&str> = parents.collect();
    fix.run(format!("chmod a+x {}", open.join(" "))).risk(
        "everybody may pass through the directories above it, as is usual; their contents stay unreadable",
    )
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("/", |(it, _)| it)
}

/// Whether a message is about one of nginx's temporary files, and not about a file of the site or the configuration.
pub fn is_temporary(message: &str) -> bool {
    message.contains("_temp") || is_number(message)
}

/// Whether the file's name is one of nginx's temporary numbers.
fn is_number(message: &str) -> bool {
    let name = space::path_in(message).and_then(|it| it.rsplit('/').next()).unwrap_or_default();
    name.len() == 10 && name.bytes().all(|it| it.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn line(error: &str) -> String {
        format!(
            "[crit] 101#101: *7 open() \"/var/lib/nginx/body/0000000004\" failed ({error}), client: 10.0.0.9, server: \
             shop.example.com, request: \"POST /upload HTTP/1.1\", host: \"shop.example.com\""
        )
    }

    #[test]
    fn a_directory_that_denies_the_workers_is_given_back() {
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[&line("13: Permission denied")]);
        let report = check(&host, "temp-path-permission: confirmed");
        let commands = &report.causes[0].fixes[0].commands;
        assert_eq!(commands[0], "chown www-data /var/lib/nginx/body");
        assert_eq!(commands[2], "chmod a+x /var /var/lib /var/lib/nginx");
    }

    #[test]
    fn the_directory_above_that_is_in_the_way_is_named() {
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[&line("13: Permission denied")])
            .with(|it| {
                let step = snapshot::PathNode {
                    path: "/var/lib/nginx".into(),
                    mode: 0o700,
                    uid: 0,
                    gid: 0,
                    owner: "root".into(),
                    group: "root".into(),
                    kind: NodeKind::Directory,
                    allows_worker: Some(false),
                };
                it.disks = seen(vec![snapshot::Disk {
                    path: "/var/lib/nginx/body".into(),
                    used_for: "client_body_temp_path".into(),
                    total_bytes: 64 << 20,
                    available_bytes: 60 << 20,
                    total_inodes: None,
                    available_inodes: None,
                    read_only: false,
                    node: None,
                    worker_may_write: Some(false),
                    closed_by: Some(step),
                }]);
            });
        let report = check(&host, "temp-path-permission: confirmed");
        assert_eq!(report.causes[0].fixes[0].commands, ["chmod a+x /var/lib/nginx"]);
    }

    #[test]
    fn a_full_disk_is_another_cause() {
        let host =
            logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[&line("28: No space left on device")]);
        check(&host, "disk-full: confirmed");
        check_ruled_out(&host, "temp-path-permission", "28");
    }
}
