//! Random histories: what may be asked of a table, with numbers instead of names, so that each
//! step makes sense whatever the steps before it were.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use cotec::values::{Fault, FaultCode, Limits};

/// One step. Selectors (`u8`) are taken modulo what there is at that moment.
#[derive(Clone, Debug)]
pub enum Step {
    Join {
        worker: bool,
    },
    RegisterObject {
        key: usize,
        size: usize,
        etag: usize,
    },
    /// At once, each key once: positions of key, size and ETag.
    RegisterObjects {
        page: Vec<(usize, usize, usize)>,
        for_jobs: bool,
    },
    RegisterJob {
        name: usize,
        task: u32,
        inputs: Vec<u8>,
        payload: usize,
    },
    EndedJob {
        name: usize,
        inputs: Vec<u8>,
        fault: Option<Fault>,
        result: usize,
    },
    ClaimObject(u8),
    ClaimNextWanted,
    PublishObject {
        claim: u8,
        fetched: u64,
    },
    FailObject {
        claim: u8,
        fault: Fault,
    },
    ReleaseObject(u8),
    PublishRange {
        claim: u8,
        from: u8,
        to: u8,
    },
    ForgetLanded(u8),
    Evict(u8),
    Want(u8),
    ClaimJob,
    SetResult {
        claim: u8,
        text: usize,
    },
    PostponeJob {
        claim: u8,
        fault: Fault,
    },
    HandOver {
        claim: u8,
    },
    ClaimUpload(u8),
    LookOn(u8),
    /// From here on jobs wait until they are admitted.
    HoldJobs,
    AdmitJob(u8),
    RefuseJob(u8, Fault),
    FinishJob {
        claim: u8,
        fault: Option<Fault>,
    },
    Die {
        who: u8,
        others: bool,
        attempts: u32,
    },
    Sweep {
        attempts: u32,
    },
    Wait(u8),
    WaitRange {
        slot: u8,
        from: u8,
        to: u8,
    },
    WaitAny(Vec<u8>),
    Note {
        text: usize,
        error: bool,
    },
    Retried {
        slot: u8,
        fault: Fault,
    },
    Figures {
        bytes: u64,
        requests: u64,
        group: u32,
    },
    Planned {
        products: u32,
    },
    Stop,
    ReadEvents,
}

/// A step and the handle that takes it.
pub type Turn = (u8, Step);

/// The keys and names: short ones, long ones, one that is too long, an empty one, and others
/// that only a careless program would mix up.
pub fn names() -> Vec<String> {
    let mut names: Vec<String> = [
        "",
        "a",
        "b",
        "a ",
        "a\0",
        "12345678",
        "123456789",
        "tiles/29/T/NF/2026/B04.jp2",
        "tiles/29/T/NF/2026/B05.jp2",
        "ключ/鍵/🛰",
        "ключ/鍵/🛰/é",
        "e\u{301}",
    ]
    .map(str::to_owned)
    .into();
    names.push("k".repeat(Limits::KEY_BYTES / 16));
    names.push("k".repeat(Limits::KEY_BYTES + 1));
    names
}

pub const SIZES: [u64; 13] = {
    const M: u64 = 1 << 20;
    [
        0,
        1,
        M - 1,
        M,
        M + 1,
        5 * M + 7,
        31 * M,
        32 * M,
        32 * M + 1,
        70 * M,
        100 * M + 3,
        1 << 44,
        u64::MAX,
    ]
};

/// ETags, and whether each needs room among the texts.
pub fn etags() -> Vec<(Option<String>, bool)> {
    let md5 = "d41d8cd98f00b204e9800998ecf8427e";
    vec![
        (None, false),
        (Some(String::new()), false),
        (Some(md5.into()), false),
        (Some(format!("{md5}-17")), false),
        (Some(format!("{md5}-017")), true),
        (Some(md5.to_uppercase()), true),
        (Some("ü\"quoted\"".into()), true),
        (Some("e".repeat(Limits::KEY_BYTES + 1)), true),
    ]
}

/// Lengths of payloads, results and notes.
pub const LENGTHS: [usize; 7] = [0, 1, 7, 8, 40, 200, Limits::PAYLOAD_BYTES + 1];

fn length() -> impl Strategy<Value = usize> {
    prop_oneof![60 => 0..LENGTHS.len() - 1, 1 => Just(LENGTHS.len() - 1)]
}

fn fault() -> impl Strategy<Value = Fault> {
    (0..FaultCode::ALL.len(), 0u32..1 << 24).prop_map(|(i, d)| Fault::new(FaultCode::ALL[i], d))
}

pub fn limits() -> impl Strategy<Value = Limits> {
    let sizes = (1u32..12, 1u32..12, 0u32..40, 0u64..2400, 0u32..14);
    (sizes, 2u32..6, prop_oneof![Just(16u32), Just(256)]).prop_map(
        |((objects, jobs, inputs, text_bytes, grain_words), processes, events)| Limits {
            objects,
            jobs,
            inputs,
            text_bytes,
            grain_words,
            processes,
            events,
        },
    )
}

/// Objects of one call: of different keys, more than are taken together now and then.
fn page() -> impl Strategy<Value = Vec<(usize, usize, usize)>> {
    let object = (0..names().len(), 0..SIZES.len(), 0..etags().len());
    prop_oneof![3 => vec(object.clone(), 0..6), 1 => vec(object, 30..40)].prop_map(|mut page| {
        let mut seen = std::collections::HashSet::new();
        page.retain(|(key, ..)| seen.insert(*key));
        page
    })
}

fn step() -> impl Strategy<Value = Step> {
    let inputs = || vec(any::<u8>(), 0..5);
    // Often what was claimed last, which makes histories that get somewhere.
    let recent = || prop_oneof![3 => Just(0u8), 1 => any::<u8>()];
    let moves = prop_oneof![
        1 => any::<bool>().prop_map(|worker| Step::Join { worker }),
        8 => (0..names().len(), 0..SIZES.len(), 0..etags().len())
            .prop_map(|(key, size, etag)| Step::RegisterObject { key, size, etag }),
        3 => (page(), any::<bool>())
            .prop_map(|(page, for_jobs)| Step::RegisterObjects { page, for_jobs }),
        8 => (0..names().len(), any::<u32>(), inputs(), length())
            .prop_map(|(name, task, inputs, payload)| {
                Step::RegisterJob { name, task, inputs, payload }
            }),
        1 => (0..names().len(), inputs(), option::of(fault()), length())
            .prop_map(|(name, inputs, fault, result)| {
                Step::EndedJob { name, inputs, fault, result }
            }),
        4 => any::<u8>().prop_map(Step::ClaimObject),
        6 => Just(Step::ClaimNextWanted),
        8 => (recent(), any::<u64>())
            .prop_map(|(claim, fetched)| Step::PublishObject { claim, fetched }),
        1 => (recent(), fault()).prop_map(|(claim, fault)| Step::FailObject { claim, fault }),
        2 => recent().prop_map(Step::ReleaseObject),
        5 => (recent(), any::<u8>(), any::<u8>())
            .prop_map(|(claim, from, to)| Step::PublishRange { claim, from, to }),
        1 => recent().prop_map(Step::ForgetLanded),
        2 => any::<u8>().prop_map(Step::Evict),
        1 => any::<u8>().prop_map(Step::Want),
        6 => Just(Step::ClaimJob),
        1 => (recent(), length()).prop_map(|(claim, text)| Step::SetResult { claim, text }),
        4 => (recent(), proptest::option::weighted(0.3, fault()))
            .prop_map(|(claim, fault)| Step::FinishJob { claim, fault }),
        1 => (recent(), fault()).prop_map(|(claim, fault)| Step::PostponeJob { claim, fault }),
        2 => recent().prop_map(|claim| Step::HandOver { claim }),
        2 => any::<u8>().prop_map(Step::ClaimUpload),
        1 => any::<u8>().prop_map(Step::LookOn),
        3 => any::<u8>().prop_map(Step::AdmitJob),
        1 => (any::<u8>(), fault()).prop_map(|(job, fault)| Step::RefuseJob(job, fault)),
    ];
    let rest = prop_oneof![
        1 => Just(Step::HoldJobs),
        3 => (any::<u8>(), any::<bool>(), 1u32..4)
            .prop_map(|(who, others, attempts)| Step::Die { who, others, attempts }),
        1 => (1u32..4).prop_map(|attempts| Step::Sweep { attempts }),
        2 => any::<u8>().prop_map(Step::Wait),
        2 => (any::<u8>(), any::<u8>(), any::<u8>())
            .prop_map(|(slot, from, to)| Step::WaitRange { slot, from, to }),
        2 => vec(any::<u8>(), 0..4).prop_map(Step::WaitAny),
        1 => (length(), any::<bool>()).prop_map(|(text, error)| Step::Note { text, error }),
        1 => (any::<u8>(), fault()).prop_map(|(slot, fault)| Step::Retried { slot, fault }),
        1 => (any::<u64>(), any::<u64>(), any::<u32>())
            .prop_map(|(bytes, requests, group)| Step::Figures { bytes, requests, group }),
        1 => any::<u32>().prop_map(|products| Step::Planned { products }),
        1 => Just(Step::Stop),
        2 => Just(Step::ReadEvents),
    ];
    prop_oneof![4 => moves, 1 => rest]
}

pub fn history() -> impl Strategy<Value = (Limits, Vec<Turn>)> {
    (limits(), vec((any::<u8>(), step()), 1..120))
}
