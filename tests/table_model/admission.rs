//! Jobs that wait until they are admitted, in the model and beside it.

use cotec::table::JobId;
use cotec::values::{Fault, JobState};

use crate::bench::{Bench, Told};
use crate::model::Model;
use crate::records::Member;

impl Model {
    pub fn admit_job(&mut self, by: Member, job: usize) {
        self.jobs[job].admitted = true;
        if self.jobs[job].state == JobState::Waiting {
            for slot in self.jobs[job].inputs.clone() {
                self.want_for_jobs(by, slot);
            }
            self.jobs[job].watch = 0;
            self.look_on(by, job);
        }
    }

    pub fn refuse_job(&mut self, by: Member, job: usize, fault: Fault) -> bool {
        let waits = self.jobs[job].state == JobState::Waiting;
        if waits {
            self.fail_job(by, job, fault);
        }
        waits
    }
}

impl Bench {
    pub fn admit_job(&mut self, by: usize, job: u8) -> Told {
        let jobs = self.model.jobs.len();
        if jobs > 0 {
            let job = usize::from(job) % jobs;
            self.model.admit_job(self.processes[by].member, job);
            let table = self.processes[by].table.clone();
            self.agree(table.admit_job(JobId(job as u32)), Ok(()))?;
        }
        Ok(())
    }

    pub fn refuse_job(&mut self, by: usize, job: u8, fault: Fault) -> Told {
        let jobs = self.model.jobs.len();
        if jobs > 0 {
            let job = usize::from(job) % jobs;
            let model = (self.model).refuse_job(self.processes[by].member, job, fault);
            let table = self.processes[by].table.clone();
            self.agree(table.refuse_job(JobId(job as u32), fault), Ok(model))?;
        }
        Ok(())
    }
}
