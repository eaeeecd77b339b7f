//! Whether the program's sums are those of the lines: each count exactly, each quantile within the error that is stated.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::Value;

use super::generate::{COMBINED, ERROR, Truth};

/// What differs, in words; empty when nothing does.
pub fn compare(binary: &Path, folder: &Path, file: &str, truth: &Truth) -> Result<Vec<String>> {
    let output = Command::new(binary)
        .args(["logs", "--format", "json", "--timezone", "UTC"])
        .arg(folder.join(file))
        .output()
        .context("cannot start why502")?;
    let report: Value = serde_json::from_slice(&output.stdout).context("its answer is no JSON")?;
    let said = &report["traffic"];
    let mut differences = Vec::new();
    let mut same = |what: &str, said: String, counted: String| {
        if said != counted {
            differences.push(format!("{what}: {said:.200} instead of {counted:.200}"));
        }
    };
    if file == ERROR {
        let symptoms = rows(&said["symptoms"], |it| {
            let key = (text(&it["symptom"]), text(&it["upstream"]));
            Some((key, it["count"].as_u64()?))
        });
        same("symptoms by upstream", format!("{symptoms:?}"), format!("{:?}", truth.symptoms));
        return Ok(differences);
    }
    same("requests", said["requests"].to_string(), truth.requests.to_string());
    same("statuses", format!("{:?}", by_status(&said["statuses"])), format!("{:?}", truth.statuses));
    let minutes = rows(&said["steps"], |it| {
        let at: Timestamp = text(&it["at"]).parse().ok()?;
        Some((at.as_second(), (it["requests"].as_u64()?, it["failed"].as_u64()?)))
    });
    same("minutes", format!("{minutes:?}"), format!("{:?}", truth.minutes));
    if file == COMBINED {
        return Ok(differences);
    }
    let tries = upstreams(said, "tries");
    same("tries by upstream", format!("{tries:?}"), format!("{:?}", truth.tries));
    let finals = upstreams(said, "finals");
    same("last tries by upstream", format!("{finals:?}"), format!("{:?}", truth.finals));
    let times = &said["request_time"];
    let error = times["relative_error"].as_f64().unwrap_or(0.0);
    for (name, share) in [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)] {
        let exact = nearest_rank(&truth.request_ms, share);
        let near = times[name].as_f64().is_some_and(|it| (it - exact).abs() <= exact * error + 5e-4);
        if !near {
            same(&format!("request_time {name}"), times[name].to_string(), exact.to_string());
        }
    }
    Ok(differences)
}

fn rows<K: Ord, V>(list: &Value, row: impl Fn(&Value) -> Option<(K, V)>) -> BTreeMap<K, V> {
    list.as_array().into_iter().flatten().filter_map(row).collect()
}

fn by_status(object: &Value) -> BTreeMap<u16, u64> {
    let pairs = object.as_object().into_iter().flatten();
    pairs.filter_map(|(status, count)| Some((status.parse().ok()?, count.as_u64()?))).collect()
}

fn upstreams(said: &Value, what: &str) -> BTreeMap<String, BTreeMap<u16, u64>> {
    let mut all = rows(&said["upstreams"], |it| Some((text(&it["address"]), by_status(&it[what]))));
    all.retain(|_, counts| !counts.is_empty());
    all
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// In seconds.
fn nearest_rank(milliseconds: &BTreeMap<u64, u64>, share: f64) -> f64 {
    let total: u64 = milliseconds.values().sum();
    let rank = (share * total as f64).ceil() as u64;
    let mut seen = 0;
    for (ms, count) in milliseconds {
        seen += count;
        if seen >= rank {
            return *ms as f64 / 1000.0;
        }
    }
    0.0
}
