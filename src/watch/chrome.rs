//! The Chrome trace format: one event a line, in an array that may lack its end.

use std::fmt::Display;
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
    begun: bool,
}

/// A time as the format has it: microseconds.
struct Micros(u64);

impl Display for Micros {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

impl<W: Write> Chrome<W> {
    pub fn new(out: W) -> Chrome<W> {
        Chrome { out, begun: false }
    }

    fn begin(&mut self, ph: char, track: Track) -> io::Result<()> {
        let before = match self.begun {
            true => ",\n",
            false => "[\n",
        };
        self.begun = true;
        let Track { pid, tid } = track;
        write!(
            self.out,
            "{before}{{\"ph\":\"{ph}\",\"pid\":{pid},\"tid\":{tid}"
        )
    }

    fn text(&mut self, field: &str, text: &str) -> io::Result<()> {
        write!(self.out, ",\"{field}\":")?;
        serde_json::to_writer(&mut self.out, text)?;
        Ok(())
    }

    fn args(&mut self, args: &impl Serialize) -> io::Result<()> {
        self.out.write_all(b",\"args\":")?;
        serde_json::to_writer(&mut self.out, args)?;
        self.out.write_all(b"}")
    }

    /// A span; `args` are shown with it.
    pub fn span(&mut self, track: Track, span: &Span<'_>, args: &impl Serialize) -> io::Result<()> {
        self.begin('X', track)?;
        let length = span.ended.saturating_sub(span.begun);
        write!(
            self.out,
            ",\"ts\":{},\"dur\":{},\"cat\":\"{}\"",
            Micros(span.begun),
            Micros(length),
            span.kind
        )?;
        self.text("name", span.name)?;
        self.args(args)
    }

    /// Something without a length.
    pub fn instant(&mut self, track: Track, at: u64, name: &str) -> io::Result<()> {
        self.begin('i', track)?;
        write!(self.out, ",\"ts\":{},\"s\":\"p\"", Micros(at))?;
        self.text("name", name)?;
        self.out.write_all(b"}")
    }

    /// An arrow from one span to another; each end lies within its span.
    pub fn flow(
        &mut self,
        id: u64,
        name: &str,
        from: (Track, u64),
        to: (Track, u64),
    ) -> io::Result<()> {
        for (ph, (track, at), bind) in [('s', from, ""), ('f', to, ",\"bp\":\"e\"")] {
            self.begin(ph, track)?;
            write!(
                self.out,
                ",\"ts\":{},\"cat\":\"input\",\"id\":{id}{bind}",
                Micros(at)
            )?;
            self.text("name", name)?;
            self.out.write_all(b"}")?;
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
        self.begin('C', Track { pid, tid: 0 })?;
        write!(self.out, ",\"ts\":{}", Micros(at))?;
        self.text("name", name)?;
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
        self.begin('M', track)?;
        self.text("name", what)?;
        self.args(&serde_json::json!({ "name": name }))
    }

    fn placed(&mut self, track: Track, what: &'static str, place: u32) -> io::Result<()> {
        self.begin('M', track)?;
        self.text("name", what)?;
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
