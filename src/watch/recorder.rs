//! The recorder: a process that reads the events of a run until it is over, and writes what is to
//! be seen of them. It changes nothing in the table but for what it says at the end.

use std::fs::File;
use std::io::{self, BufWriter, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use serde::{Deserialize, Serialize};

use crate::report::{self, Story};
use crate::sys::clock::now_ns;
use crate::sys::whole;
use crate::table::{EventReader, SlotId, Table, TableError};
use crate::values::{Event, EventKind, Role, human};

use super::chronicle::Chronicle;
use super::tally::Tally;
use super::trace::Trace;

/// How often events are read. The ring mostly holds many times what happens meanwhile.
const EVERY: Duration = Duration::from_millis(50);
/// How often where so many have come that the next ones may overrun the ring.
const SOON: Duration = Duration::from_millis(2);
const MANY: u64 = 4096;
/// Bytes of the trace that are written at a time.
const BUFFER: usize = 256 << 10;
/// How often the trace's curves get a point.
const CURVES_NS: u64 = 200_000_000;

/// What is to be written.
#[derive(Debug)]
pub struct Recording {
    /// The Chrome trace, opened.
    pub trace: Option<(PathBuf, File)>,
    /// The report, and what is known for it before the run begins.
    pub report: Option<(PathBuf, Story)>,
}

/// How a run ended; comes through a pipe, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ending {
    /// As in the summary.
    pub outcome: String,
    /// Wall time.
    pub seconds: f64,
}

/// Why nothing could be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A file.
    #[error("{} cannot be written: {source}; the run goes on without it, choose another file the next time", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The table.
    #[error(transparent)]
    Table(#[from] TableError),
}

struct Recorder<'a> {
    table: &'a Table,
    reader: EventReader,
    tally: Tally,
    trace: Option<(PathBuf, Trace<BufWriter<File>>)>,
    chronicle: Option<(PathBuf, Chronicle)>,
    /// Bytes that had come at the last point of the curves, and when.
    last: (u64, u64),
    wanted: Vec<bool>,
}

/// Records a run until `over` says how it ended, then writes what is to be written, and says
/// where. If `over` is closed without a word, the trace ends there, and no report is written.
///
/// # Errors
/// See [`RecordError`].
pub fn record(
    table: &Table,
    begun_ns: u64,
    workers: usize,
    recording: Recording,
    over: OwnedFd,
) -> Result<(), RecordError> {
    let (trace, report) = (recording.trace, recording.report);
    let mut recorder = Recorder {
        table,
        reader: EventReader::default(),
        tally: Tally::new(workers, begun_ns),
        trace: trace.map(|(path, file)| {
            let file = BufWriter::with_capacity(BUFFER, file);
            (path, Trace::new(file, begun_ns))
        }),
        chronicle: report.map(|(path, story)| (path, Chronicle::new(story, begun_ns))),
        last: (0, begun_ns),
        wanted: Vec::new(),
    };
    let mut pause = EVERY;
    while !readable(&over, pause) {
        pause = match recorder.read()? {
            MANY.. => SOON,
            _ => EVERY,
        };
        if now_ns().saturating_sub(recorder.last.1) >= CURVES_NS {
            recorder.curves()?;
        }
    }
    // So short a line comes with one read; that the pipe is closed is not waited for, because
    // others may have inherited its other end.
    let mut said = vec![0; 4096];
    let length = File::from(over).read(&mut said).unwrap_or(0);
    let ending = serde_json::from_slice::<Ending>(&said[..length]).ok();
    recorder.read()?;
    recorder.tally.pass(now_ns());
    recorder.curves()?;
    recorder.end(ending)
}

/// Whether the run is over; sleeps a while first.
fn readable(over: &OwnedFd, pause: Duration) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(over.as_fd(), PollFlags::IN)];
    let timeout = Timespec {
        tv_sec: 0,
        tv_nsec: pause.subsec_nanos().into(),
    };
    let ready = rustix::event::poll(&mut fds, Some(&timeout));
    matches!(ready, Ok(n) if n > 0)
}

impl Recorder<'_> {
    /// Takes in what has happened; how much it was.
    fn read(&mut self) -> Result<u64, RecordError> {
        let mut events = 0;
        while let Some(event) = self.reader.next(self.table)? {
            events += 1;
            if !self.names_something(&event) {
                continue;
            }
            let first = event.kind == EventKind::ObjectWanted && self.is_first(SlotId(event.id));
            self.tally.count(&event, first);
            if let Some((path, trace)) = &mut self.trace {
                trace.event(self.table, &event).map_err(file(path))?;
            }
            if let Some((_, chronicle)) = &mut self.chronicle {
                chronicle.event(self.table, &event);
            }
        }
        Ok(events)
    }

    /// Whether what an event is about can be in the table at all.
    fn names_something(&self, event: &Event) -> bool {
        use EventKind::*;
        let limits = self.table.limits();
        match event.kind {
            ObjectWanted | ObjectFetching | ObjectReady | ObjectFailed | ObjectEvicted | Retry
            | PartBegun | PartAnswered | PartEnded | Waited => event.id < limits.objects,
            JobWaiting | JobReady | JobRunning | JobDone | JobFailed | JobHandedOn
            | JobPostponed | JobUploading | UploadBegun | CommandBegun | CommandEnded => {
                event.id < limits.jobs
            }
            Planned | Note | Joined | Setting => true,
        }
    }

    fn is_first(&mut self, slot: SlotId) -> bool {
        let index = slot.0 as usize;
        if self.wanted.len() <= index {
            self.wanted.resize(index + 1, false);
        }
        !std::mem::replace(&mut self.wanted[index], true)
    }

    fn curves(&mut self) -> Result<(), RecordError> {
        let Some((path, trace)) = &mut self.trace else {
            return Ok(());
        };
        let downloaders = self.table.processes()?.into_iter();
        let bytes = downloaders
            .filter(|process| process.role == Role::Downloader)
            .map(|process| process.bytes)
            .sum::<u64>();
        let (now, (before, since)) = (now_ns(), self.last);
        self.last = (bytes, now);
        let seconds = now.saturating_sub(since).max(1) as f64 / 1e9;
        let rate = bytes.saturating_sub(before) as f64 / seconds;
        trace.look(&self.tally, now, rate).map_err(file(path))
    }

    fn end(self, ending: Option<Ending>) -> Result<(), RecordError> {
        if let Some((path, mut trace)) = self.trace {
            trace
                .end(self.table, self.reader.lost())
                .map_err(file(&path))?;
            self.table.note(&said("trace", &path))?;
        }
        let (Some((path, mut chronicle)), Some(ending)) = (self.chronicle, ending) else {
            return Ok(());
        };
        chronicle.ended(&ending.outcome, ending.seconds);
        let story = chronicle.end(self.table, &self.tally, self.reader.lost())?;
        let page = report::page(&story);
        whole::write(&path, page.as_bytes()).map_err(file(&path))?;
        self.table.note(&said("report", &path))?;
        Ok(())
    }
}

fn file(path: &Path) -> impl FnOnce(io::Error) -> RecordError {
    move |source| RecordError::File {
        path: path.to_owned(),
        source,
    }
}

fn said(what: &str, path: &Path) -> String {
    let size = std::fs::metadata(path).map_or(0, |meta| meta.len());
    format!("{what}: {} ({})", path.display(), human::bytes(size))
}
