//! The scheduling of a run in virtual time, measured by what is possible at best.
//!
//! `cargo run --release --example schedule` runs the published workloads in each order and prints
//! makespan ÷ lower bound, by class; `--each` prints every workload too, and `--seeds N` takes N of
//! each class. With files that `cotec-coord --json` has printed it runs those instead, also with
//! other `--workers`, `--connections` and `--bandwidth` (MB/s) than they had.

use std::collections::BTreeMap;
use std::process::ExitCode;

use cotec::schedule::bounds::{Bounds, Reach};
use cotec::schedule::simulate::{Setup, Workload, simulate};
use cotec::values::order::Order;

#[path = "schedule/recorded.rs"]
mod recorded;
#[path = "schedule/workloads.rs"]
mod workloads;

use workloads::CLASSES;

/// What is asked for.
#[derive(Default)]
struct Asked {
    each: bool,
    seeds: Option<u64>,
    workers: Option<usize>,
    connections: Option<usize>,
    bandwidth: Option<f64>,
    files: Vec<String>,
}

/// What came of a workload: the makespan in each order.
struct Ran {
    class: &'static str,
    plain: f64,
    closest: f64,
    reach: Reach,
    makespans: [f64; 3],
}

fn run(class: &'static str, workload: &Workload, setup: &Setup) -> Ran {
    let bounds = Bounds::of(workload, setup);
    let makespans = Order::ALL.map(|order| {
        let setup = Setup {
            order,
            ..setup.clone()
        };
        simulate(workload, &setup).makespan
    });
    Ran {
        class,
        plain: bounds.plain(),
        closest: bounds.closest(),
        reach: bounds.reach(),
        makespans,
    }
}

fn asked() -> Option<Asked> {
    let mut asked = Asked::default();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--each" => asked.each = true,
            "--seeds" => asked.seeds = Some(args.next()?.parse().ok()?),
            "--workers" => asked.workers = Some(args.next()?.parse().ok()?),
            "--connections" => asked.connections = Some(args.next()?.parse().ok()?),
            "--bandwidth" => asked.bandwidth = Some(args.next()?.parse().ok()?),
            flag if flag.starts_with('-') => return None,
            _ => asked.files.push(arg),
        }
    }
    Some(asked)
}

fn main() -> ExitCode {
    let Some(asked) = asked() else {
        eprintln!(
            "usage: schedule [--each] [--seeds N] | [--workers N] [--connections N] [--bandwidth MB/s] FILE..."
        );
        return ExitCode::from(2);
    };
    if asked.files.is_empty() {
        published(&asked);
        return ExitCode::SUCCESS;
    }
    for file in &asked.files {
        if let Err(why) = recorded_run(&asked, file) {
            eprintln!("error: {file}: {why}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn recorded_run(asked: &Asked, file: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|e| e.to_string())?;
    let run_of = recorded::read(&text, asked.connections.unwrap_or(8));
    let recorded = run_of.ok_or("no job was registered with its inputs")?;
    let mut setup = recorded.setup.clone();
    setup.workers = asked.workers.unwrap_or(setup.workers);
    setup.bandwidth = asked.bandwidth.map_or(setup.bandwidth, |mb| mb * 1e6);
    let ran = run("recorded", &recorded.workload, &setup);
    println!(
        "{file}: {} jobs ({} that were not done are left out), {} objects, {} workers, {:.1} MB/s",
        recorded.workload.jobs.len(),
        recorded.left_out,
        recorded.workload.objects.len(),
        setup.workers,
        setup.bandwidth / 1e6
    );
    println!("as recorded {:.3} s", recorded.makespan);
    println!("bound       {:.3} s ({})", ran.plain, words(ran.reach));
    for (order, makespan) in Order::ALL.into_iter().zip(ran.makespans) {
        let ratio = makespan / ran.plain;
        println!(
            "{:<11} {makespan:.3} s, {ratio:.3} of the bound",
            order.name()
        );
    }
    Ok(())
}

fn words(reach: Reach) -> &'static str {
    match reach {
        Reach::Possible => "can be reached",
        Reach::Luck => "only with luck",
        Reach::Impossible(why) => why,
    }
}

fn published(asked: &Asked) {
    let of_a_class = asked.seeds.unwrap_or(workloads::OF_A_CLASS);
    let mut all: Vec<Ran> = Vec::new();
    if asked.each {
        println!(
            "class      no workers connections  MB/s jobs   bound s  given smallest johnson  the bound"
        );
    }
    for (class, _) in CLASSES {
        for number in 0..of_a_class {
            let (workload, setup) = workloads::one(class, number);
            let ran = run(class, &workload, &setup);
            if asked.each {
                let [given, smallest, johnson] = ran.makespans.map(|m| m / ran.plain);
                println!(
                    "{class:<9} {number:>3} {:>7} {:>11} {:>5.1} {:>4} {:>9.1}  {given:>5.3} {smallest:>8.3} {johnson:>7.3}  {}",
                    setup.workers,
                    setup.connections,
                    setup.bandwidth / 1e6,
                    workload.jobs.len(),
                    ran.plain,
                    words(ran.reach),
                );
            }
            all.push(ran);
        }
    }
    if asked.each {
        println!();
    }
    println!("Makespan ÷ max(bytes ÷ bandwidth, CPU ÷ workers, first download + last processing)");
    table(&all, "where that can be reached", |ran| {
        (ran.reach == Reach::Possible).then_some(ran.plain)
    });
    table(&all, "where it can be reached with luck only", |ran| {
        (ran.reach == Reach::Luck).then_some(ran.plain)
    });
    println!("\nMakespan ÷ the closest bound that is known");
    table(&all, "all", |ran| Some(ran.closest));
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for ran in &all {
        *reasons.entry(words(ran.reach)).or_default() += 1;
    }
    println!("\nThe bound of {} workloads:", all.len());
    for (reason, count) in reasons {
        println!("{count:>4}  {reason}");
    }
    println!("\nThe classes:");
    for (class, what) in CLASSES {
        println!("{class:<9} {what}");
    }
}

/// One line for each class: how many, and of each order mean, median and worst.
fn table(all: &[Ran], which: &str, bound: impl Fn(&Ran) -> Option<f64>) {
    println!("\n{which}");
    let names = Order::ALL.map(|order| format!(" | {:<20}", order.name()));
    println!("{:<15}{}", "", names.concat().trim_end());
    print!("class     count");
    for _ in Order::ALL {
        print!(" | {:>6} {:>6} {:>6}", "mean", "median", "worst");
    }
    println!();
    for class in CLASSES.map(|(class, _)| class).into_iter().chain(["all"]) {
        let of: Vec<(&Ran, f64)> = (all.iter())
            .filter(|ran| class == "all" || ran.class == class)
            .filter_map(|ran| Some((ran, bound(ran)?)))
            .collect();
        if of.is_empty() {
            continue;
        }
        print!("{class:<9} {:>5}", of.len());
        for order in 0..Order::ALL.len() {
            let ratios = of.iter().map(|(ran, bound)| ran.makespans[order] / bound);
            let mut ratios: Vec<f64> = ratios.collect();
            ratios.sort_by(f64::total_cmp);
            let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
            let worst = ratios[ratios.len() - 1];
            let median = ratios[ratios.len() / 2];
            print!(" | {mean:>6.3} {median:>6.3} {worst:>6.3}");
        }
        println!();
    }
}
