//! A bucket and a sink in memory, for the tests of the planner.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;

use cotec::plan::{
    BrokenJob, Pending, PlanError, PlanOptions, PlanSink, PlanSummary, PlannedJob, ProductSource,
    RasterFormulas, plan,
};
use cotec::store::{ObjectInfo, Page, StoreError};
use cotec::task::{Flags, JobFile, JobFileError, JobPayload, Source};

/// A bucket: keys with their bytes, listed in pages as S3 does it.
pub struct Bucket {
    pub objects: BTreeMap<String, Vec<u8>>,
    pub page: usize,
    pub lists: Cell<usize>,
    pub gets: Cell<usize>,
}

impl Bucket {
    pub fn new<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> Bucket {
        Bucket {
            objects: keys.into_iter().map(|key| (key.into(), vec![1])).collect(),
            page: 1000,
            lists: Cell::new(0),
            gets: Cell::new(0),
        }
    }

    pub fn with(mut self, key: &str, bytes: impl Into<Vec<u8>>) -> Bucket {
        self.objects.insert(key.to_owned(), bytes.into());
        self
    }

    /// Every file below a directory, as it would stand in a bucket.
    pub fn of_directory(directory: &Path) -> Bucket {
        let mut bucket = Bucket::new([] as [&str; 0]);
        let mut open = vec![directory.to_owned()];
        while let Some(next) = open.pop() {
            for entry in std::fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let key = path.strip_prefix(directory).unwrap().to_str().unwrap();
                    bucket
                        .objects
                        .insert(key.to_owned(), std::fs::read(&path).unwrap());
                }
            }
        }
        bucket
    }

    fn info(&self, key: &str) -> ObjectInfo {
        ObjectInfo {
            key: key.to_owned(),
            size: self.objects[key].len() as u64,
            etag: Some(format!("etag-{key}")),
            last_modified: None,
        }
    }

    fn page(&self, prefix: &str, delimiter: Option<&str>, after: Option<&str>) -> Page {
        let mut page = Page::default();
        let mut last = after.unwrap_or("").to_owned();
        for key in self.objects.keys().filter(|key| key.starts_with(prefix)) {
            let entry = match delimiter.and_then(|d| key[prefix.len()..].find(d)) {
                Some(at) => &key[..prefix.len() + at + 1],
                None => key.as_str(),
            };
            if entry <= last.as_str() {
                continue;
            }
            if page.objects.len() + page.prefixes.len() == self.page {
                page.next = Some(last);
                return page;
            }
            if entry.len() < key.len() || entry.ends_with('/') && delimiter.is_some() {
                page.prefixes.push(entry.to_owned());
            } else {
                page.objects.push(self.info(key));
            }
            last = entry.to_owned();
        }
        page
    }
}

impl ProductSource for Bucket {
    fn list<'a>(
        &'a self,
        prefix: &'a str,
        delimiter: Option<&'a str>,
        continuation: Option<&'a str>,
    ) -> Pending<'a, Result<Page, StoreError>> {
        self.lists.set(self.lists.get() + 1);
        Box::pin(async move {
            tokio::task::yield_now().await;
            Ok(self.page(prefix, delimiter, continuation))
        })
    }

    fn get<'a>(&'a self, key: &'a str, _: u64) -> Pending<'a, Result<Vec<u8>, StoreError>> {
        self.gets.set(self.gets.get() + 1);
        Box::pin(async move {
            tokio::task::yield_now().await;
            match self.objects.get(key) {
                Some(bytes) => Ok(bytes.clone()),
                None => Err(StoreError::NotFound {
                    place: key.to_owned(),
                    code: String::new(),
                }),
            }
        })
    }
}

/// Remembers what was registered.
pub struct Sink<'a> {
    pub bucket: &'a Bucket,
    pub keys: RefCell<Vec<String>>,
    pub jobs: RefCell<Vec<(String, JobPayload)>>,
    pub broken: RefCell<Vec<(String, String)>>,
    /// Metadata awaited at the same time, now and at most.
    pub awaited: Cell<usize>,
    pub most_awaited: Cell<usize>,
    /// Listings made when the first job came.
    pub lists_at_first_job: Cell<usize>,
    /// Whether to keep the jobs.
    pub keep: bool,
}

impl<'a> Sink<'a> {
    pub fn new(bucket: &'a Bucket) -> Sink<'a> {
        Sink {
            bucket,
            keys: RefCell::default(),
            jobs: RefCell::default(),
            broken: RefCell::default(),
            awaited: Cell::new(0),
            most_awaited: Cell::new(0),
            lists_at_first_job: Cell::new(0),
            keep: true,
        }
    }

    pub fn job(&self, name: &str) -> JobPayload {
        let jobs = self.jobs.borrow();
        let found = jobs.iter().find(|(job, _)| job == name);
        let names = || jobs.iter().map(|(job, _)| job).collect::<Vec<_>>();
        found
            .unwrap_or_else(|| panic!("no {name} in {:?}; broken: {:?}", names(), self.broken))
            .1
            .clone()
    }

    pub fn names(&self) -> Vec<String> {
        self.jobs
            .borrow()
            .iter()
            .map(|(name, _)| name.clone())
            .collect()
    }
}

impl PlanSink for Sink<'_> {
    fn objects(&self, objects: &[&ObjectInfo]) -> Result<Vec<u32>, PlanError> {
        let mut keys = self.keys.borrow_mut();
        if !self.keep {
            return Ok(vec![0; objects.len()]);
        }
        let slots = objects.iter().map(|object| {
            let known = keys.iter().position(|key| *key == object.key);
            let slot = known.unwrap_or_else(|| {
                keys.push(object.key.clone());
                keys.len() - 1
            });
            u32::try_from(slot).unwrap()
        });
        Ok(slots.collect())
    }

    fn job(&self, job: &PlannedJob<'_>) -> Result<(), PlanError> {
        if self.lists_at_first_job.get() == 0 {
            self.lists_at_first_job.set(self.bucket.lists.get());
        }
        assert_eq!(job.inputs.len(), job.payload.inputs.len());
        let bytes = job.payload.to_bytes().unwrap();
        assert_eq!(&JobPayload::from_bytes(&bytes).unwrap(), job.payload);
        if self.keep {
            let keys = self.keys.borrow();
            for (slot, input) in job.inputs.iter().zip(&job.payload.inputs) {
                assert_eq!(keys[*slot as usize], input.key);
            }
            let sizes = job
                .payload
                .inputs
                .iter()
                .map(|i| self.bucket.objects[&i.key].len() as u64);
            assert_eq!(job.bytes, sizes.sum::<u64>());
            self.jobs
                .borrow_mut()
                .push((job.name.to_owned(), job.payload.clone()));
        }
        Ok(())
    }

    fn broken_job(&self, job: &BrokenJob<'_>) -> Result<(), PlanError> {
        self.broken
            .borrow_mut()
            .push((job.name.to_owned(), job.reason.to_owned()));
        Ok(())
    }

    fn metadata<'a>(&'a self, object: &'a ObjectInfo) -> Pending<'a, Result<Vec<u8>, PlanError>> {
        Box::pin(async move {
            self.awaited.set(self.awaited.get() + 1);
            self.most_awaited
                .set(self.most_awaited.get().max(self.awaited.get()));
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            self.awaited.set(self.awaited.get() - 1);
            self.bucket.gets.set(self.bucket.gets.get() + 1);
            Ok(self.bucket.objects[&object.key].clone())
        })
    }
}

pub fn read(text: &str, flags: &Flags) -> Result<JobFile, JobFileError> {
    JobFile::parse(&Source::new("job.toml", text), flags, &RasterFormulas)
}

/// Plans a job file's text.
pub fn run(text: &str, bucket: &Bucket, sink: &Sink<'_>) -> Result<PlanSummary, PlanError> {
    let jobfile = read(text, &Flags::default()).unwrap_or_else(|error| panic!("{error}"));
    run_plan(&jobfile, bucket, sink, &PlanOptions::default())
}

pub fn run_plan(
    jobfile: &JobFile,
    bucket: &Bucket,
    sink: &Sink<'_>,
    options: &PlanOptions,
) -> Result<PlanSummary, PlanError> {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(plan(jobfile, bucket, sink, options))
}

/// A `MTD_MSIL2A.xml` with images `(directory, band, metres)` and the given offsets.
pub fn mtd(images: &[(&str, u32)], offset: Option<i32>) -> String {
    let mut xml = String::from(
        "<n1:Level-2A_User_Product xmlns:n1=\"x\"><n1:General_Info><PROCESSING_BASELINE>05.10</PROCESSING_BASELINE>",
    );
    for (band, metres) in images {
        xml +=
            &format!("<IMAGE_FILE>GRANULE/G/IMG_DATA/R{metres}m/T_{band}_{metres}m</IMAGE_FILE>");
    }
    xml += "<BOA_QUANTIFICATION_VALUE unit=\"none\">10000</BOA_QUANTIFICATION_VALUE>";
    if let Some(offset) = offset {
        for id in 0..13 {
            xml += &format!("<BOA_ADD_OFFSET band_id=\"{id}\">{offset}</BOA_ADD_OFFSET>");
        }
    }
    xml + "</n1:General_Info></n1:Level-2A_User_Product>"
}

/// A SAFE product with these images, of which all are in the store.
pub fn safe(bucket: Bucket, name: &str, images: &[(&str, u32)]) -> Bucket {
    let mut bucket = bucket.with(&format!("{name}/MTD_MSIL2A.xml"), mtd(images, Some(-1000)));
    for (band, metres) in images {
        let key = format!("{name}/GRANULE/G/IMG_DATA/R{metres}m/T_{band}_{metres}m.jp2");
        bucket.objects.insert(key, vec![0; 10]);
    }
    bucket
}
