//! A run as a Chrome trace: a track for each process, line and object under way, with spans for
//! objects, parts, waits, jobs and uploads, and arrows from each object to the jobs that waited
//! for it.
//!
//! It is written while the run goes on, so that a run that is killed leaves what happened until
//! then. What is kept in memory is what is under way, and a few words for each object and job.

use std::collections::HashMap;
use std::io::{self, Write};
use std::rc::Rc;

use serde::Serialize;
use serde_json::json;

use crate::table::{JobId, SlotId, Table};
use crate::values::event::line_of;
use crate::values::lanes::Lanes;
use crate::values::{Event, EventKind, Fault, Role};

use super::chrome::{Chrome, Span, Track};
use super::tally::Tally;

/// Track numbers that no process has: pids end below.
const LINES: u32 = 10_000_000;
const OBJECTS: u32 = 20_000_000;
const UPLOADS: u32 = 30_000_000;
const WAITS: u32 = 40_000_000;

/// Spans of idle workers are told from here on.
const IDLE_NS: u64 = 20_000;

/// What is shown with a span.
#[derive(Default, Serialize)]
struct Args<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
}

/// Nanoseconds of the run, and where something is shown.
#[derive(Clone, Copy, Debug)]
struct Begun {
    at: u64,
    track: Track,
}

#[derive(Clone, Copy, Debug)]
struct PartUnderWay {
    slot: u32,
    begun: Begun,
    answered: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct JobUnderWay {
    process: u16,
    begun: Begun,
    attempt: u64,
    /// Its command's process, and since when it runs.
    command: Option<(u32, u64)>,
}

/// Writes a trace.
pub(super) struct Trace<W> {
    chrome: Chrome<W>,
    begun_ns: u64,
    /// The pid and the role of each process, by its number.
    processes: Vec<Option<(u32, Role)>>,
    /// Since when a worker has nothing to do.
    idle: HashMap<u16, u64>,
    lines: Vec<Track>,
    parts: HashMap<Track, PartUnderWay>,
    object_lanes: HashMap<u32, Lanes>,
    objects: HashMap<u32, (u32, Begun)>,
    /// The key that was asked for last, and its slot: several spans of an object end together.
    key: Option<(u32, Rc<str>)>,
    /// Where each object's span ended, by its slot.
    landed: Vec<Option<Begun>>,
    /// When each job was registered.
    registered: Vec<u64>,
    running: HashMap<u32, JobUnderWay>,
    /// When the last wait of each lane of a process was over.
    waits: HashMap<u32, Vec<u64>>,
    upload_lanes: HashMap<u32, Lanes>,
    uploads: HashMap<u32, (u32, Begun)>,
    arrows: u64,
    now: u64,
}

fn at<T: Clone + Default>(all: &mut Vec<T>, index: u32) -> &mut T {
    let index = index as usize;
    if all.len() <= index {
        all.resize(index + 1, T::default());
    }
    &mut all[index]
}

fn job_of(table: &Table, job: u32) -> String {
    (table.job_name(JobId(job))).unwrap_or_else(|_| format!("job {job}"))
}

/// What lies behind the last slash: the directories are in the arguments.
fn short(key: &str) -> &str {
    key.trim_end_matches('/').rsplit('/').next().unwrap_or(key)
}

impl<W: Write> Trace<W> {
    pub fn new(out: W, begun_ns: u64) -> Trace<W> {
        Trace {
            chrome: Chrome::new(out),
            begun_ns,
            processes: Vec::new(),
            idle: HashMap::new(),
            lines: Vec::new(),
            parts: HashMap::new(),
            object_lanes: HashMap::new(),
            objects: HashMap::new(),
            key: None,
            landed: Vec::new(),
            registered: Vec::new(),
            running: HashMap::new(),
            waits: HashMap::new(),
            upload_lanes: HashMap::new(),
            uploads: HashMap::new(),
            arrows: 0,
            now: 0,
        }
    }

    /// Takes an event in.
    pub fn event(&mut self, table: &Table, event: &Event) -> io::Result<()> {
        let now = event.at_ns.saturating_sub(self.begun_ns);
        self.now = self.now.max(now);
        if event.kind == EventKind::Joined {
            return self.joined(event, now);
        }
        let by = self.track_of(table, event.process)?;
        let (id, value) = (event.id, event.value);
        match event.kind {
            EventKind::Joined => Ok(()),
            EventKind::ObjectFetching => self.object_begun(by.pid, id, now),
            EventKind::ObjectReady => self.object_ended(table, id, now, "ready", value),
            EventKind::ObjectFailed => {
                let why = Fault::from_bits(value as u32);
                let why = why.map_or(String::new(), |fault| fault.to_string());
                self.object_ended(table, id, now, &format!("failed: {why}"), 0)
            }
            // Its downloader died.
            EventKind::ObjectWanted if self.objects.contains_key(&id) => {
                let its =
                    |(track, part): (&Track, &PartUnderWay)| (part.slot == id).then_some(*track);
                for track in self.parts.iter().filter_map(its).collect::<Vec<_>>() {
                    self.part_ended(table, track, 0, now)?;
                }
                self.object_ended(table, id, now, "given back", 0)
            }
            EventKind::ObjectWanted | EventKind::ObjectEvicted => Ok(()),
            EventKind::JobWaiting => {
                *at(&mut self.registered, id) = now;
                Ok(())
            }
            EventKind::JobReady => Ok(()),
            EventKind::JobRunning => self.job_begun(table, event, by, now),
            EventKind::JobDone
            | EventKind::JobFailed
            | EventKind::JobHandedOn
            | EventKind::JobPostponed
            | EventKind::JobUploading => {
                let how = match event.kind {
                    EventKind::JobDone => "done",
                    EventKind::JobFailed => "failed",
                    EventKind::JobHandedOn => "handed on",
                    EventKind::JobPostponed => "to be run again",
                    _ => "to be uploaded",
                };
                self.job_ended(table, id, now, how)
            }
            EventKind::UploadBegun => self.upload_begun(by.pid, id, now),
            EventKind::CommandBegun => {
                if let Some(run) = self.running.get_mut(&id) {
                    run.command = Some((value as u32, now));
                }
                Ok(())
            }
            EventKind::CommandEnded => self.command_ended(id, now),
            EventKind::Planned => self.chrome.instant(by, now, "everything is planned"),
            EventKind::Note => {
                let text = table.note_text(event).unwrap_or_default();
                self.chrome.instant(by, now, &text)
            }
            EventKind::Retry => {
                let why = Fault::from_bits(value as u32).map_or(String::new(), |f| f.to_string());
                let text = format!("tried again: {}: {why}", self.key_of(table, id));
                self.chrome.instant(by, now, &text)
            }
            EventKind::PartBegun => self.part_begun(by.pid, id, line_of(value).0, now),
            EventKind::PartAnswered => {
                let track = line_track(by.pid, line_of(value).0);
                if let Some(part) = self.parts.get_mut(&track) {
                    part.answered = Some(now);
                }
                Ok(())
            }
            EventKind::PartEnded => {
                let (line, bytes) = line_of(value);
                self.part_ended(table, line_track(by.pid, line), bytes, now)
            }
            EventKind::Waited => self.waited(table, id, by, now.saturating_sub(value), now),
            EventKind::Setting => self.chrome.counter(
                by.pid,
                now,
                "connections allowed",
                &json!({ "connections": id }),
            ),
        }
    }

    /// A wait is known when it is over. Several threads of a process may have waited at a time.
    fn waited(
        &mut self,
        table: &Table,
        slot: u32,
        by: Track,
        begun: u64,
        ended: u64,
    ) -> io::Result<()> {
        let lanes = self.waits.entry(by.pid).or_default();
        let free = lanes.iter().position(|until| *until <= begun);
        let lane = free.unwrap_or(lanes.len());
        match lanes.get_mut(lane) {
            Some(until) => *until = ended,
            None => lanes.push(ended),
        }
        let track = match lane {
            0 => by,
            _ => Track {
                pid: by.pid,
                tid: WAITS + lane as u32,
            },
        };
        if lane > 0 && free.is_none() {
            self.chrome.thread(track, &format!("waits {}", lane + 1))?;
        }
        let span = Span {
            name: "waits for an object",
            kind: "wait",
            begun,
            ended,
        };
        let key = self.key_of(table, slot);
        let args = Args {
            key: Some(&key),
            ..Args::default()
        };
        self.chrome.span(track, &span, &args)
    }

    /// The track of a process; whoever joined before its event could be read is looked up.
    fn track_of(&mut self, table: &Table, process: u16) -> io::Result<Track> {
        let known = self.processes.get(usize::from(process)).copied().flatten();
        let pid = match known {
            Some((pid, _)) => pid,
            None => {
                let all = table.processes().unwrap_or_default();
                let found = all.iter().find(|p| p.owner.index() == u32::from(process));
                let (pid, role) = found.map_or((0, Role::Stranger), |p| (p.pid, p.role));
                self.introduce(process, pid, role)?;
                pid
            }
        };
        Ok(Track { pid, tid: pid })
    }

    fn key_of(&mut self, table: &Table, slot: u32) -> Rc<str> {
        if let Some((known, key)) = &self.key
            && *known == slot
        {
            return Rc::clone(key);
        }
        let key = (table.key(SlotId(slot))).unwrap_or_else(|_| format!("object {slot}"));
        let key: Rc<str> = key.into();
        self.key = Some((slot, Rc::clone(&key)));
        key
    }

    fn introduce(&mut self, process: u16, pid: u32, role: Role) -> io::Result<()> {
        *at(&mut self.processes, process.into()) = Some((pid, role));
        let name = format!("{} {process}", role.name());
        let place = match role {
            Role::Coordinator => 0,
            Role::Planner => 1,
            Role::Downloader => 2,
            Role::Worker => 3,
            Role::Uploader => 4,
            Role::Server | Role::Stranger | Role::Recorder | Role::Exporter => 5,
        };
        self.chrome
            .process(pid, &name, place * 1000 + u32::from(process))?;
        let track = Track { pid, tid: pid };
        self.chrome.thread(track, &name)
    }

    fn joined(&mut self, event: &Event, now: u64) -> io::Result<()> {
        if event.role == Role::Worker {
            self.idle.insert(event.process, now);
        }
        self.introduce(event.process, event.id, event.role)
    }

    fn object_begun(&mut self, pid: u32, slot: u32, now: u64) -> io::Result<()> {
        let (lane, new) = self.object_lanes.entry(pid).or_default().take();
        let tid = OBJECTS + lane;
        let track = Track { pid, tid };
        if new {
            let name = format!("objects {}", lane + 1);
            self.chrome.thread(track, &name)?;
        }
        self.objects.insert(slot, (lane, Begun { at: now, track }));
        Ok(())
    }

    fn object_ended(
        &mut self,
        table: &Table,
        slot: u32,
        now: u64,
        how: &str,
        fetched: u64,
    ) -> io::Result<()> {
        let Some((lane, begun)) = self.objects.remove(&slot) else {
            return Ok(());
        };
        if let Some(lanes) = self.object_lanes.get_mut(&begun.track.pid) {
            lanes.give(lane);
        }
        let ended = Begun {
            at: now,
            track: begun.track,
        };
        *at(&mut self.landed, slot) = Some(ended);
        let key = self.key_of(table, slot);
        let args = Args {
            key: Some(&key),
            size: Some(table.size(SlotId(slot)).unwrap_or(0)),
            bytes: Some(fetched),
            ended: Some(how),
            ..Args::default()
        };
        let span = Span {
            name: short(&key),
            kind: "object",
            begun: begun.at,
            ended: now,
        };
        self.chrome.span(begun.track, &span, &args)
    }

    fn part_begun(&mut self, pid: u32, slot: u32, line: u16, now: u64) -> io::Result<()> {
        let track = line_track(pid, line);
        if !self.lines.contains(&track) {
            self.lines.push(track);
            let name = format!("line {}", u32::from(line) + 1);
            self.chrome.thread(track, &name)?;
        }
        let begun = Begun { at: now, track };
        let part = PartUnderWay {
            slot,
            begun,
            answered: None,
        };
        self.parts.insert(track, part);
        Ok(())
    }

    fn part_ended(&mut self, table: &Table, track: Track, bytes: u64, now: u64) -> io::Result<()> {
        let Some(part) = self.parts.remove(&track) else {
            return Ok(());
        };
        let key = self.key_of(table, part.slot);
        let span = Span {
            name: short(&key),
            kind: "part",
            begun: part.begun.at,
            ended: now,
        };
        let args = Args {
            key: Some(&key),
            bytes: Some(bytes),
            ..Args::default()
        };
        self.chrome.span(track, &span, &args)?;
        let Some(answered) = part.answered else {
            return Ok(());
        };
        let span = Span {
            name: "waits for the answer",
            kind: "wait",
            begun: part.begun.at,
            ended: answered,
        };
        self.chrome.span(track, &span, &Args::default())
    }

    fn job_begun(
        &mut self,
        table: &Table,
        event: &Event,
        track: Track,
        now: u64,
    ) -> io::Result<()> {
        if let Some(since) = self.idle.remove(&event.process)
            && now.saturating_sub(since) >= IDLE_NS
        {
            let span = Span {
                name: "no job is ready",
                kind: "wait",
                begun: since,
                ended: now,
            };
            self.chrome.span(track, &span, &Args::default())?;
        }
        let begun = Begun { at: now, track };
        let job = JobUnderWay {
            process: event.process,
            begun,
            attempt: event.value,
            command: None,
        };
        self.running.insert(event.id, job);
        let registered = *at(&mut self.registered, event.id);
        for slot in table.job_inputs(JobId(event.id)).unwrap_or_default() {
            let landed = self.landed.get(slot.0 as usize).copied().flatten();
            let Some(landed) = landed.filter(|landed| landed.at > registered) else {
                continue;
            };
            self.arrows += 1;
            // Within its span: the end belongs to what comes next.
            let from = (landed.track, landed.at.saturating_sub(1));
            self.chrome
                .flow(self.arrows, "input", from, (track, now + 1))?;
        }
        Ok(())
    }

    fn job_ended(&mut self, table: &Table, job: u32, now: u64, how: &str) -> io::Result<()> {
        if let Some((lane, begun)) = self.uploads.remove(&job) {
            if let Some(lanes) = self.upload_lanes.get_mut(&begun.track.pid) {
                lanes.give(lane);
            }
            let name = job_of(table, job);
            let span = Span {
                name: &name,
                kind: "upload",
                begun: begun.at,
                ended: now,
            };
            let args = Args {
                ended: Some(how),
                ..Args::default()
            };
            self.chrome.span(begun.track, &span, &args)?;
        }
        self.command_ended(job, now)?;
        let Some(run) = self.running.remove(&job) else {
            return Ok(());
        };
        self.idle.insert(run.process, now);
        let name = job_of(table, job);
        let span = Span {
            name: &name,
            kind: "job",
            begun: run.begun.at,
            ended: now,
        };
        let args = Args {
            attempt: Some(run.attempt),
            ended: Some(how),
            ..Args::default()
        };
        self.chrome.span(run.begun.track, &span, &args)
    }

    /// A command has a process of its own, and is shown within its job.
    fn command_ended(&mut self, job: u32, now: u64) -> io::Result<()> {
        let run = self.running.get_mut(&job);
        let Some((track, (pid, begun))) =
            run.and_then(|run| Some((run.begun.track, run.command.take()?)))
        else {
            return Ok(());
        };
        let span = Span {
            name: "command",
            kind: "command",
            begun,
            ended: now,
        };
        let args = Args {
            pid: Some(pid),
            ..Args::default()
        };
        self.chrome.span(track, &span, &args)
    }

    fn upload_begun(&mut self, pid: u32, job: u32, now: u64) -> io::Result<()> {
        let (lane, new) = self.upload_lanes.entry(pid).or_default().take();
        let tid = UPLOADS + lane;
        let track = Track { pid, tid };
        if new {
            let name = format!("uploads {}", lane + 1);
            self.chrome.thread(track, &name)?;
        }
        self.uploads.insert(job, (lane, Begun { at: now, track }));
        Ok(())
    }

    /// Curves: jobs by state, and bytes per second since the last look.
    pub fn look(&mut self, tally: &Tally, at_ns: u64, per_second: f64) -> io::Result<()> {
        let now = at_ns.saturating_sub(self.begun_ns);
        let pid = std::process::id();
        let pid = (self.processes.iter().flatten())
            .find(|(_, role)| *role == Role::Coordinator)
            .map_or(pid, |(pid, _)| *pid);
        let jobs = json!({
            "waiting": tally.waiting(),
            "ready": tally.jobs_ready,
            "running": tally.running,
        });
        self.chrome.counter(pid, now, "jobs", &jobs)?;
        let rate = json!({ "MB/s": (per_second / 1e4).round() / 100.0 });
        self.chrome.counter(pid, now, "download", &rate)?;
        self.chrome.flush()
    }

    /// Ends what is under way, and the file. `lost` events could not be read.
    pub fn end(&mut self, table: &Table, lost: u64) -> io::Result<()> {
        let now = self.now;
        if lost > 0 {
            let by = self.track_of(table, 0)?;
            let text = format!("{lost} events were overwritten before they could be read");
            self.chrome.instant(by, now, &text)?;
        }
        for track in self.parts.keys().copied().collect::<Vec<_>>() {
            self.part_ended(table, track, 0, now)?;
        }
        for slot in self.objects.keys().copied().collect::<Vec<_>>() {
            self.object_ended(table, slot, now, "cut off", 0)?;
        }
        let jobs = self.running.keys().chain(self.uploads.keys());
        for job in jobs.copied().collect::<Vec<_>>() {
            self.job_ended(table, job, now, "cut off")?;
        }
        self.chrome.end()
    }
}

fn line_track(pid: u32, line: u16) -> Track {
    Track {
        pid,
        tid: LINES + u32::from(line),
    }
}

#[cfg(test)]
mod tests;
