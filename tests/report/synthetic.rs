//! Stories of runs that the simulator makes: what a recorder would have seen of them.

use cotec::report::{
    HeldBack, JobSpan, Note, ObjectSpan, PartSpan, ProcessSpan, RunSpan, Setting, Story,
};
use cotec::schedule::simulate::{Job, Record, Setup, Workload, record};
use cotec::values::order::Order;
use cotec::values::{JobState, Role};

/// Processes before the first worker: coordinator, planner, downloader.
const FIRST_WORKER: u16 = 3;

/// A network of 100 MB/s, of which a connection can have 10, and 50 ms away.
pub fn setup(connections: usize, workers: usize) -> Setup {
    Setup {
        bandwidth: 100e6,
        per_connection: 10e6,
        connections,
        later: Vec::new(),
        latency: 0.05,
        part_bytes: 8 << 20,
        workers,
        order: Order::Johnson,
    }
}

/// So many jobs with three objects each, of which neighbours share one.
pub fn workload(jobs: u32, mb: u64, seconds: f64) -> Workload {
    let job = |n: u32| Job {
        task: n % 2,
        inputs: vec![2 * n, 2 * n + 1, 2 * n + 2],
        seconds: seconds * (0.7 + 0.6 * f64::from(n * 7919 % 101) / 101.0),
        registered: 0.2 + f64::from(n) * 0.002,
    };
    Workload {
        objects: (0..=2 * u64::from(jobs))
            .map(|n| mb * 1_000_000 * (60 + n * 6151 % 80) / 100)
            .collect(),
        jobs: (0..jobs).map(job).collect(),
    }
}

/// What is seen of a run of a workload.
pub fn story(workload: &Workload, setup: &Setup) -> Story {
    let (outcome, record) = record(workload, setup);
    let mut story = Story {
        outcome: "done".to_owned(),
        begun_unix: 1_795_190_400,
        seconds: outcome.makespan + 0.05,
        store: "s3://bucket at https://s3.example.org".to_owned(),
        out: "out".into(),
        workers: setup.workers,
        cores: 4,
        connections_set: Some(setup.connections),
        order: setup.order,
        tasks: vec!["ndvi".to_owned(), "ndwi".to_owned()],
        processes: processes(setup.workers),
        objects: objects(workload),
        jobs: jobs(workload),
        settings: vec![Setting {
            at: 0.0,
            connections: setup.connections as u32,
            part_bytes: setup.part_bytes,
        }],
        notes: vec![Note {
            at: 0.1,
            text: "the products have no manifest".to_owned(),
            error: false,
        }],
        ..Story::default()
    };
    parts(&mut story, &record, setup);
    runs(&mut story, &record, setup);
    story.held_back = held_back(&story);
    story
}

fn processes(workers: usize) -> Vec<ProcessSpan> {
    let roles = [Role::Coordinator, Role::Planner, Role::Downloader].into_iter();
    let roles = roles.chain(std::iter::repeat_n(Role::Worker, workers));
    roles
        .enumerate()
        .map(|(number, role)| ProcessSpan {
            number: number as u16,
            pid: 4000 + number as u32,
            role,
            begun: 0.01,
        })
        .collect()
}

fn objects(workload: &Workload) -> Vec<ObjectSpan> {
    let object = |(slot, size): (usize, &u64)| ObjectSpan {
        key: format!("tiles/32/T/S2A_{:05}/B{:02}.jp2", slot / 3, slot % 12 + 1),
        size: *size,
        fetched: *size,
        wanted: 0.1,
        ..ObjectSpan::default()
    };
    workload.objects.iter().enumerate().map(object).collect()
}

fn jobs(workload: &Workload) -> Vec<JobSpan> {
    let job = |(n, job): (usize, &Job)| JobSpan {
        name: format!("{}/S2A_{n:05}", ["ndvi", "ndwi"][job.task as usize % 2]),
        task: job.task,
        inputs: job.inputs.clone(),
        state: JobState::Done,
        registered: job.registered,
        ready: None,
        runs: Vec::new(),
        upload: None,
        fault: None,
        error: None,
        outputs: vec![format!("out/S2A_{n:05}/ndvi.tif").into()],
        uploaded: Vec::new(),
        earlier: false,
    };
    workload.jobs.iter().enumerate().map(job).collect()
}

fn parts(story: &mut Story, record: &Record, setup: &Setup) {
    let mut free = vec![0.0_f64; setup.connections];
    for part in &record.parts {
        let line = free.iter().position(|until| *until <= part.begun + 1e-9);
        let line = line.expect("no more parts than connections");
        free[line] = part.ended;
        let object = &mut story.objects[part.object as usize];
        object.begun.get_or_insert(part.begun);
        object.ended = Some(part.ended.max(object.ended.unwrap_or(0.0)));
        story.parts.push(PartSpan {
            slot: part.object,
            line: line as u16,
            begun: part.begun,
            answered: part.answered,
            ended: part.ended,
            bytes: part.bytes,
        });
    }
    story.parts.sort_by(|a, b| a.ended.total_cmp(&b.ended));
}

fn runs(story: &mut Story, record: &Record, setup: &Setup) {
    let mut free = vec![0.0_f64; setup.workers];
    for ran in &record.runs {
        let worker = free.iter().position(|until| *until <= ran.begun + 1e-9);
        let worker = worker.expect("no more jobs than workers");
        free[worker] = ran.ended;
        let job = &mut story.jobs[ran.job as usize];
        job.ready = Some(ran.ready);
        job.runs.push(RunSpan {
            worker: FIRST_WORKER + worker as u16,
            begun: ran.begun,
            ended: ran.ended,
        });
    }
}

/// As the coordinator counts it, to a thousandth of the time.
fn held_back(story: &Story) -> HeldBack {
    const STEPS: usize = 1000;
    let step = story.seconds / STEPS as f64;
    let over = |spans: &mut dyn Iterator<Item = (f64, f64)>| {
        let mut counts = vec![0_usize; STEPS + 1];
        for (from, to) in spans {
            let (from, to) = ((from / step).round(), (to / step).round());
            let places = (from as usize).min(STEPS)..(to as usize).min(STEPS);
            places.for_each(|at| counts[at] += 1);
        }
        counts
    };
    let objects = story.objects.iter();
    let fetching = over(&mut objects.filter_map(|o| Some((o.begun?, o.ended?))));
    let jobs = story.jobs.iter();
    let ready = over(&mut jobs.filter_map(|j| Some((j.ready?, j.runs.last()?.begun))));
    let runs = story.jobs.iter().flat_map(|job| &job.runs);
    let running = over(&mut runs.map(|run| (run.begun, run.ended)));
    let mut held = HeldBack::default();
    for at in 0..STEPS {
        let (fetching, running) = (fetching[at] > 0, running[at]);
        held.download += step * f64::from(fetching);
        held.processing += step * f64::from(running > 0);
        held.hidden += step * f64::from(fetching && running > 0);
        let lacks_data = running < story.workers && ready[at] == 0 && fetching;
        held.waiting_for_data += step * f64::from(lacks_data);
        held.waiting_for_workers += step * f64::from(running >= story.workers && ready[at] > 0);
    }
    held
}
