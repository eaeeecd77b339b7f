//! The arrows between the crates are those that ARCHITECTURE.md draws.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

type Arrows = BTreeMap<String, BTreeSet<String>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// What each crate of the workspace has in its `[dependencies]`, as far as that is a crate of the workspace.
fn real_arrows() -> Arrows {
    let cargo = std::env::var("CARGO").unwrap();
    let arguments = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
    let output = Command::new(cargo).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |it: &Value| it["name"].as_str().unwrap().to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    let arrows = |package: &Value| {
        let dependencies = package["dependencies"].as_array().unwrap();
        // Tests may reach further than the code they test.
        let used = dependencies.iter().filter(|it| it["kind"].is_null()).map(name);
        used.filter(|it| ours.contains(it)).collect()
    };
    packages.iter().map(|package| (name(package), arrows(package))).collect()
}

/// The rows of the table under "## Crates": a crate's name in the first cell, what it may use in the last one.
fn drawn_arrows(text: &str) -> Arrows {
    let section = text.lines().skip_while(|line| *line != "## Crates").skip(1);
    let rows = section.take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with("| `"));
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>();
    rows.flat_map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let uses = quoted(cells[cells.len() - 1]);
        quoted(cells[0]).into_iter().map(move |name| (name, uses.clone()))
    })
    .collect()
}

#[test]
fn every_dependency_between_crates_is_drawn_in_architecture_md() {
    let drawn = drawn_arrows(&std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap());
    for (name, uses) in real_arrows() {
        let may = drawn.get(&name).unwrap_or_else(|| panic!("ARCHITECTURE.md has no row for {name}"));
        let undrawn: Vec<_> = uses.difference(may).collect();
        assert!(undrawn.is_empty(), "{name} uses {undrawn:?}, which ARCHITECTURE.md does not draw");
    }
}

#[test]
fn every_crate_in_architecture_md_exists() {
    let real = real_arrows();
    let drawn = drawn_arrows(&std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap());
    for (name, uses) in drawn {
        assert!(real.contains_key(&name), "there is no crate {name}");
        for used in uses {
            assert!(real.contains_key(&used), "{name} may use {used}, which is no crate");
        }
    }
}

#[test]
fn a_row_names_a_crate_first_and_what_it_may_use_last() {
    let text = "## Crates\n| crate | what | may use |\n|---|---|---|\n| `a` | uses `x` files | `b`, `c` |\n| `b` | … | – |\n## Next\n| `d` | | |";
    let drawn = drawn_arrows(text);
    assert_eq!(drawn.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(drawn["a"].iter().collect::<Vec<_>>(), ["b", "c"]);
    assert!(drawn["b"].is_empty());
}
