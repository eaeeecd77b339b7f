//! What nginx was started with: `-c`, `-p`, `-e`, `-g`.

/// Every option that nginx has.
const OPTIONS: &[&str] = &["-c", "-p", "-e", "-g", "-t", "-T", "-q", "-s", "-v", "-V"];

/// Those with which it tests, signals or tells, and ends at once.
const ERRANDS: &[&str] = &["-t", "-T", "-s", "-v", "-V", "-h", "-?"];

/// Options of nginx's command line that matter here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// The binary as it was called; empty when the line is.
    pub binary: String,
    /// `-c`, as written.
    pub config: Option<String>,
    /// `-p`, as written.
    pub prefix: Option<String>,
    /// `-e`, as written.
    pub error_log: Option<String>,
    /// The directives of `-g`.
    pub globals: String,
}

/// Reads a command line, or what stands of it in the title of the master. `-g` takes the words up to the next option,
/// because the title has lost the quotes.
pub fn parse(line: &str) -> CommandLine {
    let line = without_generation(line);
    let mut words = line.split_whitespace().map(|it| it.trim_matches(['"', '\''])).peekable();
    let mut parsed =
        CommandLine { binary: words.next().unwrap_or_default().to_owned(), ..CommandLine::default() };
    let is_option = |word: &str| OPTIONS.contains(&word);
    while let Some(word) = words.next() {
        let (option, attached) = match word.get(..2) {
            Some(option) if is_option(option) => (option, &word[2..]),
            _ => continue,
        };
        let value = |words: &mut dyn Iterator<Item = &str>| match attached {
            "" => words.next().map(str::to_owned),
            attached => Some(attached.to_owned()),
        };
        match option {
            "-c" => parsed.config = value(&mut words),
            "-p" => parsed.prefix = value(&mut words),
            "-e" => parsed.error_log = value(&mut words),
            "-g" => {
                let mut globals = attached.to_owned();
                while let Some(next) = words.next_if(|it| !is_option(it)) {
                    if !globals.is_empty() {
                        globals.push(' ');
                    }
                    globals.push_str(next);
                }
                parsed.globals = globals;
            }
            _ => {}
        }
    }
    parsed
}

/// Whether somebody asks that nginx for something instead of letting it serve.
pub fn is_errand(arguments: &[String]) -> bool {
    arguments.iter().skip(1).any(|it| ERRANDS.contains(&it.as_str()))
}

/// Angie puts its version and the generation of its configuration around it: `v1.10.3 #2 [/usr/sbin/angie -c angie.conf]`.
fn without_generation(line: &str) -> &str {
    let inner = || {
        let (before, rest) = line.split_once('[')?;
        let known = before.split_whitespace().all(|it| it.starts_with(['v', '#']) || it == "PRO");
        (known && !before.is_empty()).then(|| rest.strip_suffix(']').unwrap_or(rest))
    };
    inner().unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_from_the_title_of_the_master() {
        let line = parse("/usr/sbin/nginx -g daemon on; master_process on; -c /etc/other.conf -p/opt/x");
        assert_eq!(line.binary, "/usr/sbin/nginx");
        assert_eq!(line.globals, "daemon on; master_process on;");
        assert_eq!(
            (line.config.as_deref(), line.prefix.as_deref()),
            (Some("/etc/other.conf"), Some("/opt/x"))
        );
        let line = parse("/usr/sbin/nginx -g 'daemon off;'");
        assert_eq!(line.globals, "daemon off;");
        assert_eq!(parse(""), CommandLine::default());
    }

    #[test]
    fn angie_s_title_has_its_version_and_generation_around_the_command_line() {
        let line = parse("v1.11.5 PRO #1 [/usr/sbin/angie -c /etc/angie/angie.conf]");
        assert_eq!(
            (line.binary.as_str(), line.config.as_deref()),
            ("/usr/sbin/angie", Some("/etc/angie/angie.conf"))
        );
        assert_eq!(parse("v1.7.0 #6 [angie]").binary, "angie");
        // Options are cut off where the title had no room for them.
        assert_eq!(parse("v1.7.0 #6 [/usr/sbin/angie -p /opt").prefix.as_deref(), Some("/opt"));
    }

    #[test]
    fn a_test_of_the_configuration_is_an_errand() {
        let called = |line: &str| is_errand(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert!(called("nginx -t") && called("nginx -c x -s reload"));
        assert!(!called("nginx -c x -g daemon off;"));
    }
}
