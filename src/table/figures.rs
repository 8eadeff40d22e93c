//! Sums over all processes of a run, also over those that have died: when a record is given back,
//! what it said is added to words of the header.

use crate::sys::sync::Ordering;
use crate::values::Role;

use super::error::{Result, TableError};
use super::handle::Table;
use super::layout::header;

/// What the processes of a run have done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Bytes fetched.
    pub bytes: u64,
    /// Requests answered to the downloader.
    pub requests: u64,
    /// Nanoseconds in which the downloader wrote to staging.
    pub writing_ns: u64,
    /// Nanoseconds in which workers ran jobs.
    pub working_ns: u64,
    /// Requests that were tried again.
    pub retries: u64,
}

impl Figures {
    fn add(&mut self, role: Role, [bytes, requests, busy_ns]: [u64; 3]) {
        // Damaged ones must not end whoever looks.
        let add = |to: &mut u64, n| *to = to.saturating_add(n);
        match role {
            Role::Downloader => {
                add(&mut self.bytes, bytes);
                add(&mut self.requests, requests);
                add(&mut self.writing_ns, busy_ns);
            }
            Role::Worker => add(&mut self.working_ns, busy_ns),
            _ => {}
        }
    }
}

impl Table {
    /// Sums over all processes, dead and alive. While a dead process's record is given back they
    /// may lack what it did, for that moment.
    pub fn figures(&self) -> Result<Figures> {
        let word = |at| Ok::<u64, TableError>(self.mem.word(at)?.load(Ordering::SeqCst));
        let gone = |n: u64| word(header::GONE + 8 * n);
        let mut figures = Figures {
            bytes: gone(0)?,
            requests: gone(1)?,
            writing_ns: gone(2)?,
            working_ns: gone(3)?,
            retries: word(header::RETRIES)?,
        };
        for process in self.processes()? {
            let each = [process.bytes, process.requests, process.busy_ns];
            figures.add(process.role, each);
        }
        Ok(figures)
    }

    /// Keeps the figures of a record that was given back.
    pub(crate) fn keep_figures(&self, role: Role, figures: [u64; 3]) -> Result<()> {
        self.mem.writable()?;
        let mut more = Figures::default();
        more.add(role, figures);
        let each = [more.bytes, more.requests, more.writing_ns, more.working_ns];
        for (n, value) in (0u64..).zip(each) {
            if value != 0 {
                let word = self.mem.word(header::GONE + 8 * n)?;
                word.fetch_add(value, Ordering::SeqCst);
            }
        }
        Ok(())
    }

    /// Counts a request that is tried again.
    pub(crate) fn count_retry(&self) -> Result<()> {
        self.mem.writable()?;
        self.mem
            .word(header::RETRIES)?
            .fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::Limits;

    #[test]
    fn what_the_dead_have_done_stays() {
        let table = Table::create(Limits::for_objects(64)).unwrap();
        let one = table.join(Role::Downloader).unwrap();
        one.add_figures(5, 1, 7).unwrap();
        let worker = table.join(Role::Worker).unwrap();
        worker.add_figures(0, 0, 9).unwrap();
        let expected = Figures {
            bytes: 5,
            requests: 1,
            writing_ns: 7,
            working_ns: 9,
            retries: 0,
        };
        assert_eq!(table.figures().unwrap(), expected);
        table.free_record(one.me()).unwrap();
        table.free_record(worker.me()).unwrap();
        assert_eq!(table.figures().unwrap(), expected);
        // The next holder of the record begins with nothing.
        let two = table.join(Role::Downloader).unwrap();
        assert_eq!(table.figures().unwrap(), expected);
        two.add_figures(1, 1, 1).unwrap();
        assert_eq!(table.figures().unwrap().bytes, 6);
        table.free_record(one.me()).unwrap();
        assert_eq!(table.figures().unwrap().bytes, 6, "it was given back once");
    }
}
