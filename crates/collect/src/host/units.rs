//! systemd's services and sockets. Source: one `systemctl show`, and the unit files that systemd has not loaded.
//!
//! A stopped and disabled service is not loaded, so systemd does not list it; yet "the service exists, and nobody starts
//! it" is what the operator has to hear. Such files are read directly.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use snapshot::{Reading, Reason, Unit, Unread};

use super::clock::Clock;
use super::command;

const COMMAND: &str = "systemctl show --type=service,socket --all";

/// Where unit files lie, the ones that win first. Source: systemd.unit(5).
const FOLDERS: &[&str] = &[
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];

/// A unit file larger than this is not read.
const MAX_FILE_BYTES: u64 = 256 << 10;

const PROPERTIES: &str = "--property=Id,Description,LoadState,ActiveState,SubState,UnitFileState,Result,ExecMainStatus,\
ExecMainCode,MainPID,NRestarts,ActiveEnterTimestampMonotonic,InactiveEnterTimestampMonotonic,\
ExecMainStartTimestampMonotonic,ExecMainExitTimestampMonotonic,ExecStart,Environment,User,WorkingDirectory,FragmentPath,\
DropInPaths,NeedDaemonReload,Restart,Listen,Triggers,ControlGroup,LimitNOFILESoft,MemoryMax";

/// Every service and socket.
pub fn read(clock: &Clock, deadline: Instant) -> Reading<Vec<Unit>> {
    if !Path::new("/run/systemd/system").is_dir() {
        return Reading::Unread(Unread {
            reason: Reason::Unsupported,
            source: COMMAND.to_owned(),
            detail: "systemd does not run here".to_owned(),
        });
    }
    let arguments = ["show", "--type=service,socket", "--all", "--no-pager", PROPERTIES];
    match command::run("systemctl", &arguments, deadline, COMMAND) {
        Ok(output) if output.success => {
            let mut units = parse(&String::from_utf8_lossy(&output.stdout), clock);
            units.extend(not_loaded(Path::new("/"), &units));
            Reading::seen(units, COMMAND, clock.now)
        }
        Ok(output) => Reading::unread(Reason::Denied, COMMAND, output.stderr),
        Err(unread) => Reading::Unread(unread),
    }
}

/// Blocks of `Name=value` lines, one for each unit, with an empty line between them.
fn parse(text: &str, clock: &Clock) -> Vec<Unit> {
    text.split("\n\n").filter_map(|block| parse_unit(block, clock)).collect()
}

fn parse_unit(block: &str, clock: &Clock) -> Option<Unit> {
    let mut unit = Unit::default();
    for line in block.lines() {
        let Some((name, value)) = line.split_once('=') else { continue };
        let text = || value.to_owned();
        let at = || clock.at_monotonic_micros(value.parse().unwrap_or(0));
        let words = || value.split(' ').filter(|it| !it.is_empty()).map(str::to_owned).collect();
        match name {
            "Id" => unit.name = text(),
            "Description" => unit.description = text(),
            "LoadState" => unit.load_state = text(),
            "ActiveState" => unit.active_state = text(),
            "SubState" => unit.sub_state = text(),
            "UnitFileState" => unit.file_state = text(),
            "Result" => unit.result = text(),
            "ExecMainStatus" => unit.exit_status = value.parse().unwrap_or(0),
            "ExecMainCode" => unit.exit_code = exit_code(value).to_owned(),
            "MainPID" => unit.main_pid = value.parse().unwrap_or(0),
            "NRestarts" => unit.restarts_total = value.parse().unwrap_or(0),
            "ActiveEnterTimestampMonotonic" => unit.active_since = at(),
            "InactiveEnterTimestampMonotonic" => unit.inactive_since = at(),
            "ExecMainStartTimestampMonotonic" => unit.main_started_at = at(),
            "ExecMainExitTimestampMonotonic" => unit.main_exited_at = at(),
            "ExecStart" => push_command(&mut unit.exec_start, &command_line(value)),
            "Environment" => unit.environment = unquote_words(value),
            "User" => unit.user = text(),
            "WorkingDirectory" => unit.working_directory = text(),
            "FragmentPath" => unit.fragment_path = text(),
            "DropInPaths" => unit.drop_in_paths = words(),
            "NeedDaemonReload" => unit.need_daemon_reload = value == "yes",
            "Restart" => unit.restart = text(),
            "Listen" => unit.listen.push(value.split(" (").next().unwrap_or(value).to_owned()),
            "Triggers" => unit.triggers = words(),
            "ControlGroup" => unit.cgroup = text(),
            "LimitNOFILESoft" => unit.limit_nofile = value.parse().ok(),
            "MemoryMax" => unit.memory_max_bytes = value.parse().ok().filter(|it| *it != u64::MAX),
            _ => {}
        }
    }
    (!unit.name.is_empty()).then_some(unit)
}

/// CLD_EXITED, CLD_KILLED and CLD_DUMPED of signal.h.
fn exit_code(code: &str) -> &'static str {
    match code {
        "1" => "exited",
        "2" => "killed",
        "3" => "dumped",
        _ => "",
    }
}

/// `{ path=/usr/bin/x ; argv[]=/usr/bin/x --flag ; ignore_errors=no ; … }`: what stands between the two labels.
fn command_line(value: &str) -> String {
    let Some((_, rest)) = value.split_once("argv[]=") else { return String::new() };
    rest.rsplit_once(" ; ignore_errors=").map_or(rest, |it| it.0).to_owned()
}

/// A oneshot service has several commands; they are told one after another as a shell would.
fn push_command(commands: &mut String, command: &str) {
    if !commands.is_empty() {
        commands.push_str("; ");
    }
    commands.push_str(command);
}

/// Words separated by blanks, each possibly quoted as systemd does: `A=1 "B=x y"`.
fn unquote_words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut begun) = (Vec::new(), String::new(), None, false);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', _) => word.extend(characters.next()),
            ('"' | '\'', None) => (quote, begun) = (Some(character), true),
            (_, Some(open)) if open == character => quote = None,
            (' ' | '\t', None) => {
                if begun || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            _ => word.push(character),
        }
    }
    if begun || !word.is_empty() {
        words.push(word);
    }
    words
}

/// Services with a file that systemd has not loaded: neither running, nor wanted by anything, nor failed.
fn not_loaded(root: &Path, loaded: &[Unit]) -> Vec<Unit> {
    let loaded: HashSet<&str> =
        loaded.iter().filter(|it| it.load_state != "not-found").map(|it| it.name.as_str()).collect();
    let enabled = enabled(root);
    let mut found: HashMap<String, Unit> = HashMap::new();
    for folder in FOLDERS {
        for entry in fs::read_dir(root.join(folder)).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            // A template is no service; only its instances are.
            let is_service = name.ends_with(".service") && !name.contains("@.");
            if !is_service || loaded.contains(name.as_str()) || found.contains_key(&name) {
                continue;
            }
            if let Some(unit) = from_file(&name, &entry.path(), enabled.contains(&name)) {
                found.insert(name, unit);
            }
        }
    }
    let mut units: Vec<Unit> = found.into_values().collect();
    units.sort_by(|a, b| a.name.cmp(&b.name));
    units
}

/// The names that a `*.wants` or `*.requires` folder links to.
fn enabled(root: &Path) -> HashSet<String> {
    let mut names = HashSet::new();
    for folder in fs::read_dir(root.join(FOLDERS[0])).into_iter().flatten().flatten() {
        let folder_name = folder.file_name().to_string_lossy().into_owned();
        if folder_name.ends_with(".wants") || folder_name.ends_with(".requires") {
            let links = fs::read_dir(folder.path()).into_iter().flatten().flatten();
            names.extend(links.map(|it| it.file_name().to_string_lossy().into_owned()));
        }
    }
    names
}

/// A service as its file describes it; none for an alias of another unit.
fn from_file(name: &str, path: &Path, enabled: bool) -> Option<Unit> {
    let mut unit = Unit {
        name: name.to_owned(),
        load_state: "not-loaded".to_owned(),
        active_state: "inactive".to_owned(),
        sub_state: "dead".to_owned(),
        fragment_path: shown(path),
        ..Unit::default()
    };
    let target = fs::read_link(path).ok();
    if target.as_deref() == Some(Path::new("/dev/null")) {
        unit.load_state = "masked".to_owned();
        unit.file_state = "masked".to_owned();
        return Some(unit);
    }
    // An alias points to a unit of another name, which is listed itself.
    if target.is_some_and(|target| target.file_name().is_some_and(|it| it != name)) {
        return None;
    }
    if fs::metadata(path).ok()?.len() > MAX_FILE_BYTES {
        return None;
    }
    let text = String::from_utf8_lossy(&fs::read(path).ok()?).replace("\\\n", " ");
    let (mut section, mut installs) = ("", false);
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let value = value.trim();
        match (section, key.trim()) {
            ("[Unit]", "Description") => unit.description = value.to_owned(),
            ("[Service]", "ExecStart") if value.is_empty() => unit.exec_start.clear(),
            ("[Service]", "ExecStart") => {
                push_command(&mut unit.exec_start, value.trim_start_matches(['-', '+', '!', ':', '@']));
            }
            ("[Service]", "Environment") => unit.environment.extend(unquote_words(value)),
            ("[Service]", "User") => unit.user = value.to_owned(),
            ("[Service]", "WorkingDirectory") => unit.working_directory = value.to_owned(),
            ("[Service]", "Restart") => unit.restart = value.to_owned(),
            ("[Install]", _) => installs = true,
            _ => {}
        }
    }
    unit.file_state = match (enabled, installs) {
        (true, _) => "enabled",
        (false, true) => "disabled",
        (false, false) => "static",
    }
    .to_owned();
    Some(unit)
}

/// The path without the root that a test hands in.
fn shown(path: &Path) -> String {
    let parts: Vec<_> = path.components().collect();
    let tails = FOLDERS.iter().map(PathBuf::from);
    tails
        .filter_map(|tail| {
            let length = tail.components().count() + 1;
            let end: PathBuf = parts.iter().skip(parts.len().checked_sub(length)?).collect();
            end.starts_with(&tail).then(|| format!("/{}", end.display()))
        })
        .max_by_key(String::len)
        .unwrap_or_else(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    #[test]
    fn a_unit_is_read_from_its_properties() {
        let text = "Id=shop.service\nLoadState=loaded\nActiveState=failed\nExecMainCode=2\nExecMainStatus=9\n\
            ExecStart={ path=/usr/bin/node ; argv[]=/usr/bin/node app.js --name a ; b ; ignore_errors=no ; start_time=[n/a] ; pid=0 }\n\
            Environment=PORT=3000 \"NAME=a b\"\nMemoryMax=infinity\nLimitNOFILESoft=1024\n\
            ExecMainExitTimestampMonotonic=60000000\nActiveEnterTimestampMonotonic=0\n\
            \nId=php.socket\nListen=/run/php.sock (Stream)\nListen=[::]:9000 (Stream)\nTriggers=php.service\n";
        let units = parse(text, &Clock::fixed("2026-05-02T13:00:00Z"));
        let shop = &units[0];
        assert_eq!((shop.exit_code.as_str(), shop.exit_status), ("killed", 9));
        assert_eq!(shop.exec_start, "/usr/bin/node app.js --name a ; b");
        assert_eq!(shop.environment, ["PORT=3000", "NAME=a b"]);
        assert_eq!((shop.memory_max_bytes, shop.limit_nofile), (None, Some(1024)));
        assert_eq!(shop.main_exited_at, Some("2026-05-02T12:01:00Z".parse().unwrap()));
        assert_eq!(shop.active_since, None);
        assert_eq!(units[1].listen, ["/run/php.sock", "[::]:9000"]);
        assert_eq!(units[1].triggers, ["php.service"]);
    }

    #[test]
    fn a_service_that_nobody_loaded_is_found_by_its_file() {
        let folder = Folder::new()
            .file(
                "etc/systemd/system/shop.service",
                "[Unit]\nDescription=Shop\n[Service]\nExecStart=/usr/bin/python3 \\\n  app.py\nEnvironment=PORT=80\n\
                 User=shop\n[Install]\nWantedBy=multi-user.target\n",
            )
            .file("lib/systemd/system/shop.service", "[Service]\nExecStart=/other\n")
            .file("lib/systemd/system/loaded.service", "[Service]\nExecStart=/x\n")
            .file("lib/systemd/system/template@.service", "[Service]\nExecStart=/x\n")
            .link("etc/systemd/system/alias.service", "/lib/systemd/system/loaded.service")
            .link("etc/systemd/system/masked.service", "/dev/null");
        let loaded = [Unit { name: "loaded.service".into(), load_state: "loaded".into(), ..Unit::default() }];
        let units = not_loaded(folder.path(), &loaded);
        let names: Vec<_> = units.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["masked.service", "shop.service"]);
        let shop = &units[1];
        assert_eq!(shop.exec_start.split_whitespace().collect::<Vec<_>>(), ["/usr/bin/python3", "app.py"]);
        assert_eq!((shop.file_state.as_str(), shop.load_state.as_str()), ("disabled", "not-loaded"));
        assert_eq!(shop.fragment_path, "/etc/systemd/system/shop.service");
    }

    #[test]
    fn quoted_words_keep_their_blanks() {
        assert_eq!(unquote_words(r#"A=1 "B=x \"y\"" '' C"#), ["A=1", "B=x \"y\"", "", "C"]);
    }
}
