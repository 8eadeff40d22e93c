//! A job as its processor sees it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::table::{JobId, Outcome, SlotId, Table, TableError};
use crate::task::{BandRef, JobPayload, Parameter, Task};
use crate::values::{ByteRange, staged};

use super::partial::{Early, Partial};
use super::scratch::JobDir;
use super::space::Space;

fn scale(band: &BandRef) -> Option<(f64, f64)> {
    Some((band.quantification?, band.add_offset.unwrap_or(0.0)))
}

/// A job with everything that its processor may want to know.
pub struct Job<'a> {
    pub(super) table: &'a Table,
    pub(super) id: JobId,
    pub(super) name: &'a str,
    pub(super) task: &'a Task,
    pub(super) payload: &'a JobPayload,
    pub(super) slots: &'a [SlotId],
    pub(super) staging: &'a Path,
    pub(super) bucket: &'a str,
    /// Where the result is written.
    pub(super) place: &'a JobDir,
    pub(super) space: &'a Space<'a>,
    pub(super) threads: usize,
    pub(super) early: &'a Early,
}

impl<'a> Job<'a> {
    /// The name, unique in the run: `task/product`.
    pub fn name(&self) -> &str {
        self.name
    }

    /// The name of its task.
    pub fn task(&self) -> &str {
        &self.task.name
    }

    /// A parameter of its task.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.task.parameters.get(name)
    }

    /// The name of its product, or of its group.
    pub fn product(&self) -> &str {
        &self.payload.product
    }

    /// The names of its products: one, or those of its group in the order of the plan.
    pub fn products(&self) -> Vec<&str> {
        match self.payload.members.as_slice() {
            [] => vec![self.product()],
            members => members.iter().map(|one| one.product.as_str()).collect(),
        }
    }

    /// The key prefix of its product, with a trailing slash; empty for a group.
    pub fn prefix(&self) -> &str {
        &self.payload.prefix
    }

    /// The directory of the product in staging, laid out as in the bucket. Only the inputs of
    /// jobs are there.
    pub fn product_dir(&self) -> PathBuf {
        let prefix = self.payload.prefix.trim_end_matches('/');
        staged::staged_path(self.staging, self.bucket, prefix)
    }

    /// The staging directory.
    pub fn staging(&self) -> &Path {
        self.staging
    }

    /// The staged files of a band: one, or one for each product of the group that has it, in the
    /// order of [`Job::products`].
    pub fn band_files(&self, name: &str) -> Vec<PathBuf> {
        let keys = self.payload.band_keys(name);
        keys.into_iter().map(|key| self.path_of(key)).collect()
    }

    /// The staged file of a band, by the name that the task uses; of a group the first product's.
    pub fn band(&self, name: &str) -> Option<PathBuf> {
        self.payload.band_key(name).map(|key| self.path_of(key))
    }

    /// The names of the bands.
    pub fn bands(&self) -> impl Iterator<Item = &str> {
        self.bands_of_first().keys().map(String::as_str)
    }

    fn bands_of_first(&self) -> &BTreeMap<String, BandRef> {
        let first = self.payload.members.first();
        first.map_or(&self.payload.bands, |member| &member.bands)
    }

    /// The scale of a band, `(digital number + add_offset) / quantification`, where the product
    /// says it and the task wants reflectance; of a group the first product's.
    pub fn scale(&self, band: &str) -> Option<(f64, f64)> {
        scale(self.bands_of_first().get(band)?)
    }

    /// The scales of [`Job::band_files`], which may differ from product to product.
    pub fn scales(&self, band: &str) -> Vec<Option<(f64, f64)>> {
        let of_members = self.payload.members.iter().map(|member| &member.bands);
        let all = std::iter::once(&self.payload.bands).chain(of_members);
        let found = all.filter_map(|bands| bands.get(band));
        found.map(scale).collect()
    }

    /// The staged files of all inputs, in the order of the plan.
    pub fn inputs(&self) -> Vec<PathBuf> {
        self.payload
            .inputs
            .iter()
            .map(|input| self.path_of(&input.key))
            .collect()
    }

    /// A directory for this job alone, made when this is called first and removed afterwards. It
    /// counts as staging: see `scratch` and `staging_limit` of a job file.
    pub fn scratch(&self) -> &Path {
        // Whoever writes to it is told why there is none.
        let _ = self.space.make();
        self.space.path()
    }

    /// The file to write the result to; it is moved to its place when the processor has ended
    /// well. The scratch directory itself where the task has no result.
    pub fn out(&self) -> PathBuf {
        match self.has_result() {
            true => self.place.get().join(&self.task.output),
            false => self.scratch().to_owned(),
        }
    }

    /// Whether the task has a result.
    pub fn has_result(&self) -> bool {
        !self.task.output.is_empty()
    }

    /// How many threads this job should use.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The table of the run, for processors that wait for objects of their own.
    pub fn table(&self) -> &Table {
        self.table
    }

    /// Waits until input number `input` is in staging.
    ///
    /// # Errors
    /// The table's; [`TableError::Corrupt`] for an input that the job does not have.
    pub fn wait(&self, input: usize, timeout: Option<Duration>) -> Result<Outcome, TableError> {
        self.table.wait(self.slot(input)?, timeout)
    }

    /// Waits until some bytes of input number `input` have landed.
    ///
    /// # Errors
    /// As [`Job::wait`].
    pub fn wait_range(
        &self,
        input: usize,
        range: ByteRange,
        timeout: Option<Duration>,
    ) -> Result<Outcome, TableError> {
        self.table.wait_range(self.slot(input)?, range, timeout)
    }

    /// The ranges of input number `input` that have landed, in order.
    ///
    /// # Errors
    /// As [`Job::wait`].
    pub fn ranges_ready(&self, input: usize) -> Result<Vec<ByteRange>, TableError> {
        let slot = self.slot(input)?;
        let outcome = self.table.wait(slot, Some(Duration::ZERO))?;
        match outcome {
            Outcome::Ready => Ok(vec![ByteRange::new(0, self.table.size(slot)?)]),
            _ => self.table.ranges_ready(slot),
        }
    }

    /// Opens input number `input` before it is complete: what is read of it is waited for. Bytes
    /// that are read so are not verified yet; they are compared with the verified ones before
    /// the job counts as done, and the job is run again if they differ.
    pub fn open(&self, input: usize) -> Option<Partial<'a>> {
        let slot = *self.slots.get(input)?;
        let key = &self.payload.inputs.get(input)?.key;
        let place = (self.staging, self.bucket);
        Some(Partial::new(
            self.table,
            place,
            (input, slot, key),
            self.early,
        ))
    }

    /// The number of the input that holds a band, by the name that the task uses.
    pub fn band_input(&self, name: &str) -> Option<usize> {
        self.payload.bands.get(name).map(|band| band.input)
    }

    /// Where input number `input` stands when it is in staging.
    pub fn input(&self, input: usize) -> Option<PathBuf> {
        let input = self.payload.inputs.get(input)?;
        Some(self.path_of(&input.key))
    }

    fn slot(&self, input: usize) -> Result<SlotId, TableError> {
        let value = input as u64;
        self.slots.get(input).copied().ok_or(TableError::Corrupt {
            what: "input",
            value,
        })
    }

    pub(super) fn path_of(&self, key: &str) -> PathBuf {
        let plain = staged::staged_path(self.staging, self.bucket, key);
        staged::find(self.staging, plain)
    }
}
