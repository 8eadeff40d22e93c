//! Everything that can be seen of a table, compared with its model.

use cotec::table::{JobId, SlotId, TableError};

use crate::bench::{Bench, Told, same};

impl Bench {
    /// Compares everything that can be seen.
    pub fn compare(&self) -> Told {
        self.look().map_err(|e| e.to_string())?
    }

    fn look(&self) -> Result<Told, TableError> {
        let (t, m) = (&self.reader, &self.model);
        let mut told = vec![
            same("objects", t.objects_len()? as usize, m.objects.len()),
            same("jobs", t.jobs_len()? as usize, m.jobs.len()),
            same("object counts", t.count_objects()?, m.count_objects()),
            same("job counts", t.count_jobs()?, m.count_jobs()),
            same("phase", t.phase()?, m.phase),
            same("finished", t.finished()?, m.finished()),
            same(
                "finished",
                self.processes[0].table.finished()?,
                m.finished(),
            ),
        ];
        for (i, o) in m.objects.iter().enumerate() {
            let slot = SlotId(i as u32);
            let Some(view) = t.object(slot)? else {
                return Ok(Err(format!("object {i} is void")));
            };
            let key = &o.key;
            told.extend([
                same("key", &view.key, key),
                same("size", view.size, o.size),
                same("etag", &view.etag, &o.etag),
                same("object state", view.state, o.state),
                same("object fault", view.fault, o.fault),
                same("object fault", t.object_fault(slot)?, o.fault),
                same("for jobs", t.is_for_jobs(slot)?, o.for_jobs),
                same("object attempt", t.object_attempt(slot)?, o.attempt),
                same("landed", t.ranges_ready(slot)?, m.landed(i)),
                same(
                    "find",
                    t.find_object(key)?,
                    m.keys.get(key).map(|s| SlotId(*s as u32)),
                ),
            ]);
        }
        for (i, j) in m.jobs.iter().enumerate() {
            let job = JobId(i as u32);
            let Some(view) = t.job(job)? else {
                return Ok(Err(format!("job {i} is void")));
            };
            let inputs: Vec<usize> = t.job_inputs(job)?.iter().map(|s| s.0 as usize).collect();
            told.extend([
                same("name", &view.name, &j.name),
                same("task", view.task, j.task),
                same("job state", view.state, j.state),
                same("job attempt", view.attempt, j.attempt),
                same("job owner", view.owner, j.owner),
                same("job fault", view.fault, j.fault),
                same("job fault", t.job_fault(job)?, j.fault),
                same("inputs", inputs, j.inputs.clone()),
                same("payload", t.job_payload(job)?, j.payload.clone()),
                same("result", t.job_result(job)?, j.result.clone()),
                same(
                    "find",
                    t.find_job(&j.name)?,
                    m.names.get(&j.name).map(|i| JobId(*i as u32)),
                ),
            ]);
        }
        let seen: Vec<_> = t
            .processes()?
            .iter()
            .map(|p| (p.owner, p.role, p.pid, (p.bytes, p.requests, p.group)))
            .collect();
        let pid = std::process::id();
        let mut alive: Vec<_> = self
            .processes
            .iter()
            .filter(|p| p.alive)
            .map(|p| (p.member.owner, p.member.role, pid, p.figures))
            .collect();
        alive.sort_by_key(|p| p.0.index());
        told.push(same("processes", seen, alive));
        Ok(told.into_iter().collect())
    }
}
