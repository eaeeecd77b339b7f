//! What a capture tells of the recording machine is taken out before it is kept: a capture is about the case alone, and
//! whoever records it should not have to look for what else it gives away.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::Value;

/// Copies a capture, tidied.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let file = File::open(from).with_context(|| format!("cannot open {}", from.display()))?;
    let mut capture: Value =
        serde_json::from_reader(GzDecoder::new(file)).context("the capture is no JSON")?;
    tidy(&mut capture["snapshot"]);
    let file = File::create(to).with_context(|| format!("cannot make {}", to.display()))?;
    let mut gzip = GzEncoder::new(file, Compression::best());
    serde_json::to_writer(&mut gzip, &capture).context("the capture cannot be kept")?;
    gzip.finish().context("the capture cannot be kept")?;
    Ok(())
}

fn tidy(snapshot: &mut Value) {
    let booted_at = snapshot["host"]["booted_at"].as_str().unwrap_or_default().to_owned();
    if let Some(release) = snapshot["host"]["kernel"].as_str() {
        let number: String = release.chars().take_while(|it| it.is_ascii_digit() || *it == '.').collect();
        snapshot["host"]["kernel"] = number.into();
    }
    // The kernel log is the machine's; times in UTC compare as text.
    keep(&mut snapshot["kernel"], |it| text(it, "at") >= booted_at.as_str());
    keep(&mut snapshot["changes"], |it| text(it, "what") != "package");
    keep(&mut snapshot["journal"], |it| {
        let unit = text(it, "unit");
        unit.ends_with(".service") && !unit.starts_with("systemd-") && !unit.starts_with("user@")
    });
    keep(&mut snapshot["units"], |it| {
        let of_system =
            ["/lib/", "/usr/lib/"].iter().any(|folder| text(it, "fragment_path").starts_with(folder));
        let ours = ["nginx", "php", "uwsgi", "haproxy"].iter().any(|name| text(it, "name").starts_with(name));
        ours || !of_system || !matches!(text(it, "active_state"), "inactive" | "")
    });
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// Keeps the entries of a reading that fit; one that was not read stays as it is.
fn keep(reading: &mut Value, fits: impl Fn(&Value) -> bool) {
    if let Some(entries) = reading.pointer_mut("/seen/value").and_then(Value::as_array_mut) {
        entries.retain(|it| fits(it));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_belongs_to_the_case_is_kept() {
        let entry = |at: &str, message: &str| serde_json::json!({"at": at, "message": message});
        let mut snapshot = serde_json::json!({
            "host": {"kernel": "6.1.155-vendor", "booted_at": "2026-05-02T12:00:00Z"},
            "kernel": {"seen": {"value": [entry("2026-05-01T12:00:00Z", "old"), entry("2026-05-02T12:00:01Z", "new")]}},
            "changes": {"unread": {"reason": "denied"}},
        });
        tidy(&mut snapshot);
        assert_eq!(snapshot["host"]["kernel"], "6.1.155");
        assert_eq!(snapshot["kernel"]["seen"]["value"][0]["message"], "new");
        assert_eq!(snapshot["kernel"]["seen"]["value"].as_array().unwrap().len(), 1);
        assert_eq!(snapshot["changes"]["unread"]["reason"], "denied");
    }
}
