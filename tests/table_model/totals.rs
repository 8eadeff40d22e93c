//! The model's totals.

use cotec::table::{JobCounts, ObjectCounts};
use cotec::values::{JobState, ObjectState};

use crate::model::Model;

impl Model {
    pub fn count_objects(&self) -> ObjectCounts {
        let mut counts = ObjectCounts::default();
        for object in &self.objects {
            *match object.state {
                ObjectState::Wanted => &mut counts.wanted,
                ObjectState::Fetching => &mut counts.fetching,
                ObjectState::Ready => &mut counts.ready,
                ObjectState::Failed => &mut counts.failed,
                ObjectState::Evicted => &mut counts.evicted,
            } += 1;
            counts.bytes = counts.bytes.saturating_add(object.size);
            if object.state == ObjectState::Ready {
                counts.bytes_ready = counts.bytes_ready.saturating_add(object.size);
            }
        }
        counts
    }

    pub fn count_jobs(&self) -> JobCounts {
        let mut counts = JobCounts::default();
        for job in &self.jobs {
            *match job.state {
                JobState::Waiting => &mut counts.waiting,
                JobState::Ready => &mut counts.ready,
                JobState::Running => &mut counts.running,
                JobState::Uploading => &mut counts.uploading,
                JobState::Done => &mut counts.done,
                JobState::Failed => &mut counts.failed,
            } += 1;
        }
        counts
    }
}
