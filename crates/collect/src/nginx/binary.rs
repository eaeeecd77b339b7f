//! What stands in the binary: flavour, version and the paths that are compiled in.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use memchr::memmem;

/// Larger binaries are not searched.
const MAX_BINARY_BYTES: u64 = 128 << 20;

/// What stands in the binary.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Build {
    /// `nginx`, `openresty`, `angie`, `tengine` …; empty when unknown.
    pub flavour: String,
    /// The version of nginx that it is made of; empty when unknown.
    pub version: String,
    /// What ./configure was given.
    arguments: String,
}

/// Reads the binary; none when it cannot be read or is too large.
pub fn read(path: &Path) -> Option<Build> {
    let file = File::open(path).ok()?;
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > MAX_BINARY_BYTES {
        return None;
    }
    let mut binary = Vec::with_capacity(usize::try_from(metadata.len()).ok()?);
    file.take(MAX_BINARY_BYTES).read_to_end(&mut binary).ok()?;
    Some(parse(&binary))
}

/// What `nginx -V` prints stands in the binary as text: `nginx version: nginx/1.22.1` and `configure arguments: …`.
/// Source: nginx ngx_show_version_info().
fn parse(binary: &[u8]) -> Build {
    let line = |needle: &str| {
        memmem::find_iter(binary, needle.as_bytes()).find_map(|at| {
            let rest = &binary[at + needle.len()..];
            let end = rest.iter().take(16 << 10).position(|byte| *byte < 0x20)?;
            std::str::from_utf8(&rest[..end]).ok().filter(|it| !it.is_empty())
        })
    };
    let product = |needle| line(needle).and_then(|it| it.split([' ', '(']).next()?.split_once('/'));
    // Angie and Tengine tell their own version first, and the one of the nginx inside them behind it: its defaults hold.
    let forks = ["Angie version: ", "Tengine version: ", "freenginx version: "];
    let fork = forks.into_iter().find_map(product);
    let nginx = product("nginx version: ");
    let (name, _) = fork.or(nginx).unwrap_or_default();
    let (_, version) = nginx.or(fork).unwrap_or_default();
    Build {
        flavour: name.to_ascii_lowercase(),
        version: version.to_owned(),
        arguments: line("configure arguments: ").unwrap_or_default().to_owned(),
    }
}

impl Build {
    /// The value of an option of ./configure, which may stand in quotes.
    pub fn option(&self, name: &str) -> Option<String> {
        let mut rest = self.arguments.as_str();
        while let Some(at) = rest.find(name) {
            let before = rest[..at].chars().next_back();
            let after = &rest[at + name.len()..];
            if let (None | Some(' ' | '\''), Some(value)) = (before, after.strip_prefix('=')) {
                let end = match value.chars().next() {
                    Some('\'') => return value[1..].split('\'').next().map(str::to_owned),
                    _ => value.find([' ', '\'']).unwrap_or(value.len()),
                };
                return Some(value[..end].to_owned()).filter(|it| !it.is_empty());
            }
            rest = after;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_and_paths_stand_in_the_binary() {
        let binary = b"\x7fELF\0nginx version: \0x\0nginx version: openresty/1.21.4.1\nbuilt by gcc\nconfigure arguments: \
            --prefix=/usr/local/openresty/nginx --with-cc-opt='-O2 --prefix=no' --conf-path='/etc/a b.conf' --user=www\n\0";
        let build = parse(binary);
        assert_eq!((build.flavour.as_str(), build.version.as_str()), ("openresty", "1.21.4.1"));
        assert_eq!(build.option("--prefix").as_deref(), Some("/usr/local/openresty/nginx"));
        assert_eq!(build.option("--conf-path").as_deref(), Some("/etc/a b.conf"));
        assert_eq!(build.option("--user").as_deref(), Some("www"));
        assert_eq!(build.option("--group"), None);
        assert_eq!(parse(b"nothing of that"), Build::default());
    }

    #[test]
    fn a_fork_has_the_version_of_the_nginx_that_it_is_made_of() {
        let build = parse(b"Angie version: Angie/1.10.3\nnginx version: nginx/1.27.5\nbuilt by gcc\n");
        assert_eq!((build.flavour.as_str(), build.version.as_str()), ("angie", "1.27.5"));
        let build = parse(b"freenginx version: freenginx/1.28.0\n");
        assert_eq!((build.flavour.as_str(), build.version.as_str()), ("freenginx", "1.28.0"));
    }
}
