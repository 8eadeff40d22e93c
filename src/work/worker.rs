//! The worker process: one job after the other until the run is over.

use std::any::Any;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::sys::death;
use crate::table::{JobClaim, Outcome, Phase, Table, TableError};
use crate::task::{JobFile, JobPayload, Processor, Task};
use crate::values::clock::Deadline;
use crate::values::{Fault, FaultCode};

use super::command::Commands;
use super::formula;
use super::job::Job;
use super::outcome::{Failure, JobResult, ResultStats, Written};
use super::partial::Early;
use super::scratch::{Scratch, place};
use super::space::{Space, Spare};

/// The longest sleep before looking again. Wake-ups do not depend on it: it bounds how long a
/// ready job waits when the worker that was woken for it has been stopped by a signal.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A processor written by the user, for tasks that name none.
pub type Native<'a> = &'a dyn Fn(&Job<'_>) -> Result<(), Box<dyn Error>>;

/// What a worker needs besides the table.
pub struct WorkConfig<'a> {
    /// The job file of the run.
    pub jobfile: &'a JobFile,
    /// The staging directory, absolute.
    pub staging: &'a Path,
    /// The bucket's name.
    pub bucket: &'a str,
    /// The directory of the results, absolute.
    pub out: &'a Path,
    /// Where processors write.
    pub scratch: &'a Scratch,
    /// How commands can attach to the table.
    pub table_path: &'a str,
    /// Threads that one job should use.
    pub threads: usize,
    /// The processor of tasks that name none.
    pub native: Option<Native<'a>>,
}

/// Claims and runs jobs until the run is over. `table` must have joined.
///
/// # Errors
/// The table's; failures of jobs are in the table and do not end the worker.
pub fn run(table: &Table, config: &WorkConfig<'_>) -> Result<(), TableError> {
    let mut worker = Worker {
        table,
        config,
        commands: None,
        spare: Spare::new(config.staging),
    };
    loop {
        if table.phase()? >= Phase::Finishing {
            break;
        }
        if let Some(claim) = table.claim_job()? {
            worker.run_job(claim)?;
        } else if table.finished()? || !table.coordinator_lives() {
            break;
        } else {
            table.sleep_until_job(Deadline::NEVER, LOOK_AGAIN)?;
        }
    }
    worker.spare.remove();
    Ok(())
}

/// A worker and what it keeps from one job to the next.
struct Worker<'a> {
    table: &'a Table,
    config: &'a WorkConfig<'a>,
    /// Once there was a command.
    commands: Option<Commands>,
    spare: Spare,
}

impl Worker<'_> {
    fn run_job(&mut self, claim: JobClaim) -> Result<(), TableError> {
        let (table, config) = (self.table, self.config);
        let begun = Instant::now();
        let name = table.job_name(claim.job)?;
        let payload = table.job_payload(claim.job)?;
        let number = table.job_task(claim.job)?;
        let slots = table.job_inputs(claim.job)?;
        let mut result = JobResult::default();
        let mut handed_over = false;
        let outcome = match prepare(config, number, &payload) {
            Err(failure) => Err(failure),
            Ok((task, payload)) => {
                let early = Early::default();
                let mut place = config.scratch.job_dir(claim.job.0, claim.attempt);
                let space = Space::new(&self.spare, config.staging, claim, config.jobfile.keep);
                let job = Job {
                    table,
                    id: claim.job,
                    name: &name,
                    task,
                    payload: &payload,
                    slots: &slots,
                    staging: config.staging,
                    bucket: config.bucket,
                    place: &place,
                    space: &space,
                    threads: config.threads,
                    early: &early,
                };
                result.notes.clone_from(&payload.notes);
                let mut outcome = process(config, &mut self.commands, &job, &mut result);
                let holds = !task.at_once || inputs_hold(&job, claim, outcome.is_ok())?;
                if holds && outcome.is_ok() {
                    outcome = put_in_place(config, &job, &mut result);
                }
                // Without its directory a processor cannot have gone well.
                let made = place.made();
                handed_over =
                    holds && made.is_ok() && outcome.is_ok() && task.destination.is_some();
                if !handed_over {
                    place.remove();
                }
                result.scratch_bytes = space.over();
                if !holds {
                    return Ok(());
                }
                made.map_err(|e| Failure::output(config.out, &e))
                    .and(outcome)
            }
        };
        let seconds = begun.elapsed();
        result.seconds = seconds.as_secs_f64();
        if let Err(failure) = &outcome
            && again(config, number, claim.attempt, failure.fault)
        {
            let error = &failure.error;
            table.note(&format!("{name} is run again after a pause: {error}"))?;
            table.postpone_job(claim, failure.fault)?;
            return Ok(());
        }
        let outcome = outcome.map_err(|failure| {
            result.error = Some(failure.error);
            failure.fault
        });
        if outcome.is_ok() {
            // Of a job that went well the file is enough.
            result.log_end = None;
        }
        // Figures that are not there are left out, so this cannot fail on a number.
        let text = serde_json::to_vec(&result).unwrap_or_default();
        table.set_job_result(claim, &text)?;
        let busy = u64::try_from(seconds.as_nanos()).unwrap_or(u64::MAX);
        table.add_figures(0, 0, busy)?;
        match handed_over {
            // If it is somebody else's by now, its files go with the run's other leftovers.
            true => table.hand_over_job(claim)?,
            false => table.finish_job(claim, outcome)?,
        };
        Ok(())
    }
}

/// Whether a job whose processor failed in this attempt is to be run again.
fn again(config: &WorkConfig<'_>, task: u32, attempt: u32, fault: Fault) -> bool {
    use FaultCode::{NoOutput, Processor, ProcessorKilled, TimedOut};
    let processor = [NoOutput, Processor, ProcessorKilled, TimedOut].contains(&fault.code);
    let task = config.jobfile.tasks.get(task as usize);
    processor && task.is_some_and(|task| attempt <= task.retries)
}

fn prepare<'a>(
    config: &WorkConfig<'a>,
    number: u32,
    payload: &[u8],
) -> Result<(&'a Task, JobPayload), Failure> {
    let task = config.jobfile.tasks.get(number as usize);
    let task = task.ok_or_else(|| Failure::processor(format!("there is no task {number}")))?;
    let payload = JobPayload::from_bytes(payload).map_err(Failure::processor)?;
    Ok((task, payload))
}

/// Of a job that was started at once: waits until its inputs are complete and verified. False if
/// one of them failed, or is not what was read of it before; then the job waits again, and its
/// inputs decide what becomes of it.
fn inputs_hold(job: &Job<'_>, claim: JobClaim, went_well: bool) -> Result<bool, TableError> {
    let (table, name) = (job.table, job.name);
    for slot in job.slots {
        // What failed for its own reason need not wait.
        let own = !went_well && job.early.is_empty();
        let timeout = own.then_some(Duration::ZERO);
        if matches!(table.wait(*slot, timeout)?, Outcome::Failed(_)) {
            table.postpone_job(claim, Fault::new(FaultCode::Input, slot.0))?;
            table.look_on(claim.job)?;
            return Ok(false);
        }
    }
    if !job.early.holds(|input| job.input(input)) {
        table.note(&format!(
            "{name} is run again: an input came with wrong bytes first, and the job had read them"
        ))?;
        table.postpone_job(claim, Fault::new(FaultCode::Input, 0))?;
        table.look_on(claim.job)?;
        return Ok(false);
    }
    Ok(true)
}

/// Runs the processor.
fn process(
    config: &WorkConfig<'_>,
    commands: &mut Option<Commands>,
    job: &Job<'_>,
    result: &mut JobResult,
) -> Result<(), Failure> {
    let out = config.out.join(job.product());
    match &job.task.processor {
        Processor::Index(_) | Processor::Expr(_) => {
            let (stats, first_rows) = formula_job(job)?;
            result.stats = Some(stats);
            result.first_rows_seconds = first_rows;
        }
        Processor::Run(argv) => {
            let commands = match commands {
                Some(commands) => commands,
                None => commands.insert(Commands::open().map_err(Failure::processor)?),
            };
            let log = out.join(format!("{}.log", job.task()));
            let (printed, outcome) = commands.run(job, argv, log, config.table_path);
            result.log_end = printed.file.is_some().then_some(printed.end);
            result.log = printed.file;
            result.notes.extend(printed.note);
            outcome?;
        }
        Processor::Native => native(config, job)?,
    }
    Ok(())
}

/// Moves the result of a processor to its place.
fn put_in_place(
    config: &WorkConfig<'_>,
    job: &Job<'_>,
    result: &mut JobResult,
) -> Result<(), Failure> {
    let out = config.out.join(job.product());
    death::point("result-written");
    for file in job.task.result_files() {
        let (from, to) = (job.place.path().join(&file), out.join(&file));
        if !from.exists() {
            return Err(no_output(job));
        }
        if job.task.destination.is_some() {
            continue;
        }
        let written = Written::of(&from).and_then(|written| {
            place(&from, &to)?;
            Ok(written)
        });
        (result.written).push(written.map_err(|e| Failure::output(&to, &e))?);
        result.outputs.push(to);
    }
    death::point("result-placed");
    Ok(())
}

fn formula_job(job: &Job<'_>) -> Result<(ResultStats, Option<f64>), Failure> {
    catch_unwind(AssertUnwindSafe(|| formula::run(job, Instant::now())))
        .unwrap_or_else(|panic| Err(panicked(&panic)))
}

fn native(config: &WorkConfig<'_>, job: &Job<'_>) -> Result<(), Failure> {
    let Some(native) = config.native else {
        return Err(Failure::processor("this task names no processor"));
    };
    match catch_unwind(AssertUnwindSafe(|| native(job))) {
        Ok(outcome) => outcome.map_err(Failure::processor),
        Err(panic) => Err(panicked(&panic)),
    }
}

fn panicked(panic: &Box<dyn Any + Send>) -> Failure {
    let text = panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    Failure::processor(format!("the processor panicked: {text}"))
}

fn no_output(job: &Job<'_>) -> Failure {
    Failure {
        fault: Fault::new(FaultCode::NoOutput, 0),
        error: format!(
            "the processor ended well but did not write {}",
            job.task.output
        ),
    }
}
