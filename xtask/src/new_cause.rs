//! A new root cause: its file, with everything a cause must have and a test that fails, and its place in the list.

use crate::tools::{cargo, root};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::PathBuf;

const TEMPLATE: &str = r#"use crate::rule::*;

cause! {
    /// One sentence: what is wrong.
    ///
    /// ## What you see
    /// The line in the log, the status, the habits of the failure.
    ///
    /// ## How we know
    /// What must be seen on the host before this is said.
    ///
    /// ## What to do
    /// What mends it.
    ///
    /// ## Not to be confused with
    /// `another-cause`: how that one differs.
    "{id}",
    explains: [ConnectRefused],
    leads_to: [],
    judge: Judge::Group(judge),
}

fn judge(_case: &Case) -> Result<Verdict, Blind> {
    Ok(Verdict::NotIt)
}

#[cfg(test)]
mod tests {
    use crate::testing::*;

    #[test]
    fn it_is_named() {
        let line = failed("connect() failed (111: Connection refused)", "connecting to upstream", "http://127.0.0.1:8080/");
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8080"), &[&line]);
        check(&host, "{id}: confirmed");
    }
}
"#;

pub fn run(id: &str) -> Result<()> {
    let is_kebab_case = id.split('-').all(|word| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    });
    ensure!(
        is_kebab_case && id.starts_with(|first: char| first.is_ascii_lowercase()),
        "{id:?} is not in kebab-case, as in backend-not-running"
    );
    let path = folder().join(format!("{}.rs", id.replace('-', "_")));
    ensure!(!path.exists(), "{} exists", path.display());
    fs::write(&path, TEMPLATE.replace("{id}", id))?;

    let list = fs::read_to_string(list_path())?;
    fs::write(list_path(), listed(&list, &modules()?)?)?;
    let formatted = cargo().args(["fmt", "--package", "diagnose"]).status()?.success();
    ensure!(formatted, "cargo fmt failed");

    println!("wrote {}", path.strip_prefix(root())?.display());
    println!("next:  cargo test -p diagnose {}", id.replace('-', "_"));
    Ok(())
}

/// Whether `causes/mod.rs` names each file of its folder that holds a cause, sorted.
///
/// # Errors
/// When it does not, or cannot be read.
pub fn list_is_complete() -> Result<()> {
    let list = fs::read_to_string(list_path()).context("cannot read the list of causes")?;
    let same = words(&listed(&list, &modules()?)?) == words(&list);
    ensure!(same, "{} does not list the causes in its folder, sorted by name", list_path().display());
    Ok(())
}

fn folder() -> PathBuf {
    root().join("crates/diagnose/src/causes")
}

fn list_path() -> PathBuf {
    folder().join("mod.rs")
}

/// The modules that declare a cause, sorted.
fn modules() -> Result<Vec<String>> {
    let mut modules = Vec::new();
    for entry in fs::read_dir(folder()).context("cannot read the folder of the causes")? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if name != "mod" && fs::read_to_string(&path)?.contains("\ncause! {") {
            modules.push(name);
        }
    }
    modules.sort();
    Ok(modules)
}

/// The text of the list with these modules in place of the ones it has.
fn listed(list: &str, modules: &[String]) -> Result<String> {
    let start = list.find("\nmod ").context("the list has no `mod` line")? + 1;
    let opening = "CAUSES: &[&Cause] = &[";
    let items = list.find(opening).context("the list has no CAUSES")? + opening.len();
    let end = items + list[items..].find("];").context("CAUSES has no end")?;
    let between: Vec<&str> = list[start..items].lines().skip_while(|line| line.starts_with("mod ")).collect();

    let declared: String = modules.iter().map(|module| format!("mod {module};\n")).collect();
    let named: String = modules.iter().map(|module| format!("    &{module}::CAUSE,\n")).collect();
    Ok(format!("{}{declared}{}\n{named}{}", &list[..start], between.join("\n"), &list[end..]))
}

/// The list without what rustfmt decides: white space, and a comma after the last item.
fn words(list: &str) -> String {
    list.split_whitespace().collect::<String>().replace(",]", "]")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "//! Causes.\n\nuse crate::cause::Cause;\n\nmod b;\n\n/// All.\n\
                        pub static CAUSES: &[&Cause] = &[&b::CAUSE];\n";

    #[test]
    fn a_new_module_takes_its_place_in_both_lists() {
        let modules = ["a".to_owned(), "b".to_owned()];
        let expected = "//! Causes.\n\nuse crate::cause::Cause;\n\nmod a;\nmod b;\n\n/// All.\n\
                        pub static CAUSES: &[&Cause] = &[\n    &a::CAUSE,\n    &b::CAUSE,\n];\n";
        assert_eq!(listed(LIST, &modules).unwrap(), expected);
    }

    #[test]
    fn how_rustfmt_breaks_the_list_does_not_make_it_stale() {
        assert_eq!(words(&listed(LIST, &["b".to_owned()]).unwrap()), words(LIST));
    }

    #[test]
    fn a_missing_module_makes_it_stale() {
        assert_ne!(words(&listed(LIST, &["a".to_owned(), "b".to_owned()]).unwrap()), words(LIST));
    }
}
