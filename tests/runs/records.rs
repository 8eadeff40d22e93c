//! The records of `--json` are as their schema says, which knows every field of them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::common::run::{Outcome, Sandbox};
use cotec::coord::events_schema;

/// What is wrong with a value, and where; fields that the schema does not know are wrong too.
struct Check {
    root: Value,
    wrong: Vec<String>,
}

impl Check {
    /// Follows the references of a schema that is one, and gives the parts that all hold.
    fn parts(&self, schema: &Value) -> Vec<Value> {
        if let Some(name) = schema["$ref"].as_str() {
            return self.parts(self.root.pointer(&name[1..]).unwrap());
        }
        let all = schema["allOf"].as_array().into_iter().flatten();
        let mut parts: Vec<Value> = all.flat_map(|part| self.parts(part)).collect();
        parts.push(schema.clone());
        parts
    }

    fn value(&mut self, schema: &Value, value: &Value, path: &str) {
        let parts = self.parts(schema);
        for part in &parts {
            let mut is = |good: bool, what: &Value| {
                if !good {
                    self.wrong.push(format!("{path}: {value} is not {what}"));
                }
            };
            match &part["type"] {
                Value::String(_) => is(has_type(value, &part["type"]), &part["type"]),
                Value::Array(types) => is(types.iter().any(|t| has_type(value, t)), &part["type"]),
                _ => {}
            }
            if part.get("const").is_some() {
                is(*value == part["const"], &part["const"]);
            }
            if let Some(known) = part["enum"].as_array() {
                is(known.contains(value), &part["enum"]);
            }
            if let (Some(least), Some(number)) = (part["minimum"].as_f64(), value.as_f64()) {
                is(number >= least, &part["minimum"]);
            }
            for name in part["required"].as_array().into_iter().flatten() {
                is(value.get(name.as_str().unwrap()).is_some(), name);
            }
            if let (Some(_), Some(values)) = (part.get("items"), value.as_array()) {
                for (place, value) in values.iter().enumerate() {
                    self.value(&part["items"], value, &format!("{path}/{place}"));
                }
            }
        }
        for (name, field) in value.as_object().into_iter().flatten() {
            let path = format!("{path}/{name}");
            let known = parts.iter().filter_map(|part| {
                let named = part["properties"].get(name);
                named.or_else(|| part.get("additionalProperties"))
            });
            let known: Vec<_> = known.collect();
            if known.is_empty() {
                self.wrong.push(format!("{path} is not in the schema"));
            }
            for schema in known {
                self.value(schema, field, &path);
            }
        }
    }

    /// Compares a record with what the schema says of its event.
    fn record(&mut self, record: &Value) {
        let name = record["event"].as_str().unwrap();
        match self.root["$defs"].get(name).cloned() {
            Some(schema) => self.value(&schema, record, name),
            None => self.wrong.push(format!("{name} is not in the schema")),
        }
    }
}

fn has_type(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the check does not know the type {other}"),
    }
}

fn check(records: &[Value]) -> Vec<String> {
    let mut check = Check {
        root: serde_json::from_str(events_schema()).unwrap(),
        wrong: Vec::new(),
    };
    for record in records {
        check.record(record);
    }
    check.wrong
}

/// Runs with all that can become of objects and jobs; the names of the events.
fn run(sandbox: &Sandbox, code: i32) -> (Outcome, BTreeSet<String>) {
    let outcome = sandbox.coord().serve().args(["--json"]).expect(code);
    let records = outcome.events();
    let wrong = check(&records);
    assert!(wrong.is_empty(), "{wrong:#?}");
    let names = records
        .iter()
        .map(|r| r["event"].as_str().unwrap().to_owned());
    let names = names.collect();
    (outcome, names)
}

#[test]
fn every_record_is_as_the_schema_says() {
    let sandbox = Sandbox::new();
    sandbox.object("b", "p/B01.tif", "one");
    sandbox.object("b", "q/B01.tif", "");
    let tasks = r#"
[store]
bucket = "b"
[products]
names = ["p", "q"]
[[task]]
name = "good"
run = ["cp", "{B01}", "{out}"]
[[task]]
name = "bad"
run = ["sh", "-c", "echo no; kill -9 $$", "{B01}"]
retries = 1
"#;
    sandbox.job_file(tasks);
    let (_, names) = run(&sandbox, 1);
    for name in [
        "run-started",
        "object-wanted",
        "object-fetching",
        "object-ready",
        "job-waiting",
        "job-ready",
        "job-running",
        "job-done",
        "job-failed",
        "planned",
        "note",
        "run-ended",
    ] {
        assert!(names.contains(name), "no record {name}: {names:?}");
    }
    // Jobs that an earlier run has done, and objects that are there.
    run(&sandbox, 1);
}

#[test]
fn the_figures_of_an_index_are_as_the_schema_says() {
    let sandbox = Sandbox::new();
    sandbox.job_file("[store]\nsample = { products = 1 }\n[products]\nprefix = \"\"\n[[task]]\nindex = \"ndvi\"\n");
    let outcome = sandbox.coord().args(["--json"]).expect(0);
    let records = outcome.events();
    let wrong = check(&records);
    assert!(wrong.is_empty(), "{wrong:#?}");
    let done = records.iter().find(|r| r["event"] == "job-done").unwrap();
    assert!(done["stats"]["mean"].is_number(), "{done}");
}

/// The check above can fail.
#[test]
fn records_that_are_not_so_are_found() {
    let good = serde_json::json!({ "schema": 1, "t": 0.5, "event": "planned",
        "process": "planner-1", "products": 3, "jobs": 7 });
    assert!(check(std::slice::from_ref(&good)).is_empty());
    for (field, value) in [
        ("schema", 2.into()),
        ("t", "soon".into()),
        ("products", Value::Null),
        ("jobs", (-1).into()),
        ("event", "unplanned".into()),
        ("more", 1.into()),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        assert!(!check(&[bad]).is_empty(), "{field}");
    }
    let mut short = good;
    short.as_object_mut().unwrap().remove("jobs");
    assert_eq!(check(&[short]).len(), 1);
}
