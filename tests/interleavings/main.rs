//! The table's protocol under every interleaving: the production source of `src/table` and
//! `src/values`, compiled here over another `sys`, run by shuttle under chosen schedules.
//!
//! `cargo test --no-default-features --test interleavings -- --nocapture` prints a line for each
//! scenario and the table "fault → caught by". `COTEC_INTERLEAVINGS=<n>` multiplies the schedules.

#[path = "../../src/table/mod.rs"]
#[allow(dead_code, reason = "the scenarios use the part that moves words")]
mod table;
#[path = "../../src/values/mod.rs"]
#[allow(dead_code, reason = "as above")]
mod values;

mod explore;
mod model;
mod scenarios;
mod sys;
mod world;

use explore::{Report, Strategy, explore};
use model::{Detail, Setting};
use world::Scenario;

const PLAIN: Setting = Setting {
    seed: None,
    die_at: None,
    detail: Detail::Coarse,
};

#[test]
fn one() {
    let only = std::env::var("ONLY").unwrap_or_default();
    for s in scenarios::all() {
        if !s.name.contains(&only) {
            continue;
        }
        let start = std::time::Instant::now();
        let strategy = Strategy::Bounded {
            preemptions: s.preemptions,
            most: 1_000_000,
        };
        let mut runs = 0;
        let mut failure = None;
        let mut n = 1;
        if s.deaths {
            loop {
                let r: Report = explore(
                    &s,
                    strategy,
                    Setting {
                        die_at: Some(n),
                        ..PLAIN
                    },
                );
                runs += r.runs;
                if r.failure.is_some() {
                    failure = r.failure.map(|f| format!("dies at {n}: {f}"));
                    break;
                }
                if !r.died {
                    break;
                }
                n += 1;
            }
        } else {
            let r = explore(&s, strategy, PLAIN);
            runs = r.runs;
            failure = r.failure;
        }
        println!(
            "{:<60} {:>7} runs {:>3} deaths {:>6} ms {}",
            s.name,
            runs,
            n - 1,
            start.elapsed().as_millis(),
            failure.unwrap_or_default()
        );
    }
    let _: fn(&Scenario) = |_| ();
}
