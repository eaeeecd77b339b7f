//! What a machine needs for throw-away hosts, and what of it is missing here.

use std::fs;
use std::process::{Command, Stdio};

/// The Debian packages whose programs run inside the hosts, or build them.
pub const PACKAGES: &[&str] = &[
    "bash",
    "bsdutils",
    "conntrack",
    "curl",
    "dbus",
    "dnsmasq-base",
    "gunicorn",
    "haproxy",
    "iproute2",
    "iptables",
    "nftables",
    "nginx-full",
    "nodejs",
    "openssl",
    "php8.2-fpm",
    "procps",
    "python3",
    "socat",
    "stunnel4",
    "systemd",
    "util-linux",
    "uwsgi-core",
    "uwsgi-plugin-python3",
];

/// Those of [`PACKAGES`] that are not installed; all of them where there is no dpkg.
pub fn missing_packages() -> Vec<&'static str> {
    let query = |package: &str| {
        let output = Command::new("dpkg-query").args(["-W", "-f=${Status}", package]).output();
        output.is_ok_and(|it| it.stdout.ends_with(b" installed"))
    };
    PACKAGES.iter().copied().filter(|package| !query(package)).collect()
}

/// Whether hosts may be booted, and packages installed, by who runs this.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Everything that keeps this machine from booting hosts, one sentence each. Empty when it can.
pub fn missing_requirements() -> Vec<String> {
    let mut missing = Vec::new();
    if !is_root() {
        missing.push("root is needed for namespaces and mounts".to_owned());
    }
    let packages = missing_packages();
    if !packages.is_empty() {
        missing.push(format!("these Debian packages are not installed: {}", packages.join(" ")));
    }
    let filesystems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let module =
        || Command::new("modprobe").arg("overlay").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !filesystems.contains("\toverlay\n") && !module().is_ok_and(|status| status.success()) {
        missing.push("the kernel has no overlayfs".to_owned());
    }
    for namespace in ["cgroup", "ipc", "mnt", "net", "pid", "uts"] {
        if fs::metadata(format!("/proc/self/ns/{namespace}")).is_err() {
            missing.push(format!("the kernel has no {namespace} namespaces"));
        }
    }
    // Of version 2 hosts see only those controllers that the root hands down.
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let handed_down = fs::read_to_string("/sys/fs/cgroup/cgroup.subtree_control");
    if !mounts.lines().any(|line| line.contains(" cgroup")) {
        missing.push("no cgroups are mounted".to_owned());
    } else if handed_down.is_ok_and(|it| !it.contains("memory")) {
        missing.push("the memory controller is not in /sys/fs/cgroup/cgroup.subtree_control".to_owned());
    }
    missing
}
