//! From a case to a verdict: prepare the host, prove the fault, ask the program, compare.

use crate::case::BACKEND_FILES;
use crate::{Case, Host, Output, exercise, tidy};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

const HELPERS: &str = include_str!("../helpers.sh");

/// A phase of a case that takes this long is broken; most end within three seconds.
const PHASE_LIMIT: Duration = Duration::from_secs(60);

/// The program's own limit is 3 s by default; past this one it hangs.
const PROGRAM_LIMIT: Duration = Duration::from_secs(30);

/// What the program said of a case.
#[derive(Debug)]
pub struct Outcome {
    /// Whether that is what the case expects.
    pub ok: bool,
    /// The causes it named, as `id(certainty)`, first to last; or, when not `ok`, what is wrong besides.
    pub got: String,
    /// Its exit status; -1 when a signal ended it.
    pub exit: i32,
    /// How long it took.
    pub seconds: f64,
    /// The whole report.
    pub report: Value,
    /// What the driven requests got, and how often.
    pub statuses: BTreeMap<String, u32>,
}

/// How a case showed what it promises.
#[derive(Debug)]
pub struct Proof {
    /// What the driven requests got, and how often.
    pub statuses: BTreeMap<String, u32>,
    /// The first log line that the case's `log` expression fits. Empty when the case has none.
    pub line: String,
}

/// Runs a case and compares what `binary` says with what the case expects.
///
/// # Errors
/// When the case itself is broken or no host can be had: then nothing is known about the program.
pub fn run(case: &Case, binary: &Path) -> Result<Outcome> {
    let (host, proof) = prepare(case)?;
    install(&host, binary)?;
    let answer = ask(&host, case, "--format json")?;
    let report: Value = serde_json::from_str(&answer.stdout).unwrap_or_default();
    let exit = answer.status.code().unwrap_or(-1);

    let mut objections = Vec::new();
    if report.is_null() {
        objections.push(format!("no JSON: {}", tail(&format!("{}{}", answer.stdout, answer.stderr))));
    } else {
        objections.extend(objections_to(case, exit, &report));
    }
    if objections.is_empty()
        && case.fix
        && let Err(error) = try_fix(&host, case, &report)
    {
        objections.push(format!("its fix does not mend it: {error:#}"));
    }
    let named: Vec<String> = causes(&report)
        .map(|cause| format!("{}({})", text(&cause["id"]), text(&cause["certainty"])))
        .take(4)
        .collect();
    let got = match (objections.as_slice(), named.as_slice()) {
        ([], []) => "nothing".to_owned(),
        ([], named) => named.join(" "),
        (objections, named) => format!("{} [{}]", named.join(" "), objections.join("; ")),
    };
    Ok(Outcome {
        ok: objections.is_empty(),
        got,
        exit,
        seconds: answer.took.as_secs_f64(),
        report,
        statuses: proof.statuses,
    })
}

/// Runs a case without asking any program: is the case itself sound?
///
/// # Errors
/// When it is not, or no host can be had.
pub fn prove(case: &Case) -> Result<Proof> {
    prepare(case).map(|(_, proof)| proof)
}

/// Opens an interactive shell in the broken host; the host ends with it.
///
/// # Errors
/// When the case is broken or no host can be had. How the shell ends is no error.
pub fn shell(case: &Case) -> Result<()> {
    let (host, _) = prepare(case)?;
    exercise::shell(&host)
}

/// Records what `binary` sees of a case to `to/<case>/capture.json.gz`.
///
/// # Errors
/// When the case is broken or the capture cannot be made or written.
pub fn record(case: &Case, binary: &Path, to: &Path) -> Result<()> {
    let (host, _) = prepare(case)?;
    install(&host, binary)?;
    let file = "/tmp/capture.json.gz";
    let made = host.run(&format!("exec why502 capture {} -o {file}", case.args), PROGRAM_LIMIT, "root")?;
    ensure!(made.status.success(), "`why502 capture` failed: {}", tail(&made.stderr));

    let folder = to.join(case.name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    tidy::copy(&host.path(file), &folder.join("capture.json.gz"))
}

/// Boots a host and brings it to the point where an operator would be called.
pub(crate) fn prepare(case: &Case) -> Result<(Host, Proof)> {
    let host = Host::boot()?;
    fs::create_dir(host.path("/lab/backends"))?;
    fs::write(host.path("/lab/helpers.sh"), HELPERS)?;
    fs::write(host.path("/lab/case.sh"), case.text)?;
    for (name, text) in BACKEND_FILES {
        fs::write(host.path("/lab/backends").join(name), text)?;
    }
    for name in ["setup", "fault", "drive"] {
        phase(&host, name)?;
    }
    let proof = proof(&host, case)?;
    Ok((host, proof))
}

fn phase(host: &Host, name: &str) -> Result<()> {
    let script = format!(
        "set -eE; trap 'echo \"line $LINENO: $BASH_COMMAND\" >&2' ERR; cd /lab; . ./helpers.sh; . ./case.sh; \
         if declare -F {name} > /dev/null; then {name}; fi"
    );
    let output = host.run(&script, PHASE_LIMIT, "root").with_context(|| format!("{name}()"))?;
    ensure!(output.status.success(), "{name}(): {}", tail(&format!("{}{}", output.stdout, output.stderr)));
    Ok(())
}

fn proof(host: &Host, case: &Case) -> Result<Proof> {
    let mut statuses = BTreeMap::new();
    for status in fs::read_to_string(host.path("/lab/statuses")).unwrap_or_default().lines() {
        *statuses.entry(status.to_owned()).or_default() += 1;
    }
    let line = if case.log.is_empty() { String::new() } else { logged(host, case)? };
    if !case.status.iter().any(|status| statuses.contains_key(*status)) {
        let last = host.run(". /lab/helpers.sh; all_logs | tail -n 4", PHASE_LIMIT, "root")?.stdout;
        bail!("no request got {}, they got {statuses:?}; logs: {last}", case.status.join(" or "));
    }
    Ok(Proof { statuses, line })
}

fn logged(host: &Host, case: &Case) -> Result<String> {
    let quoted = case.log.replace('\'', r"'\''");
    let found = host.run(&format!(". /lab/helpers.sh; logged '{quoted}'"), PHASE_LIMIT, "root")?;
    ensure!(found.status.success(), "no log has /{}/: {}", case.log, tail(&found.stderr));
    Ok(found.stdout.trim().to_owned())
}

pub(crate) fn install(host: &Host, binary: &Path) -> Result<()> {
    fs::copy(binary, host.path("/usr/local/bin/why502"))
        .with_context(|| format!("cannot copy {} into the host", binary.display()))?;
    Ok(())
}

/// Asks the installed program, as the case's user and about the case's window.
pub(crate) fn ask(host: &Host, case: &Case, arguments: &str) -> Result<Output> {
    let ask = format!("cd /; exec why502 diagnose --since {} {} {arguments}", case.window, case.args);
    host.run(&ask, PROGRAM_LIMIT, case.user)
}

/// What of a report is not as the case expects it.
fn objections_to(case: &Case, exit: i32, report: &Value) -> Vec<String> {
    let mut objections = Vec::new();
    let first = causes(report).next();
    let id = first.map_or("healthy", |cause| text(&cause["id"]));
    if id != case.expect && !case.also.contains(&id) {
        objections.push(format!("expected {}", case.expect));
    }
    let expected_exit = if id == "healthy" { 0 } else { 1 };
    if exit != expected_exit {
        objections.push(format!("exit status {exit} instead of {expected_exit}"));
    }
    if let Some(cause) = first
        && !text(&cause["upstream"]["peer"]).contains(case.peer)
    {
        objections.push(format!("peer {} instead of {}", cause["upstream"]["peer"], case.peer));
    }
    for cause in causes(report).filter(|cause| cause["certainty"] == "confirmed") {
        if case.forbid.contains(&text(&cause["id"])) {
            objections.push(format!("{} must not be confirmed", text(&cause["id"])));
        }
    }
    objections
}

/// Does what the first cause's first fix says, then asks the case whether requests are answered again.
fn try_fix(host: &Host, case: &Case, report: &Value) -> Result<()> {
    let fix = &report["causes"][0]["fix"][0];
    ensure!(fix.is_object(), "there is none");
    for edit in fix["edits"].as_array().into_iter().flatten() {
        let path = host.path(text(&edit["file"]));
        let content = fs::read_to_string(&path).with_context(|| format!("cannot read {}", edit["file"]))?;
        let (old, new) = (text(&edit["old"]), text(&edit["new"]));
        let number = edit["line"].as_u64().unwrap_or_default();
        let mut lines: Vec<String> = content.lines().map(str::to_owned).collect();
        let line = usize::try_from(number).ok().and_then(|it| lines.get_mut(it.checked_sub(1)?));
        let line = line.with_context(|| format!("{}:{number} does not exist", edit["file"]))?;
        ensure!(line.contains(old.trim()), "{}:{number} is {line:?}, not {old:?}", edit["file"]);
        *line = line.replace(old.trim(), new.trim());
        fs::write(&path, lines.join("\n") + "\n")?;
    }
    for command in fix["commands"].as_array().into_iter().flatten() {
        let done = host.run(text(command), PHASE_LIMIT, "root")?;
        ensure!(done.status.success(), "`{}` failed: {}", text(command), tail(&done.stderr));
    }
    phase(host, "check").with_context(|| format!("{}: after {:?}", case.name, text(&fix["title"])))
}

fn causes(report: &Value) -> impl Iterator<Item = &Value> {
    report["causes"].as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The last few hundred characters: enough of an error to act on.
fn tail(output: &str) -> String {
    let output = output.trim();
    let start = output.char_indices().rev().nth(599).map_or(0, |(at, _)| at);
    output[start..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;
    use serde_json::json;

    #[track_caller]
    fn judged(expect: &'static str, exit: i32, report: Value, objections: &[&str]) {
        let case = Case {
            expect,
            also: vec![],
            forbid: vec!["backend-crashed"],
            peer: "127.0.0.1:7",
            ..cases()[0].clone()
        };
        assert_eq!(objections_to(&case, exit, &report), objections);
    }

    fn cause(id: &str, peer: &str) -> Value {
        json!({"id": id, "certainty": "confirmed", "upstream": {"peer": peer}})
    }

    #[test]
    fn the_expected_cause_with_exit_status_1_is_right() {
        judged("backend-hung", 1, json!({"causes": [cause("backend-hung", "127.0.0.1:7")]}), &[]);
    }

    #[test]
    fn a_silent_report_with_exit_status_0_is_right_for_a_healthy_host() {
        judged("healthy", 0, json!({"causes": []}), &[]);
    }

    #[test]
    fn another_cause_another_peer_and_a_forbidden_one_are_each_objected_to() {
        let report = json!({"causes": [cause("backend-slow", "[::1]:9"), cause("backend-crashed", "")]});
        judged(
            "backend-hung",
            0,
            report,
            &[
                "expected backend-hung",
                "exit status 0 instead of 1",
                "peer \"[::1]:9\" instead of 127.0.0.1:7",
                "backend-crashed must not be confirmed",
            ],
        );
    }
}
