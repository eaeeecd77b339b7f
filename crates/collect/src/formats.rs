//! The formats of access logs that somebody names: by a configuration, or as text.

use std::path::{Path, PathBuf};

use nginx_conf::{Config, Files, LogFormat, MemoryFiles};
use nginx_logs::access::{Escape, Format};

use crate::host::files::FsFiles;

/// A `log_format` with its name.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedFormat {
    pub name: String,
    pub format: Format,
}

/// Why a configuration gives no formats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoFormats {
    /// Where it stands, with its line if that is known.
    pub place: String,
    pub message: String,
}

/// Every `log_format` of a configuration and of the files that it includes. A part of a configuration will do, and what is
/// wrong elsewhere in it does not matter.
pub fn of_config(path: &Path) -> Result<Vec<NamedFormat>, NoFormats> {
    let shown = path.display().to_string();
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let files = FsFiles::new("/");
    if let Err(message) = files.read(&path) {
        return Err(NoFormats { place: shown, message });
    }
    let config = nginx_conf::load(&files, &path);
    let found = named(&config);
    match config.problems.first().filter(|_| found.is_empty()) {
        Some(it) => Err(NoFormats { place: config.exact_place(it.span), message: it.message.clone() }),
        // Most configurations name none: `combined` is nginx's own.
        None => Ok(found),
    }
}

/// A format as people give it: the text of a `log_format`, also with `escape=json ` before it; the whole directive, as it
/// stands in a configuration; or the name of one of the `known` formats or of nginx's own.
pub fn of_text(text: &str, known: &[NamedFormat]) -> Result<Format, String> {
    let text = text.trim();
    if let Some(it) = known.iter().find(|it| it.name == text) {
        return Ok(it.format.clone());
    }
    if text == "combined" {
        return Ok(Format::combined());
    }
    if text.starts_with("log_format") {
        return of_directive(text);
    }
    let (escape, rest) = match text.strip_prefix("escape=").and_then(|it| it.split_once(char::is_whitespace))
    {
        Some(("json", rest)) => (Escape::Json, rest.trim_start()),
        Some(("none", rest)) => (Escape::None, rest.trim_start()),
        Some(("default", rest)) => (Escape::Default, rest.trim_start()),
        Some((other, _)) => return Err(format!("escape={other} is none of default, json and none")),
        None => (Escape::Default, text),
    };
    // The strings of a directive, as they were copied out of it.
    if rest.starts_with('\'') || rest.starts_with('"') && rest.trim_end_matches(';').ends_with('"') {
        return of_directive(&format!("log_format pasted escape={} {rest}", name_of(escape)));
    }
    if !rest.contains('$') {
        return Err("it holds no variable, and no format has that name".to_owned());
    }
    Ok(Format::compile(rest, escape))
}

fn of_directive(text: &str) -> Result<Format, String> {
    let closed = if text.trim_end().ends_with(';') { text.to_owned() } else { format!("{text};") };
    let path = PathBuf::from("/log_format");
    let files = MemoryFiles([(path.clone(), closed.into_bytes())].into());
    let config = nginx_conf::load(&files, &path);
    if let Some(problem) = config.problems.first() {
        return Err(problem.message.clone());
    }
    let found = named(&config).into_iter().next().map(|it| it.format);
    found.filter(|it| it.variables().next().is_some()).ok_or_else(|| "it holds no variable".to_owned())
}

fn named(config: &Config) -> Vec<NamedFormat> {
    let compiled = |it: &LogFormat| Format::compile(&it.text, escape_of(it));
    let found = config.log_formats();
    found.iter().map(|(name, it)| NamedFormat { name: (*name).to_owned(), format: compiled(it) }).collect()
}

fn escape_of(format: &LogFormat) -> Escape {
    match format.escape {
        nginx_conf::Escape::Default => Escape::Default,
        nginx_conf::Escape::Json => Escape::Json,
        nginx_conf::Escape::None => Escape::None,
    }
}

fn name_of(escape: Escape) -> &'static str {
    match escape {
        Escape::Default => "default",
        Escape::Json => "json",
        Escape::None => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    #[track_caller]
    fn reads(text: &str, expected: &Format) {
        assert_eq!(of_text(text, &[]).as_ref(), Ok(expected), "{text}");
    }

    #[test]
    fn a_format_is_taken_as_text_as_strings_and_as_a_directive() {
        let plain = Format::compile("$remote_addr \"$request\" $status", Escape::Default);
        reads("$remote_addr \"$request\" $status", &plain);
        reads("'$remote_addr \"$request\" ' '$status'", &plain);
        reads("log_format main '$remote_addr \"$request\" '\n    '$status';", &plain);
        let json = Format::compile("{\"status\":$status}", Escape::Json);
        reads("escape=json {\"status\":$status}", &json);
        reads("log_format main escape=json '{\"status\":'\n'$status}'", &json);
        reads("combined", &Format::combined());
    }

    #[test]
    fn what_is_no_format_is_refused() {
        assert_eq!(of_text("main", &[]).unwrap_err(), "it holds no variable, and no format has that name");
        assert!(of_text("log_format main 'abc';", &[]).is_err());
        assert!(of_text("log_format main '$status", &[]).is_err());
        assert!(of_text("escape=xml $status", &[]).is_err());
    }

    #[test]
    fn every_format_of_a_configuration_is_found_by_its_name() {
        let folder = Folder::new()
            .file("nginx.conf", "http { include f/*.conf; server { location / { proxy_pas x; } } }")
            .file("f/a.conf", "log_format timed '$status $request_time'; log_format o escape=none $host;")
            .file("none.conf", "events { }")
            .file("broken.conf", "http { log_format");
        let formats = of_config(&folder.path().join("nginx.conf")).unwrap();
        let names: Vec<&str> = formats.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["timed", "o"]);
        assert_eq!(of_text("o", &formats), Ok(Format::compile("$host", Escape::None)));
        let error = |name: &str| of_config(&folder.path().join(name)).unwrap_err().message;
        assert_eq!(of_config(&folder.path().join("none.conf")), Ok(Vec::new()), "combined is nginx's own");
        assert_eq!(error("missing.conf"), "no such file or directory");
        assert!(!error("broken.conf").is_empty());
    }
}
