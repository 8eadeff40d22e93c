//! A task's settings as one text, for telling whether it is still the same.

use serde_json::json;

use super::model::{Processor, Task, Window};

impl Task {
    /// Everything of the task that decides a result, as JSON. The function given to `cotec::run`
    /// cannot be looked into: it counts as the same.
    pub fn recipe(&self) -> String {
        let processor = match &self.processor {
            Processor::Index(name) => json!({ "index": name }),
            Processor::Expr(text) => json!({ "expr": text }),
            Processor::Run(argv) => {
                let argv: Vec<String> = argv.iter().map(ToString::to_string).collect();
                json!({ "run": argv })
            }
            Processor::Native => json!("native"),
        };
        let window = self.window.map(|window| match window {
            Window::Pixels {
                col,
                row,
                width,
                height,
            } => json!([col, row, width, height]),
            Window::Bbox {
                min_x,
                min_y,
                max_x,
                max_y,
            } => json!({ "bbox": [min_x, min_y, max_x, max_y] }),
        });
        json!({
            "task": self.name,
            "processor": processor,
            "resolution": self.resolution,
            "window": window,
            "radiometry": self.radiometry,
            "resample": self.resample,
            "scale": self.scale.map(|scale| [scale.quantification, scale.add_offset]),
            "output": self.output,
            "env": self.env,
            "parameters": self.parameters,
            "group_by": self.group_by,
            "destination": self.destination.as_ref().map(ToString::to_string),
        })
        .to_string()
    }
}
