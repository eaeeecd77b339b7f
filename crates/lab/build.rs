//! Lists the cases and backends, so that adding one is adding a file.

use std::path::Path;
use std::{env, fs};

fn main() {
    let here = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let mut table = String::new();
    for (name, folder) in [("CASE_FILES", "cases"), ("BACKEND_FILES", "backends")] {
        println!("cargo::rerun-if-changed={folder}");
        let mut files: Vec<_> = fs::read_dir(Path::new(&here).join(folder))
            .expect("the folder is part of the crate")
            .map(|entry| entry.expect("the folder can be read").path())
            .filter(|path| path.is_file())
            .collect();
        files.sort();
        table += &format!("pub(crate) const {name}: &[(&str, &str)] = &[\n");
        for path in files {
            let file = path.file_name().expect("it has one").to_string_lossy();
            table += &format!("    ({file:?}, include_str!({path:?})),\n");
        }
        table += "];\n";
    }
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("files.rs");
    fs::write(out, table).expect("the build folder can be written");
}
