//! Events as JSON, one record per line.

use std::io::Write;

use serde_json::{Map, Value, json};

use crate::values::{Fault, JobState, Verified};

use super::observe::{Happening, Observer, What};

/// Writes a record for every event; each has `"schema": 1`, `"t"` in seconds since the run began,
/// `"event"`, and the process that it comes from.
pub struct JsonObserver<W> {
    out: W,
}

impl<W: Write> JsonObserver<W> {
    /// Writes to `out`. When it can no longer be written the run goes on without it.
    pub fn new(out: W) -> JsonObserver<W> {
        JsonObserver { out }
    }
}

impl<W: Write> Observer for JsonObserver<W> {
    fn wants_all(&self) -> bool {
        true
    }

    fn happening(&mut self, happening: &Happening) {
        let mut record = Map::new();
        record.insert("schema".into(), json!(1));
        record.insert("t".into(), json!((happening.at * 1e6).round() / 1e6));
        let (event, fields) = describe(&happening.what);
        record.insert("event".into(), json!(event));
        let (role, number) = happening.process;
        record.insert("process".into(), json!(format!("{role}-{number}")));
        if let Value::Object(fields) = fields {
            record.extend(fields);
        }
        // A reader that has gone away must not end the run.
        let _ = writeln!(self.out, "{}", Value::Object(record));
        let _ = self.out.flush();
    }
}

fn describe(what: &What) -> (String, Value) {
    match what {
        What::Started { workers, store } => (
            "run-started".into(),
            json!({ "workers": workers, "store": store }),
        ),
        What::Object {
            state,
            key,
            size,
            fetched,
            verified,
            fault,
        } => (
            format!("object-{}", state.name()),
            filled(
                json!({
                    "key": key,
                    "size": size,
                    "fetched": fetched,
                    "verified": verified.map(Verified::name),
                }),
                *fault,
            ),
        ),
        What::Job {
            state,
            name,
            attempt,
            inputs,
            result,
            fault,
            why,
        } => {
            let mut fields = json!({ "job": name, "attempt": attempt, "inputs": inputs });
            if let (Some(result), Value::Object(map)) = (result, &mut fields)
                && let Ok(Value::Object(more)) = serde_json::to_value(result)
            {
                map.extend(more);
            }
            let fault = fault.filter(|_| *state == JobState::Failed);
            let mut fields = filled(fields, fault);
            if let (Some(why), Value::Object(map)) = (why, &mut fields) {
                map.insert("error".into(), json!(why.error));
                map.insert("way_out".into(), json!(why.way_out));
            }
            (format!("job-{}", state.name()), fields)
        }
        What::UploadBegun { name } => ("upload-begun".into(), json!({ "job": name })),
        What::HandedOn { name } => ("job-handed-on".into(), json!({ "job": name })),
        What::Retry { key, fault } => ("retry".into(), filled(json!({ "key": key }), Some(*fault))),
        What::Planned { products, jobs } => (
            "planned".into(),
            json!({ "products": products, "jobs": jobs }),
        ),
        What::Note { text, error } => ("note".into(), json!({ "text": text, "error": error })),
        What::Died { role, pid, how, .. } => (
            "process-died".into(),
            json!({ "role": role, "pid": pid, "how": how }),
        ),
        What::Ended(summary) => {
            let mut fields = serde_json::to_value(summary).unwrap_or_default();
            if let Value::Object(map) = &mut fields {
                map.remove("schema");
            }
            ("run-ended".into(), fields)
        }
    }
}

/// Adds the fault's fields and takes away those without a value.
fn filled(mut fields: Value, fault: Option<Fault>) -> Value {
    if let Value::Object(map) = &mut fields {
        map.retain(|_, v| !v.is_null());
        if let Some(fault) = fault {
            map.insert("fault".into(), json!(fault.code.name()));
            map.insert("detail".into(), json!(fault.detail));
            map.entry("error").or_insert(json!(fault.to_string()));
            map.insert("way_out".into(), json!(fault.code.way_out()));
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::{FaultCode, ObjectState};

    #[test]
    fn a_record_has_its_schema_and_a_closed_pipe_is_no_end() {
        let mut out = Vec::new();
        let happening = Happening {
            at: 1.5,
            process: ("downloader", 2),
            what: What::Object {
                state: ObjectState::Failed,
                key: "a\n\"b".into(),
                size: 7,
                fetched: None,
                verified: None,
                fault: Some(Fault::new(FaultCode::NotFound, 404)),
            },
        };
        JsonObserver::new(&mut out).happening(&happening);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 1);
        let record: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(record["schema"], 1);
        assert_eq!(record["event"], "object-failed");
        assert_eq!(
            (&record["key"], &record["fault"]),
            (&json!("a\n\"b"), &json!("not-found"))
        );
        assert!(record.get("fetched").is_none());
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        JsonObserver::new(Closed).happening(&happening);
    }
}
