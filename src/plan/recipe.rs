//! What a job is, in one number: the same task on the same bytes with the same meaning.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

use crate::store::ObjectInfo;
use crate::task::{JobPayload, Processor, Task};

/// Grows whenever results may come out otherwise for the same task and objects.
const VERSION: u32 = 1;

/// What all jobs of a task have in common: its settings, and size and time of the program and of
/// the files that its command names, so that an edited script counts as another task.
pub(super) fn of_task(task: &Task) -> String {
    let mut text = format!("cotec {VERSION}\n{}", task.recipe());
    match &task.processor {
        Processor::Run(argv) => {
            for (place, argument) in argv.iter().enumerate() {
                let argument = argument.to_string();
                let path = match place {
                    0 => program(&argument),
                    _ => Some(PathBuf::from(argument)),
                };
                path.iter().for_each(|path| add_file(&mut text, path));
            }
        }
        Processor::Native => std::env::current_exe()
            .iter()
            .for_each(|path| add_file(&mut text, path)),
        Processor::Index(_) | Processor::Expr(_) => {}
    }
    text
}

/// The recipe of a job: `task` is from [`of_task`], the rest are the scales of the bands, and
/// each input's key, size and ETag. 32 hexadecimal digits.
pub(super) fn of_job(task: &str, payload: &JobPayload, objects: &[&ObjectInfo]) -> String {
    let mut text = task.to_owned();
    // A payload made by the planner can always be written.
    text += &serde_json::to_string(payload).unwrap_or_default();
    for object in objects {
        let etag = object.etag.as_deref().unwrap_or_default();
        let _ = write!(text, "\n{:?} {} {etag:?}", object.key, object.size);
    }
    format!("{:032x}", xxh3_128(text.as_bytes()))
}

fn add_file(text: &mut String, path: &Path) {
    if let Ok(meta) = fs::metadata(path)
        && meta.is_file()
    {
        let (size, seconds, rest) = (meta.len(), meta.mtime(), meta.mtime_nsec());
        let _ = write!(text, "\n{path:?} {size} {seconds}.{rest}");
    }
}

/// The file of a program as a command line finds it.
fn program(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}
