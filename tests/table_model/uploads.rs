//! Jobs whose results are uploaded, in the model and beside it.

use cotec::table::{JobClaim, JobId};
use cotec::values::{EventKind, JobState, Owner};

use crate::bench::{Bench, Told};
use crate::model::Model;
use crate::records::{Job, Member};

impl Model {
    /// Runs it, or uploads its results.
    pub fn holds(&self, by: Member, claim: JobClaim) -> bool {
        let job = &self.jobs[claim.job.0 as usize];
        let uploads = job.state == JobState::Uploading;
        self.runs(by, claim) || uploads && job.owner == by.owner && job.attempt == claim.attempt
    }

    pub fn hand_over(&mut self, by: Member, claim: JobClaim) -> bool {
        let runs = self.runs(by, claim);
        if runs {
            let job = claim.job.0 as usize;
            self.jobs[job].state = JobState::Uploading;
            self.jobs[job].owner = Owner::NONE;
            self.happened(by, EventKind::JobUploading, job, claim.attempt.into());
        }
        runs
    }

    pub fn claim_upload(&mut self, by: Member, from: usize) -> Option<(usize, u32)> {
        let waits = |j: &Job| j.state == JobState::Uploading && j.owner == Owner::NONE;
        let from = from.min(self.jobs.len());
        let order = (from..self.jobs.len()).chain(0..from);
        let job = order.into_iter().find(|at| waits(&self.jobs[*at]))?;
        self.jobs[job].owner = by.owner;
        let attempt = self.jobs[job].attempt;
        self.happened(by, EventKind::UploadBegun, job, attempt.into());
        Some((job, attempt))
    }
}

impl Bench {
    pub fn claim_upload(&mut self, by: usize, from: u8) -> Told {
        let table = self.processes[by].table.clone();
        let model = (self.model).claim_upload(self.processes[by].member, from.into());
        let told = table.claim_upload(JobId(from.into()));
        if let Ok(Some(claim)) = &told {
            self.jobs.push((by, *claim));
        }
        let told = told.map(|claim| claim.map(|c| (c.job.0 as usize, c.attempt)));
        self.agree(told, Ok(model))?;
        Ok(())
    }

    pub fn hand_over(&mut self, by: usize, claim: JobClaim) -> Told {
        let table = self.processes[by].table.clone();
        let model = self.model.hand_over(self.processes[by].member, claim);
        self.agree(table.hand_over_job(claim), Ok(model))?;
        Ok(())
    }
}
