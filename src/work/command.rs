//! Running a command as a processor.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::sys::command::{end_children, end_group, kill_group, spawn_group, wait_for};
use crate::task::{Template, Value, expand_argv};
use crate::values::{Fault, FaultCode};

use super::job::Job;
use super::outcome::Failure;

/// How much of the end of a command's output is shown when it fails.
const END_BYTES: u64 = 2000;

/// How long a command that has run too long gets to end by itself.
const MERCY: Duration = Duration::from_secs(5);

/// Runs the command of a job and waits for it. Returns the file with what it printed.
pub(super) fn run(
    job: &Job<'_>,
    argv: &[Template],
    log: PathBuf,
    table_path: &str,
) -> Result<PathBuf, Failure> {
    product_dir_is_one(job, argv)?;
    (job.space.make()).map_err(|e| Failure::staging(job.space.path(), &e))?;
    let argv = expand_argv(argv, |name| value(job, name)).map_err(Failure::processor)?;
    let Some((program, arguments)) = argv.split_first() else {
        return Err(Failure::processor("the command is empty"));
    };
    let output = |e: &io::Error| Failure::output(&log, e);
    let file = File::create(&log).map_err(|e| output(&e))?;
    let second = file.try_clone().map_err(|e| output(&e))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(second);
    environment(&mut command, job, table_path);
    let mut child = spawn_group(&mut command, job.task.memory).map_err(|error| {
        let program = program.to_string_lossy();
        Failure::processor(format!(
            "the command {program:?} cannot be started: {error}"
        ))
    })?;
    let group = child.id();
    // If this worker dies, the coordinator ends the group.
    let noted = job.table.set_group(group);
    let status = wait_for(&mut child, job.task.timeout);
    let timed_out = matches!(status, Ok(None));
    if timed_out {
        end_group(group);
        let _ = wait_for(&mut child, Some(MERCY));
    }
    kill_group(group);
    let _ = child.wait();
    // What has left the group is ours now that its parent is gone.
    end_children(|_| false);
    let _ = job.table.set_group(0);
    noted.map_err(Failure::processor)?;
    match status {
        Ok(Some(status)) if status.success() => Ok(log),
        Ok(Some(status)) => Err(failure(status, log)),
        Ok(None) => Err(too_long(job, log)),
        Err(error) => Err(Failure::processor(error)),
    }
}

/// A key may be another one's product: then its file stands where the directory would be.
fn product_dir_is_one(job: &Job<'_>, argv: &[Template]) -> Result<(), Failure> {
    let mut names = argv.iter().flat_map(Template::placeholders);
    let dir = job.product_dir();
    if names.any(|(name, _)| name == "product_dir") && dir.is_file() {
        return Err(Failure::processor(format!(
            "{} is a file, from this run or an earlier one, so the product has no directory of its \
             own; name its files with {{inputs}}, or remove that file if it is from an earlier run",
            dir.display()
        )));
    }
    Ok(())
}

fn value(job: &Job<'_>, name: &str) -> Option<Value> {
    let one = |text: OsString| Some(Value::One(text));
    match name {
        "out" => one(job.out().into()),
        "product" => one(job.product().into()),
        "product_dir" => one(job.product_dir().into()),
        "prefix" => one(job.prefix().into()),
        "job" => one(job.name().into()),
        "task" => one(job.task().into()),
        "staging" => one(job.staging().into()),
        "scratch" => one(job.scratch().into()),
        "inputs" => Some(Value::Many(
            job.inputs().into_iter().map(Into::into).collect(),
        )),
        "products" => Some(Value::Many(
            job.products().into_iter().map(Into::into).collect(),
        )),
        band if job.payload.members.is_empty() => job.band(band).and_then(|path| one(path.into())),
        band => Some(Value::Many(
            job.band_files(band).into_iter().map(Into::into).collect(),
        )),
    }
}

/// The command gets this process's environment without credentials, what it needs to attach to
/// the table, and what its task adds.
fn environment(command: &mut Command, job: &Job<'_>, table_path: &str) {
    for (name, _) in std::env::vars_os() {
        if name
            .to_string_lossy()
            .to_ascii_uppercase()
            .starts_with("AWS_")
        {
            command.env_remove(&name);
        }
    }
    let one = job.payload.members.is_empty();
    let product_dir = one.then(|| ("COTEC_PRODUCT_DIR", job.product_dir()));
    let parameters = job.task.parameters.iter();
    let parameters = parameters.map(|(name, value)| {
        let name = format!("COTEC_PARAM_{}", name.to_ascii_uppercase());
        (name, value.to_string())
    });
    command
        .env("COTEC_TABLE", table_path)
        .env("COTEC_JOB", job.name())
        .env("COTEC_TASK", job.task())
        .env("COTEC_PRODUCT", job.product())
        .env("COTEC_STAGING", job.staging())
        .env("COTEC_OUT", job.out())
        .env("COTEC_SCRATCH", job.scratch())
        .env("COTEC_THREADS", job.threads().to_string())
        .envs(product_dir)
        .envs(parameters)
        .envs(&job.task.env);
}

fn too_long(job: &Job<'_>, log: PathBuf) -> Failure {
    let seconds = job.task.timeout.unwrap_or_default().as_secs_f64();
    let end = end_of(&log).unwrap_or_default();
    Failure {
        fault: Fault::new(FaultCode::TimedOut, seconds.ceil() as u32),
        error: format!("the command ran longer than the {seconds} s of its task and was ended"),
        log: Some((log, end)),
    }
}

fn failure(status: ExitStatus, log: PathBuf) -> Failure {
    let (fault, error) = match (status.code(), status.signal()) {
        (Some(code), _) => (
            Fault::new(FaultCode::Processor, code.unsigned_abs()),
            format!("the command ended with exit status {code}"),
        ),
        (None, signal) => {
            let signal = signal.unwrap_or(0);
            (
                Fault::new(FaultCode::ProcessorKilled, signal.unsigned_abs()),
                format!("the command was killed by signal {signal}"),
            )
        }
    };
    let end = end_of(&log).unwrap_or_default();
    Failure {
        fault,
        error,
        log: Some((log, end)),
    }
}

/// The last lines of a file, at most [`END_BYTES`].
pub(super) fn end_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let from = size.saturating_sub(END_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(END_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // What was cut off at the start is not shown as if it were a line.
    let text = match text.split_once('\n') {
        Some((_, rest)) if from > 0 => rest,
        _ => text.as_ref(),
    };
    Ok(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_long_output_starts_with_a_whole_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "short\n").unwrap();
        assert_eq!(end_of(&path).unwrap(), "short");
        let long: String = (0..1000).map(|i| format!("line {i}\n")).collect();
        std::fs::write(&path, long).unwrap();
        let end = end_of(&path).unwrap();
        assert!(
            end.starts_with("line ") && end.ends_with("line 999"),
            "{end}"
        );
        std::fs::write(&path, "é".repeat(5000)).unwrap();
        assert!(end_of(&path).unwrap().len() <= 2010);
    }
}
