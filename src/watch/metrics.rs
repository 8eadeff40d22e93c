//! A run in the text format of Prometheus. `docs/metrics.md` describes each metric.
//!
//! Everything comes from one look at the table. Counters never go down, also where a look falls
//! into the moment in which the record of a dead process is given back.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use prometheus::TextEncoder;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use crate::table::{JobId, Table, TableError};
use crate::values::JobState;

use super::failed::job_result;
use super::look::{EndpointLook, Look, Watcher};

/// A look younger than this is shown again.
const FRESH: Duration = Duration::from_millis(500);
/// Upper bounds of the histogram of jobs, in seconds.
const BOUNDS: [f64; 12] = [
    0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0,
];
/// All phases that an exporter may find.
const PHASES: [&str; 4] = ["planning", "planned", "finishing", "stopping"];

/// What is known of a run before it begins.
#[derive(Clone, Debug)]
pub struct About {
    /// The bucket and where it is, without secrets.
    pub store: String,
    /// When it began, in seconds since 1970.
    pub begun_unix: f64,
    /// The most that staging may take, in bytes.
    pub staging_limit: Option<u64>,
}

/// The metrics of a run, for one scrape after the other.
pub struct Metrics {
    watcher: Watcher,
    about: About,
    durations: Durations,
    /// The highest value that each counter had.
    highest: HashMap<String, f64>,
    /// The last text, and until when it is shown.
    last: Option<(String, Instant)>,
}

/// A sample: labels and value.
type Sample<'a> = (Vec<(&'a str, &'a str)>, f64);

impl Metrics {
    /// The metrics of the run that `watcher` looks at.
    pub fn new(watcher: Watcher, about: About) -> Metrics {
        Metrics {
            watcher,
            about,
            durations: Durations::default(),
            highest: HashMap::new(),
            last: None,
        }
    }

    /// The text of a scrape. The table is looked at only where the last look is not fresh.
    ///
    /// # Errors
    /// The table is damaged.
    pub fn text(&mut self) -> Result<&str, TableError> {
        let now = Instant::now();
        if self.last.as_ref().is_none_or(|(_, until)| now >= *until) {
            let look = self.watcher.look()?;
            self.durations.update(self.watcher.table())?;
            let took = now.elapsed();
            let text = self.page(&look, took);
            let until = Instant::now() + self.watcher.rest(FRESH);
            self.last = Some((text, until));
        }
        Ok(self.last.as_ref().map_or("", |(text, _)| text))
    }

    fn page(&mut self, look: &Look, took: Duration) -> String {
        let mut page = Page {
            families: Vec::new(),
            highest: &mut self.highest,
        };
        run(&mut page, look, &self.about);
        objects(&mut page, look, self.about.staging_limit);
        jobs(&mut page, look);
        if let Some(look) = &look.endpoint {
            endpoint(&mut page, look);
        }
        page.families.push(self.durations.family());
        page.counter(
            "cotec_faults_total",
            "Objects and jobs that failed, by fault.",
            look.faults
                .iter()
                .map(|f| (vec![("what", f.what), ("fault", f.fault)], f.count as f64))
                .collect(),
        );
        page.gauge(
            "cotec_exporter_look_seconds",
            "How long the look at the table took that these figures come from.",
            vec![(Vec::new(), took.as_secs_f64())],
        );
        // Without a family there is nothing that could be wrong with one.
        page.families
            .retain(|family| !family.get_metric().is_empty());
        TextEncoder::new()
            .encode_to_string(&page.families)
            .unwrap_or_default()
    }
}

fn run(page: &mut Page<'_>, look: &Look, about: &About) {
    let pid = look.pid.to_string();
    page.gauge(
        "cotec_run_info",
        "The run: always 1.",
        vec![(
            vec![
                ("version", env!("CARGO_PKG_VERSION")),
                ("pid", &pid),
                ("store", &about.store),
                ("out", &look.out),
            ],
            1.0,
        )],
    );
    page.gauge(
        "cotec_run_start_time_seconds",
        "When the run began, in seconds since 1970.",
        vec![(Vec::new(), about.begun_unix)],
    );
    page.gauge(
        "cotec_run_phase",
        "1 for the phase that the run is in, 0 for the others.",
        PHASES
            .iter()
            .map(|phase| {
                (
                    vec![("phase", *phase)],
                    f64::from(u8::from(*phase == look.phase)),
                )
            })
            .collect(),
    );
    let workers = look.processes.iter().filter(|p| p.role == "worker");
    let living: Vec<_> = workers.filter(|p| p.lives).collect();
    let busy = living.iter().filter(|p| p.job.is_some()).count();
    page.gauge(
        "cotec_workers",
        "Workers, by whether they run a job or wait for one.",
        vec![
            (vec![("state", "running")], busy as f64),
            (vec![("state", "waiting")], (living.len() - busy) as f64),
        ],
    );
}

fn objects(page: &mut Page<'_>, look: &Look, staging_limit: Option<u64>) {
    let (o, b) = (&look.objects, &look.bytes);
    let states = [
        ("wanted", o.wanted, b.wanted),
        ("fetching", o.fetching, b.fetching),
        ("ready", o.ready, b.ready),
        ("failed", o.failed, b.failed),
        ("evicted", o.evicted, b.evicted),
    ];
    let by_state = |of: fn(&(&'static str, u64, u64)) -> u64| -> Vec<Sample<'_>> {
        let samples = states.iter();
        samples
            .map(|state| (vec![("state", state.0)], of(state) as f64))
            .collect()
    };
    page.gauge("cotec_objects", "Objects, by state.", by_state(|s| s.1));
    page.gauge(
        "cotec_object_bytes",
        "Bytes of objects, by the objects' state.",
        by_state(|s| s.2),
    );
    let landed: u64 = look.fetching.iter().map(|one| one.landed).sum();
    page.gauge(
        "cotec_staging_bytes",
        "Bytes in staging: of complete objects, and what has landed of those being fetched.",
        vec![(Vec::new(), b.ready.saturating_add(landed) as f64)],
    );
    page.gauge(
        "cotec_staging_limit_bytes",
        "The most that staging may take; absent where there is no limit.",
        staging_limit
            .map(|limit| (Vec::new(), limit as f64))
            .into_iter()
            .collect(),
    );
    let totals = &look.totals;
    for (name, help, value) in [
        (
            "cotec_fetched_bytes_total",
            "Bytes that came from the store.",
            b.fetched as f64,
        ),
        (
            "cotec_requests_total",
            "Requests for objects that the store has answered.",
            totals.requests as f64,
        ),
        (
            "cotec_retries_total",
            "Requests for objects that were tried again.",
            totals.retries as f64,
        ),
        (
            "cotec_staging_write_seconds_total",
            "Seconds in which the downloader wrote to staging.",
            totals.writing_seconds,
        ),
    ] {
        page.counter(name, help, vec![(Vec::new(), value)]);
    }
}

fn jobs(page: &mut Page<'_>, look: &Look) {
    let j = &look.jobs;
    page.gauge(
        "cotec_jobs",
        "Jobs, by state.",
        [
            ("waiting", j.waiting),
            ("ready", j.ready),
            ("running", j.running),
            ("uploading", j.uploading),
            ("done", j.done),
            ("failed", j.failed),
        ]
        .map(|(state, n)| (vec![("state", state)], n as f64))
        .into(),
    );
    page.counter(
        "cotec_jobs_ended_total",
        "Jobs that have ended, by how. Those that an earlier run has done count as done.",
        [("done", j.done), ("failed", j.failed)]
            .map(|(outcome, n)| (vec![("outcome", outcome)], n as f64))
            .into(),
    );
    page.counter(
        "cotec_worker_busy_seconds_total",
        "Seconds in which workers ran jobs, summed over all workers; of jobs that have ended.",
        vec![(Vec::new(), look.totals.working_seconds)],
    );
}

fn endpoint(page: &mut Page<'_>, endpoint: &EndpointLook) {
    let limits = &endpoint.limits;
    let one = |value: u64| vec![(Vec::new(), value as f64)];
    if let Some(limit) = limits.connections {
        page.gauge(
            "cotec_endpoint_connections",
            "Connections to the endpoint, held by this run and by all runs of the user on the \
             machine.",
            vec![
                (vec![("holder", "run")], endpoint.connections as f64),
                (vec![("holder", "all")], endpoint.connections_of_all as f64),
            ],
        );
        page.gauge(
            "cotec_endpoint_connections_limit",
            "Connections that the endpoint allows; absent where there is no limit.",
            one(limit.into()),
        );
    }
    if let (Some(limit), Some(month)) = (limits.bytes_per_month, endpoint.month) {
        page.gauge(
            "cotec_endpoint_month_bytes",
            "Bytes that came from the endpoint this month, for all runs of the user on the \
             machine; absent where there is no limit.",
            one(month),
        );
        page.gauge(
            "cotec_endpoint_month_limit_bytes",
            "Bytes that the endpoint allows in a month; absent where there is no limit.",
            one(limit),
        );
    }
}

/// The families of a scrape.
struct Page<'a> {
    families: Vec<MetricFamily>,
    highest: &'a mut HashMap<String, f64>,
}

impl Page<'_> {
    fn gauge(&mut self, name: &str, help: &str, samples: Vec<Sample<'_>>) {
        let metrics = samples.into_iter().map(|(labels, value)| {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            let mut metric = labelled(&labels);
            metric.set_gauge(gauge);
            metric
        });
        let metrics = metrics.collect();
        self.families
            .push(family(name, help, MetricType::GAUGE, metrics));
    }

    fn counter(&mut self, name: &str, help: &str, samples: Vec<Sample<'_>>) {
        let metrics = samples.into_iter().map(|(labels, value)| {
            let highest = self.highest.entry(format!("{name}{labels:?}"));
            let highest = highest.or_default();
            *highest = highest.max(value);
            let mut counter = Counter::default();
            counter.set_value(*highest);
            let mut metric = labelled(&labels);
            metric.set_counter(counter);
            metric
        });
        let metrics = metrics.collect();
        self.families
            .push(family(name, help, MetricType::COUNTER, metrics));
    }
}

fn labelled(labels: &[(&str, &str)]) -> Metric {
    let pairs = labels.iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    });
    Metric::from_label(pairs.collect())
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

/// How long jobs took, each counted once.
#[derive(Debug, Default)]
struct Durations {
    /// By job: whether its end was counted.
    counted: Vec<bool>,
    /// How many took no longer than each bound.
    within: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

impl Durations {
    /// Counts the jobs that have ended since the last time.
    fn update(&mut self, table: &Table) -> Result<(), TableError> {
        let len = table.jobs_len()?;
        self.counted.resize(len as usize, false);
        for (job, counted) in (0..len).map(JobId).zip(&mut self.counted) {
            let ended = matches!(
                table.job_state(job)?,
                Some(JobState::Done | JobState::Failed)
            );
            if *counted || !ended {
                continue;
            }
            *counted = true;
            // What never ran took no time, and what an earlier run has done took its time there.
            let result = job_result(table, job)?;
            let seconds = result.filter(|r| !r.earlier).map_or(0.0, |r| r.seconds);
            if seconds <= 0.0 {
                continue;
            }
            self.count += 1;
            self.sum += seconds;
            for (bound, within) in BOUNDS.iter().zip(&mut self.within) {
                *within += u64::from(seconds <= *bound);
            }
        }
        Ok(())
    }

    fn family(&self) -> MetricFamily {
        let mut histogram = Histogram::default();
        histogram.set_sample_count(self.count);
        histogram.set_sample_sum(self.sum);
        let buckets = BOUNDS.iter().zip(&self.within).map(|(bound, within)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(*within);
            bucket
        });
        histogram.set_bucket(buckets.collect());
        let mut metric = labelled(&[]);
        metric.set_histogram(histogram);
        family(
            "cotec_job_duration_seconds",
            "How long the processors of jobs ran; of jobs that have ended in this run.",
            MetricType::HISTOGRAM,
            vec![metric],
        )
    }
}
