//! The model's jobs that wait until they are admitted.

use cotec::values::{Fault, JobState};

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
