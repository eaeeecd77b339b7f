//! Names of users and groups, from the files in /etc. A directory service is not asked: it may hang, and a missing name
//! costs nothing but a name.

use std::fs;
use std::path::Path;

use snapshot::WorkerUser;

/// The users and groups of one root.
#[derive(Debug, Clone, Default)]
pub struct Users {
    /// Name, uid and gid.
    users: Vec<(String, u32, u32)>,
    /// Name, gid and members.
    groups: Vec<(String, u32, Vec<String>)>,
}

impl Users {
    /// Those of the host (`/`), or of a mount namespace (`/proc/PID/root`).
    pub fn at(root: &Path) -> Users {
        let text = |path: &str| fs::read(root.join(path)).unwrap_or_default();
        Users::parse(
            &String::from_utf8_lossy(&text("etc/passwd")),
            &String::from_utf8_lossy(&text("etc/group")),
        )
    }

    fn parse(passwd: &str, group: &str) -> Users {
        let users = passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_owned();
            Some((name, fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
        });
        let groups = group.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_owned();
            let gid = fields.nth(1)?.parse().ok()?;
            let members = fields.next().unwrap_or_default();
            Some((name, gid, members.split(',').filter(|it| !it.is_empty()).map(str::to_owned).collect()))
        });
        Users { users: users.collect(), groups: groups.collect() }
    }

    /// The name of a uid; empty when it has none.
    pub fn name(&self, uid: u32) -> String {
        self.users.iter().find(|(_, it, _)| *it == uid).map(|(name, ..)| name.clone()).unwrap_or_default()
    }

    /// The name of a gid; empty when it has none.
    pub fn group_name(&self, gid: u32) -> String {
        self.groups.iter().find(|(_, it, _)| *it == gid).map(|(name, ..)| name.clone()).unwrap_or_default()
    }

    /// A user by name with the groups that initgroups(3) would give, which is what nginx calls. `group` overrides the
    /// user's own group, as the second argument of nginx's `user` does.
    pub fn worker(&self, name: &str, group: Option<&str>) -> Option<WorkerUser> {
        let (_, uid, own_gid) = self.users.iter().find(|(it, ..)| it == name)?;
        let gid = match group {
            Some(group) => self.groups.iter().find(|(it, ..)| it == group)?.1,
            None => self.groups.iter().find(|(it, ..)| it == name).map_or(*own_gid, |(_, gid, _)| *gid),
        };
        let mut groups = vec![gid];
        for (_, gid, members) in &self.groups {
            if members.iter().any(|it| it == name) && !groups.contains(gid) {
                groups.push(*gid);
            }
        }
        Some(WorkerUser { uid: *uid, gid, groups, name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_has_the_groups_that_list_it() {
        let users = Users::parse(
            "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\nbroken\n",
            "www-data:x:33:\nshop:x:1001:deploy,www-data\nother:x:7:deploy\n",
        );
        let worker = users.worker("www-data", None).unwrap();
        assert_eq!((worker.uid, worker.gid, worker.groups), (33, 33, vec![33, 1001]));
        assert_eq!(users.worker("www-data", Some("other")).unwrap().gid, 7);
        assert_eq!(users.worker("nobody", None), None);
        assert_eq!(users.name(33), "www-data");
        assert_eq!(users.group_name(4242), "");
    }
}
