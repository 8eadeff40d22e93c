//! Where everything stands in the mapping. Computed from the limits alone, so that an attaching
//! process never has to believe an offset that it reads.

use crate::values::Limits;

use super::error::{Result, TableError};

/// "COTECTBL", little-endian.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"COTECTBL");
/// Grows whenever the meaning of any byte changes.
pub(crate) const VERSION: u64 = 8;

/// Bytes of a slot, and of a job's and a process's record: one cache line.
pub(crate) const LINE: u64 = 64;
/// Bytes of an input's node.
pub(crate) const NODE: u64 = 16;
/// Bytes of an event's record.
pub(crate) const EVENT: u64 = 32;
/// Memory for the sets is taken in pieces of this many bytes.
pub(crate) const SET_CHUNK: u64 = 16 << 10;
/// Memory for everything else is taken in steps of at least this many bytes.
pub(crate) const STEP: u64 = 256 << 10;
/// Levels of the tree of ready bits.
pub(crate) const READY_LEVELS: usize = 3;

/// Byte offsets of the words of the header. Words that many processes change stand on cache
/// lines of their own.
pub(crate) mod header {
    pub const MAGIC: u64 = 0;
    pub const VERSION: u64 = 8;
    pub const SIGNATURE: u64 = 16;
    pub const TOTAL: u64 = 24;
    pub const SEED: u64 = 32;
    pub const CREATED_NS: u64 = 40;
    /// pid and start time of the coordinator.
    pub const COORDINATOR: u64 = 48;
    /// The limits, seven words.
    pub const LIMITS: u64 = 64;
    /// How far each region is used: see `Counter`.
    pub const COUNTERS: u64 = 128;
    /// How far memory has been taken for each region: see `Region`.
    pub const BACKED: u64 = 256;
    pub const PHASE: u64 = 384;
    /// Not 0: jobs wait until they are admitted.
    pub const HELD: u64 = 392;
    /// Not 0: the downloader waits for a job to end.
    pub const AWAITED: u64 = 400;
    /// Not 0: details are recorded. It does not change when others have attached.
    pub const DETAILS: u64 = 408;
    pub const JOBS_BELL: u64 = 448;
    pub const JOBS_SLEEPERS: u64 = 456;
    pub const FETCH_BELL: u64 = 512;
    pub const FETCH_SLEEPERS: u64 = 520;
    /// The lowest slot that was wanted again since the downloader last looked.
    pub const WANTED_LOW: u64 = 576;
    /// Every job below this one has ended.
    pub const UNFINISHED: u64 = 640;
    pub const EVENTS_HEAD: u64 = 704;
    pub const UPLOADS_BELL: u64 = 768;
    pub const UPLOADS_SLEEPERS: u64 = 776;
    /// Requests that were tried again.
    pub const RETRIES: u64 = 832;
    /// What the records of dead processes said when they were given back: see `figures`.
    pub const GONE: u64 = 840;
    /// The first byte after the fixed words: the bits of the sets' pieces.
    pub const END: u64 = 896;
}

/// What is handed out in order, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Counter {
    Objects = 0,
    Jobs = 1,
    Nodes = 2,
    TextWords = 3,
    GrainWords = 4,
}

/// A region whose memory is taken from its start as it fills.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Region {
    Slots = 0,
    Jobs = 1,
    Nodes = 2,
    Text = 3,
    Grains = 4,
    Ready0 = 5,
    Ready1 = 6,
    Ready2 = 7,
}

/// A region with its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub offset: u64,
    pub bytes: u64,
}

/// A set of names: buckets, and one bit for each piece of them that has memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SetPlace {
    pub buckets: u64,
    pub offset: u64,
    pub bits: u64,
}

/// All places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub limits: Limits,
    pub regions: [Place; 8],
    pub object_set: SetPlace,
    pub job_set: SetPlace,
    pub processes: Place,
    pub events: Place,
    /// What has memory from the start: header, bits of the sets, processes, events.
    pub fixed: u64,
    pub total: u64,
}

fn align(offset: u64, to: u64) -> u64 {
    offset.div_ceil(to) * to
}

impl Layout {
    /// The layout for these limits; an error if they are out of bounds.
    pub fn new(limits: Limits) -> Result<Layout> {
        let sane = limits.objects > 0
            && limits.objects < 1 << 31
            && limits.jobs > 0
            && limits.jobs < 1 << 24
            && limits.inputs < 1 << 31
            && limits.text_bytes < 1 << 42
            && limits.grain_words < 1 << 31
            && (1..=4096).contains(&limits.processes)
            && limits.events.is_power_of_two()
            && (1 << 4..=1 << 24).contains(&limits.events);
        if !sane {
            return Err(TableError::NotATable {
                why: format!("limits out of bounds: {limits:?}"),
            });
        }
        let mut at = header::END;
        let mut take = |bytes: u64, to: u64| {
            at = align(at, to);
            let place = Place { offset: at, bytes };
            at += bytes;
            place
        };
        let chunk_bits = |buckets: u64| (buckets * 8).div_ceil(SET_CHUNK).div_ceil(64) * 8;
        // Twice as many buckets as names: short probes, and 16 bytes a name.
        let object_buckets = u64::from(limits.objects) * 2;
        let job_buckets = u64::from(limits.jobs) * 2;
        let object_bits = take(chunk_bits(object_buckets), 64);
        let job_bits = take(chunk_bits(job_buckets), 64);
        let processes = take(u64::from(limits.processes) * LINE, 4096);
        let events = take(u64::from(limits.events) * EVENT, 4096);
        let fixed = align(events.offset + events.bytes, 4096);
        let objects = take(object_buckets * 8, SET_CHUNK);
        let jobs = take(job_buckets * 8, SET_CHUNK);
        let bits = |n: u64| n.div_ceil(64) * 8;
        let level0 = u64::from(limits.jobs);
        let level1 = level0.div_ceil(64);
        let level2 = level1.div_ceil(64);
        let page = 4096;
        let regions = [
            take(u64::from(limits.objects) * LINE, page),
            take(u64::from(limits.jobs) * LINE, page),
            take(u64::from(limits.inputs) * NODE, page),
            take(align(limits.text_bytes, 8), page),
            take(u64::from(limits.grain_words) * 8, page),
            take(bits(level0), page),
            take(bits(level1), page),
            take(bits(level2), page),
        ];
        let total = align(at, page);
        Ok(Layout {
            limits,
            regions,
            object_set: SetPlace {
                buckets: object_buckets,
                offset: objects.offset,
                bits: object_bits.offset,
            },
            job_set: SetPlace {
                buckets: job_buckets,
                offset: jobs.offset,
                bits: job_bits.offset,
            },
            processes,
            events,
            fixed,
            total,
        })
    }

    /// All places by name, in the order of the file.
    pub fn places(&self) -> Vec<(&'static str, std::ops::Range<u64>)> {
        let set = |name, set: SetPlace| (name, set.offset..set.offset + set.buckets * 8);
        let place = |name, place: Place| (name, place.offset..place.offset + place.bytes);
        let region = |name, which| place(name, self.region(which));
        vec![
            ("header", 0..self.processes.offset),
            place("processes", self.processes),
            place("events", self.events),
            set("object set", self.object_set),
            set("job set", self.job_set),
            region("slots", Region::Slots),
            region("jobs", Region::Jobs),
            region("nodes", Region::Nodes),
            region("text", Region::Text),
            region("grains", Region::Grains),
            region("ready 0", Region::Ready0),
            region("ready 1", Region::Ready1),
            region("ready 2", Region::Ready2),
        ]
    }

    /// A number that differs when any place differs.
    pub fn signature(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(format!("{VERSION} {LINE} {NODE} {EVENT} {self:?}").as_bytes())
    }

    /// Place of a region.
    pub fn region(&self, region: Region) -> Place {
        self.regions[region as usize]
    }

    /// The most that a counter may reach.
    pub fn capacity(&self, counter: Counter) -> u64 {
        match counter {
            Counter::Objects => u64::from(self.limits.objects),
            Counter::Jobs => u64::from(self.limits.jobs),
            Counter::Nodes => u64::from(self.limits.inputs),
            Counter::TextWords => self.region(Region::Text).bytes / 8,
            Counter::GrainWords => u64::from(self.limits.grain_words),
        }
    }
}

/// The limits as seven words, in the header's order.
pub(crate) fn limits_to_words(l: &Limits) -> [u64; 7] {
    [
        l.objects.into(),
        l.jobs.into(),
        l.inputs.into(),
        l.text_bytes,
        l.grain_words.into(),
        l.processes.into(),
        l.events.into(),
    ]
}

/// The limits from the header's words; `None` if one does not fit its type.
pub(crate) fn limits_from_words(w: [u64; 7]) -> Option<Limits> {
    let small = |v: u64| u32::try_from(v).ok();
    Some(Limits {
        objects: small(w[0])?,
        jobs: small(w[1])?,
        inputs: small(w[2])?,
        text_bytes: w[3],
        grain_words: small(w[4])?,
        processes: small(w[5])?,
        events: small(w[6])?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_do_not_overlap_and_words_come_back() {
        let limits = Limits::for_objects(1000);
        let layout = Layout::new(limits).unwrap();
        let mut places: Vec<Place> = layout.regions.to_vec();
        for set in [layout.object_set, layout.job_set] {
            places.push(Place {
                offset: set.offset,
                bytes: set.buckets * 8,
            });
            let bits = (set.buckets * 8).div_ceil(SET_CHUNK).div_ceil(64) * 8;
            places.push(Place {
                offset: set.bits,
                bytes: bits,
            });
        }
        places.extend([
            layout.processes,
            layout.events,
            Place {
                offset: 0,
                bytes: header::END,
            },
        ]);
        places.sort_by_key(|p| p.offset);
        assert!(
            places
                .windows(2)
                .all(|w| w[0].offset + w[0].bytes <= w[1].offset)
        );
        assert!(
            places
                .last()
                .is_some_and(|p| p.offset + p.bytes <= layout.total)
        );
        assert_eq!(limits_from_words(limits_to_words(&limits)), Some(limits));
    }

    #[test]
    fn a_slot_its_buckets_and_no_more_are_the_price_of_an_object() {
        let layout = Layout::new(Limits::for_objects(1 << 20)).unwrap();
        assert_eq!(layout.object_set.buckets * 8 / (1 << 20), 16);
        assert_eq!(layout.region(Region::Slots).bytes / (1 << 20), 64);
    }

    #[test]
    fn senseless_limits_are_refused() {
        for limits in [
            Limits {
                objects: 0,
                ..Limits::default()
            },
            Limits {
                events: 1000,
                ..Limits::default()
            },
            Limits {
                processes: 5000,
                ..Limits::default()
            },
            Limits {
                text_bytes: u64::MAX,
                ..Limits::default()
            },
        ] {
            assert!(Layout::new(limits).is_err());
        }
    }
}
