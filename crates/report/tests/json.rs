//! What scripts rely on.

mod common;

use common::*;
use report::render::json_v1::{render, schema};
use serde_json::Value;

const PUBLISHED: &str = include_str!("../../../docs/report.schema.json");

fn parsed(report: &diagnose::Report) -> Value {
    serde_json::from_str(&render(report)).expect("it is JSON")
}

/// Checks the part of JSON Schema that our schema uses; a keyword that it does not know fails the test.
#[track_caller]
fn validate(value: &Value, rule: &Value, root: &Value, path: &str) {
    let rule = rule.as_object().expect("a rule is an object");
    for (keyword, wanted) in rule {
        match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "format" | "minimum" | "maximum" => {}
            "$ref" => {
                let pointer = wanted.as_str().and_then(|it| it.strip_prefix('#')).expect("a local reference");
                validate(value, root.pointer(pointer).expect("it is defined"), root, path);
            }
            "type" => {
                let kind = match value {
                    Value::Null => "null",
                    Value::Bool(_) => "boolean",
                    Value::Number(it) if it.is_u64() || it.is_i64() => "integer",
                    Value::Number(_) => "number",
                    Value::String(_) => "string",
                    Value::Array(_) => "array",
                    Value::Object(_) => "object",
                };
                let fits = |it: &Value| it == kind || (it == "number" && kind == "integer");
                let any = wanted.as_array().map_or_else(|| fits(wanted), |it| it.iter().any(fits));
                assert!(any, "{path} is {kind}, not {wanted}");
            }
            "properties" => {
                for (name, rule) in wanted.as_object().expect("names") {
                    if let Some(value) = value.get(name) {
                        validate(value, rule, root, &format!("{path}.{name}"));
                    }
                }
                let known = |name: &String| wanted.get(name).is_some();
                assert!(
                    value.as_object().expect("an object").keys().all(known),
                    "{path} has an unknown name"
                );
            }
            "required" => {
                for name in wanted.as_array().expect("names") {
                    assert!(value.get(name.as_str().expect("a name")).is_some(), "{path} lacks {name}");
                }
            }
            "items" => {
                for (number, value) in value.as_array().expect("a list").iter().enumerate() {
                    validate(value, wanted, root, &format!("{path}[{number}]"));
                }
            }
            "additionalProperties" => {
                for (name, value) in value.as_object().expect("an object") {
                    validate(value, wanted, root, &format!("{path}.{name}"));
                }
            }
            "const" => assert_eq!(value, wanted, "{path}"),
            "enum" => assert!(wanted.as_array().expect("values").contains(value), "{path} is {value}"),
            "oneOf" | "anyOf" => {
                let kind_of =
                    |it: &Value| it.get("const").is_some_and(|it| it == value) || it.get("$ref").is_some();
                let null = |it: &Value| it.get("type").is_some_and(|it| it == "null");
                let rules = wanted.as_array().expect("rules");
                if value.is_null() {
                    assert!(rules.iter().any(null), "{path} is null");
                } else {
                    let rule = rules.iter().find(|it| kind_of(it));
                    validate(value, rule.unwrap_or_else(|| panic!("{path} is {value}")), root, path);
                }
            }
            other => panic!("the schema uses {other}, which this test cannot check"),
        }
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that writes the generated file, when it is asked to"
)]
fn the_published_schema_is_that_of_the_types() {
    if std::env::var_os("UPDATE").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/report.schema.json");
        std::fs::write(path, schema()).expect("docs/ is there");
    } else {
        assert!(PUBLISHED == schema(), "docs/report.schema.json is stale: run UPDATE=1 cargo test -p report");
    }
}

#[test]
fn every_report_obeys_the_published_schema() {
    let schema: Value = serde_json::from_str(PUBLISHED).expect("it is JSON");
    for report in [
        healthy(),
        faulty(),
        faulty_twice(),
        degraded(),
        inconclusive(),
        hostile(),
        of_logs(),
        of_hostile_logs(),
    ] {
        validate(&parsed(&report), &schema, &schema, "report");
    }
}

#[test]
fn a_fault_is_written_as_scripts_expect_it() {
    insta::assert_snapshot!(render(&faulty()));
}

#[test]
fn the_sums_of_logs_are_written_whole() {
    let traffic = &parsed(&of_logs())["traffic"];
    assert_eq!(
        (&traffic["requests"], &traffic["failed"], &traffic["hidden"]),
        (&1502.into(), &144.into(), &2.into())
    );
    assert_eq!(traffic["steps"].as_array().map(Vec::len), Some(45));
    assert_eq!(traffic["steps"][42]["errors"][0]["status"], 502);
    assert_eq!(traffic["upstreams"][1]["tries"]["0"], 3);
    assert_eq!(traffic["upstreams"][1]["response_time"]["p99"], 12.25);
    assert_eq!(traffic["breakdowns"][1]["rows"][0]["statuses"]["502"], 110);
    assert!(parsed(&faulty()).get("traffic").is_none(), "a host has none");
}

#[test]
fn control_characters_stay_spelled_out_after_parsing() {
    fn no_controls(value: &Value, path: &str) {
        match value {
            Value::String(text) if path.ends_with("old") || path.ends_with("new") => {
                assert!(!text.contains(['\x1b', '\r']), "{path}: {text:?}");
            }
            Value::String(text) => assert!(!text.contains(char::is_control), "{path}: {text:?}"),
            Value::Array(all) => all.iter().for_each(|it| no_controls(it, path)),
            Value::Object(all) => all.iter().for_each(|(name, it)| no_controls(it, name)),
            _ => {}
        }
    }
    no_controls(&parsed(&hostile()), "");
    no_controls(&parsed(&of_hostile_logs()), "");
}

#[test]
fn times_have_the_offset_of_the_host() {
    assert_eq!(parsed(&healthy())["collected_at"], "2026-05-02T15:03:10+02:00");
}
