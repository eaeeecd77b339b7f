//! Logs that are not lying about as plain text: compressed ones, and what a container's engine keeps of the standard
//! streams. Their text is put into a file in memory, so that one reader serves for all.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nginx_conf::Files;
use nginx_logs::{Carried, Carrier as Wrapping, Stream};
use rustix::fs::MemfdFlags;

use super::{Context, window};
use crate::host::files::{FsFiles, open};
use crate::input::packing::{Packing, text_of};
use crate::nginx::Instance;

/// How much text is decoded.
const MAX_BYTES: u64 = 64 << 20;

/// Where container engines keep what a container writes to its standard streams; `*` stands for the container's id.
const KEPT_AT: &[&str] = &[
    "/var/lib/docker/containers/{id}/{id}-json.log",
    "/var/lib/containers/storage/overlay-containers/{id}/userdata/ctr.log",
    "/var/log/containers/*-{id}.log",
];

/// A standard stream that an engine keeps.
#[derive(Debug, Clone, PartialEq)]
pub struct Carrier {
    path: PathBuf,
    stream: Stream,
    /// How it is shown: the container's short id, as the engine's own command takes it.
    pub shown: String,
}

impl Carrier {
    /// The one of the container that nginx runs in; none outside of containers, or where its engine keeps no file.
    pub fn of(instance: &Instance, stream: Stream) -> Option<Carrier> {
        let id = container_id(&instance.cgroup)?;
        let paths = KEPT_AT.iter().map(|it| it.replace("{id}", id));
        let path = paths.filter_map(|it| FsFiles::new("/").glob(&it).ok()?.pop()).find(|it| it.is_file())?;
        Some(Carrier { path, stream, shown: format!("container:{}", &id[..12]) })
    }

    /// The part of the window as plain lines, each of that stream; and the zone of their times.
    pub fn text(&self, context: &Context) -> io::Result<(File, TimeZone)> {
        let context = Context { root: PathBuf::from("/"), ..context.clone() };
        let part = window::read(&self.path, &context, MAX_BYTES, |line| Some(record(line)?.0))?;
        let (mut file, mut zone) = (memory_file()?, context.zone.clone());
        for line in part.bytes.split(|byte| *byte == b'\n') {
            if let Some((written, carried)) = record(line)
                && carried.stream == Some(self.stream)
            {
                zone = window::zone_of_writer(&carried.text, written, &zone).unwrap_or(zone);
                file.write_all(&carried.text)?;
                if !carried.continues {
                    file.write_all(b"\n")?;
                }
            }
        }
        file.seek(SeekFrom::Start(0))?;
        Ok((file, zone))
    }
}

/// The id in a cgroup's path: `/docker/<id>`, `docker-<id>.scope`, `libpod-<id>.scope`, `cri-containerd-<id>.scope`.
pub fn container_id(cgroup: &str) -> Option<&str> {
    let is_id = |it: &&str| it.len() == 64 && it.bytes().all(|it| it.is_ascii_hexdigit());
    cgroup.rsplit('/').flat_map(|it| it.split(['-', '.', ':'])).find(is_id)
}

/// A line of Docker's JSON, or of CRI, and when it was written.
fn record(line: &[u8]) -> Option<(Timestamp, Carried<'_>)> {
    let carrier = if line.starts_with(b"{") { Wrapping::DockerJson } else { Wrapping::Cri };
    let carried = carrier.open(line)?;
    Some((carried.at?, carried))
}

/// The text of a packed log; none when it is plain. Of one that is still being written to, what is there.
pub fn unpacked(root: &Path, path: &Path) -> io::Result<Option<File>> {
    let (packing, text) = text_of(open(root, path)?, None)?;
    if packing == Packing::Plain {
        return Ok(None);
    }
    let mut file = memory_file()?;
    // The end of a file that is being written is no error.
    let _ = io::copy(&mut text.take(MAX_BYTES), &mut file);
    file.seek(SeekFrom::Start(0))?;
    Ok(Some(file))
}

fn memory_file() -> io::Result<File> {
    Ok(rustix::fs::memfd_create("log", MemfdFlags::CLOEXEC)?.into())
}

/// Where a file of ours can be opened again.
pub fn path_of(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3b4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c";

    #[test]
    fn a_container_is_known_by_its_cgroup() {
        for cgroup in [
            format!("/docker/{ID}"),
            format!("/system.slice/docker-{ID}.scope"),
            format!("/machine.slice/libpod-{ID}.scope/container"),
            format!("/kubepods.slice/kubepods-burstable.slice/cri-containerd-{ID}.scope"),
        ] {
            assert_eq!(container_id(&cgroup), Some(ID), "{cgroup}");
        }
        assert_eq!(container_id("/system.slice/nginx.service"), None);
    }

    #[track_caller]
    fn recorded(line: &str, expected: Option<(&str, Stream, &str)>) {
        let found = record(line.as_bytes())
            .map(|(at, it)| (at.to_string(), it.stream, String::from_utf8_lossy(&it.text).into_owned()));
        let expected = expected.map(|(at, stream, text)| (at.to_owned(), Some(stream), text.to_owned()));
        assert_eq!(found, expected);
    }

    #[test]
    fn both_forms_of_records_are_read_and_others_passed_over() {
        let docker =
            r#"{"log":"2026/05/02 12:00:00 [error] x\n","stream":"stderr","time":"2026-05-02T12:00:00.5Z"}"#;
        recorded(docker, Some(("2026-05-02T12:00:00.5Z", Stream::Error, "2026/05/02 12:00:00 [error] x")));
        let cri = "2026-05-02T12:00:00.5Z stdout F 10.0.0.9 - - [02/May/2026]";
        recorded(cri, Some(("2026-05-02T12:00:00.5Z", Stream::Output, "10.0.0.9 - - [02/May/2026]")));
        for end in 0..docker.len() {
            // A record that was cut is none, unless only its end is missing.
            let cut = record(&docker.as_bytes()[..end]);
            assert!(cut.is_none_or(|it| it.1.text.ends_with(b"[error] x")));
        }
        recorded("plain text of four words and more", None);
    }
}
