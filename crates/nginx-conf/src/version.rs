//! nginx versions, because many defaults changed with them.

use std::fmt;

/// A version of nginx: major, minor, patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u16, pub u16, pub u16);

impl Default for Version {
    /// What is assumed when the version is not known: the newest release whose defaults are those of the long
    /// series before it (the next stable branch changed upstream keep-alive).
    fn default() -> Self {
        Version(1, 28, 0)
    }
}

impl Version {
    /// Reads `1.22.1`, `nginx/1.22.1`, `nginx version: nginx/1.22.1 (Ubuntu)` or `openresty/1.21.4.1`: the first
    /// run of dotted numbers counts. A missing patch number is 0; `None` without at least `major.minor`.
    pub fn parse(text: &str) -> Option<Version> {
        let start = text.find(|c: char| c.is_ascii_digit())?;
        let dotted = text[start..].split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
        let mut numbers = dotted.split('.').map(|number| number.parse::<u16>().ok());
        let major = numbers.next()??;
        let minor = numbers.next()??;
        Some(Version(major, minor, numbers.next().flatten().unwrap_or(0)))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(text: &str, expected: Option<Version>) {
        assert_eq!(Version::parse(text), expected, "{text}");
    }

    #[test]
    fn a_version_is_read_from_what_programs_print() {
        reads("1.22.1", Some(Version(1, 22, 1)));
        reads("nginx/1.29.7 (Ubuntu)", Some(Version(1, 29, 7)));
        reads("nginx version: nginx/1.18.0", Some(Version(1, 18, 0)));
        reads("openresty/1.21.4.1", Some(Version(1, 21, 4)));
        reads("1.30", Some(Version(1, 30, 0)));
        reads("nginx", None);
        reads("7", None);
        reads("99999.1.1", None);
    }
}
