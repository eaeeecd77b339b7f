//! Short ways from a text to a configuration.
#![allow(dead_code, reason = "each test file uses some of these")]

use std::path::Path;

use nginx_conf::{Config, MemoryFiles, Version, View};

/// The given files, the first one being the main file.
pub fn load_files(files: &[(&str, &str)]) -> Config {
    let main = Path::new(files[0].0);
    let entry = |(path, text): &(&str, &str)| (path.into(), text.as_bytes().to_vec());
    nginx_conf::load(&MemoryFiles(files.iter().map(entry).collect()), main)
}

pub fn load_text(text: &str) -> Config {
    load_files(&[("/etc/nginx/nginx.conf", text)])
}

pub fn http(inside: &str) -> String {
    format!("http {{ {inside} }}")
}

/// The view of a text that must be without problems.
#[track_caller]
pub fn view_of(text: &str, look: impl FnOnce(&View)) {
    let config = load_text(text);
    assert_eq!(config.problems, []);
    look(&View::new(&config, Version::default()));
}
