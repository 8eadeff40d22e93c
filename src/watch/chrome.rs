//! The Chrome trace format: one event a line, in an array that may lack its end.

use std::io::{self, Write};

use serde::Serialize;

/// Where an event is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Track {
    pub pid: u32,
    /// A thread, or a lane that stands for none.
    pub tid: u32,
}

/// A stretch of time. Nanoseconds since the run began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<'a> {
    pub name: &'a str,
    /// What kind of thing it is; viewers can filter by it.
    pub kind: &'static str,
    pub begun: u64,
    pub ended: u64,
}

/// Writes events.
pub(super) struct Chrome<W> {
    out: W,
    /// The event that is being put together.
    line: Vec<u8>,
    begun: bool,
}

impl<W: Write> Chrome<W> {
    pub fn new(out: W) -> Chrome<W> {
        Chrome {
            out,
            line: Vec::with_capacity(1024),
            begun: false,
        }
    }

    fn begin(&mut self, ph: u8, track: Track) {
        let before: &[u8] = match self.begun {
            true => b",\n{\"ph\":\"",
            false => b"[\n{\"ph\":\"",
        };
        self.begun = true;
        self.line.clear();
        self.line.extend_from_slice(before);
        self.line.push(ph);
        self.raw("\",\"pid\":");
        self.number(track.pid.into());
        self.raw(",\"tid\":");
        self.number(track.tid.into());
    }

    /// JSON that needs no escapes.
    fn raw(&mut self, text: &str) {
        self.line.extend_from_slice(text.as_bytes());
    }

    fn number(&mut self, number: u64) {
        let mut digits = itoa::Buffer::new();
        self.raw(digits.format(number));
    }

    /// A time as the format has it: microseconds.
    fn time(&mut self, field: &str, nanoseconds: u64) {
        self.raw(field);
        self.number(nanoseconds / 1000);
        let below = (nanoseconds % 1000) as u16;
        let digits = [below / 100, below / 10 % 10, below % 10].map(|digit| b'0' + digit as u8);
        self.line.push(b'.');
        self.line.extend_from_slice(&digits);
    }

    fn name(&mut self, text: &str) -> io::Result<()> {
        self.raw(",\"name\":");
        serde_json::to_writer(&mut self.line, text)?;
        Ok(())
    }

    fn args(&mut self, args: &impl Serialize) -> io::Result<()> {
        self.raw(",\"args\":");
        serde_json::to_writer(&mut self.line, args)?;
        self.end_line()
    }

    fn end_line(&mut self) -> io::Result<()> {
        self.line.push(b'}');
        self.out.write_all(&self.line)
    }

    /// A span; `args` are shown with it.
    pub fn span(&mut self, track: Track, span: &Span<'_>, args: &impl Serialize) -> io::Result<()> {
        self.begin(b'X', track);
        self.time(",\"ts\":", span.begun);
        self.time(",\"dur\":", span.ended.saturating_sub(span.begun));
        self.raw(",\"cat\":\"");
        self.raw(span.kind);
        self.raw("\"");
        self.name(span.name)?;
        self.args(args)
    }

    /// Something without a length.
    pub fn instant(&mut self, track: Track, at: u64, name: &str) -> io::Result<()> {
        self.begin(b'i', track);
        self.time(",\"ts\":", at);
        self.raw(",\"s\":\"p\"");
        self.name(name)?;
        self.end_line()
    }

    /// An arrow from one span to another; each end lies within its span.
    pub fn flow(
        &mut self,
        id: u64,
        name: &str,
        from: (Track, u64),
        to: (Track, u64),
    ) -> io::Result<()> {
        for (ph, (track, at), bind) in [(b's', from, ""), (b'f', to, ",\"bp\":\"e\"")] {
            self.begin(ph, track);
            self.time(",\"ts\":", at);
            self.raw(",\"cat\":\"input\",\"id\":");
            self.number(id);
            self.raw(bind);
            self.name(name)?;
            self.end_line()?;
        }
        Ok(())
    }

    /// Values that are drawn as a curve.
    pub fn counter(
        &mut self,
        pid: u32,
        at: u64,
        name: &str,
        values: &impl Serialize,
    ) -> io::Result<()> {
        self.begin(b'C', Track { pid, tid: 0 });
        self.time(",\"ts\":", at);
        self.name(name)?;
        self.args(values)
    }

    /// Names a process, and says where it stands among the others.
    pub fn process(&mut self, pid: u32, name: &str, place: u32) -> io::Result<()> {
        let track = Track { pid, tid: pid };
        self.named(track, "process_name", name)?;
        self.placed(track, "process_sort_index", place)
    }

    /// Names a track of a process, and says where it stands among its others.
    pub fn thread(&mut self, track: Track, name: &str) -> io::Result<()> {
        self.named(track, "thread_name", name)?;
        self.placed(track, "thread_sort_index", track.tid)
    }

    fn named(&mut self, track: Track, what: &'static str, name: &str) -> io::Result<()> {
        self.begin(b'M', track);
        self.name(what)?;
        self.args(&serde_json::json!({ "name": name }))
    }

    fn placed(&mut self, track: Track, what: &'static str, place: u32) -> io::Result<()> {
        self.begin(b'M', track);
        self.name(what)?;
        self.args(&serde_json::json!({ "sort_index": place }))
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    #[cfg(test)]
    pub fn into_inner(self) -> W {
        self.out
    }

    /// Closes the array.
    pub fn end(&mut self) -> io::Result<()> {
        let before = if self.begun { "\n" } else { "[\n" };
        self.out.write_all(before.as_bytes())?;
        self.out.write_all(b"]\n")?;
        self.out.flush()
    }
}
