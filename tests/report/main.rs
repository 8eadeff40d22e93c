//! The page that tells a run, of runs that the simulator makes.

#![allow(clippy::unwrap_used)]

mod markup;
mod synthetic;

use std::path::PathBuf;

use cotec::report::{Story, WaitSpan, page};
use cotec::store::EndpointProfile;
use cotec::values::{Fault, FaultCode, JobState};
use markup::{Element, elements};
use synthetic::{setup, story, workload};

/// Makes a page, looks whether its markup is right and its charts say what they show, and leaves
/// it where a browser can look at it.
fn checked(name: &str, story: &Story) -> (String, Vec<Element>) {
    let page = page(story);
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("report-{name}.html"));
    std::fs::write(path, &page).unwrap();
    let elements = elements(&page);
    for element in &elements {
        for (name, value) in &element.attributes {
            let is_outside = value.contains("://") && !value.starts_with("data:");
            let loads = ["src", "href", "xlink:href", "srcset"].contains(&name.as_str());
            assert!(!(loads && is_outside), "{element:?} loads something");
            assert!(!name.starts_with("on"), "{element:?} has a handler");
            let is_picture = value.starts_with("data:");
            let is_odd = value.contains("NaN") || value.contains("inf ");
            assert!(is_picture || !is_odd, "{element:?}");
        }
        if element.name == "svg" && element.get("aria-hidden").is_none() {
            let says = element.get("aria-label").unwrap_or_default();
            assert_eq!(element.get("role"), Some("img"));
            assert!(
                says.len() > 20 && says.contains(|c: char| c.is_ascii_digit()),
                "{says:?}"
            );
        }
    }
    let mut level = 0;
    for element in &elements {
        if let Some(Ok(next)) = element.name.strip_prefix('h').map(str::parse::<u32>) {
            assert!(next <= level + 1, "h{next} after h{level}");
            level = next;
        }
    }
    (page, elements)
}

/// The sentences at the top.
fn verdict(page: &str) -> &str {
    let from = page.find("class=\"verdict\">").unwrap() + 16;
    let rest = &page[from..];
    &rest[..rest.find("</p>").unwrap()]
}

fn charts(elements: &[Element]) -> usize {
    elements
        .iter()
        .filter(|e| e.get("role") == Some("img"))
        .count()
}

#[test]
fn a_run_that_waits_for_the_network() {
    let (page, elements) = checked("network", &story(&workload(40, 60, 2.0), &setup(4, 4)));
    let verdict = verdict(&page);
    assert!(
        verdict.starts_with("The network held this run back for 9"),
        "{verdict}"
    );
    assert!(
        verdict.contains("connections instead of 4 would have saved about"),
        "{verdict}"
    );
    assert!(
        verdict.contains("more workers would have saved nothing"),
        "{verdict}"
    );
    assert!(charts(&elements) >= 6);
    assert!(page.contains("replayed this run"));
}

#[test]
fn what_the_endpoint_does_not_allow_is_not_proposed() {
    let seen = story(&workload(40, 60, 2.0), &setup(4, 4));
    let with = |allowed| {
        let mut story = seen.clone();
        story.allowed = allowed;
        checked("allowed", &story).0
    };
    let few = with(EndpointProfile {
        connections: Some(4),
        ..EndpointProfile::default()
    });
    assert!(
        verdict(&few).contains("; the endpoint allows no more than 4 connections; more workers"),
        "{}",
        verdict(&few)
    );
    assert!(few.contains(">2 connections<") && !few.contains(">8 connections<"));
    assert!(few.contains("so no more were tried"));
    let rate = with(EndpointProfile {
        bytes_per_second: Some(1_000_000),
        ..EndpointProfile::default()
    });
    assert!(
        verdict(&rate).contains("; the endpoint allows no more than 1.0 MB a second; "),
        "{}",
        verdict(&rate)
    );
    let free = with(EndpointProfile::default());
    assert!(free.contains(">8 connections<") && !free.contains("Endpoint allows"));
}

#[test]
fn a_run_that_waits_for_its_workers() {
    let (page, _) = checked("workers", &story(&workload(40, 10, 6.0), &setup(16, 2)));
    let verdict = verdict(&page);
    assert!(
        verdict.starts_with("2 workers held this run back for"),
        "{verdict}"
    );
    assert!(
        verdict.contains("4 workers instead of 2 would have saved about"),
        "{verdict}"
    );
    assert!(
        verdict.contains("more connections would have saved nothing"),
        "{verdict}"
    );
}

#[test]
fn a_run_that_nothing_holds_back() {
    let mut story = story(&workload(10, 10, 1.0), &setup(16, 8));
    story.held_back.waiting_for_data = story.seconds * 0.05;
    story.held_back.waiting_for_workers = 0.0;
    let (page, _) = checked("nothing", &story);
    assert!(verdict(&page).starts_with("Nothing held this run back for long"));
}

#[test]
fn a_run_whose_objects_were_all_there() {
    let mut story = story(&workload(10, 10, 1.0), &setup(16, 2));
    story.parts.clear();
    for object in &mut story.objects {
        object.fetched = 0;
    }
    story.held_back.waiting_for_data = 0.0;
    story.held_back.waiting_for_workers = story.seconds * 0.8;
    let (page, _) = checked("staged", &story);
    let verdict = verdict(&page);
    assert!(
        verdict.starts_with("Everything was in staging already"),
        "{verdict}"
    );
    assert!(
        verdict.contains("2 workers held this run back for 80%"),
        "{verdict}"
    );
    assert!(!verdict.contains("connections"), "{verdict}");
}

#[test]
fn jobs_that_wait_while_they_run_are_not_the_workers_fault() {
    let mut story = story(&workload(10, 10, 4.0), &setup(4, 2));
    (
        story.held_back.waiting_for_data,
        story.held_back.waiting_for_workers,
    ) = (0.0, story.seconds / 2.0);
    let runs = story.jobs.iter().flat_map(|job| &job.runs);
    let waits = runs.map(|run| WaitSpan {
        process: run.worker,
        slot: 0,
        begun: run.begun,
        ended: run.begun + (run.ended - run.begun) / 2.0,
    });
    story.waits = waits.collect();
    let (page, _) = checked("at-once", &story);
    let said = "all workers were taken for 50% of its time, and for 50% of what they ran";
    assert!(verdict(&page).contains(said), "{}", verdict(&page));
    assert!(page.contains("processors that wait for their inputs while they run"));
    // The planner's waits are not those of a processor.
    story.waits.iter_mut().for_each(|wait| wait.process = 1);
    let (page, _) = checked("planner", &story);
    assert!(
        verdict(&page).starts_with("2 workers held"),
        "{}",
        verdict(&page)
    );
    assert!(!page.contains("Processors, for objects"));
}

#[test]
fn one_connection_tells_nothing_of_more() {
    let (page, _) = checked("unknown", &story(&workload(10, 30, 0.5), &setup(1, 2)));
    let said = "what more connections would have brought cannot be told from this run";
    assert!(verdict(&page).contains(said), "{}", verdict(&page));
}

#[test]
fn runs_that_did_not_end_well() {
    let whole = story(&workload(20, 30, 1.0), &setup(4, 2));
    let mut cut = whole.clone();
    cut.outcome = "interrupted".to_owned();
    for job in &mut cut.jobs[12..] {
        job.state = JobState::Waiting;
        (job.ready, job.runs) = (None, Vec::new());
    }
    let (page, _) = checked("interrupted", &cut);
    assert!(verdict(&page).starts_with("The run was interrupted when 12 of 20 jobs had ended."));
    assert!(page.contains("The run was not finished"));
    let mut lost = whole.clone();
    lost.lost = 1200;
    let (page, _) = checked("lost", &lost);
    assert!(verdict(&page).contains("1,200 events of the run are not known"));
    assert!(page.contains("cannot be replayed"));
    let (page, elements) = checked("empty", &Story::default());
    assert!(verdict(&page).contains("There was no job in this run."));
    assert_eq!(charts(&elements), 0);
}

#[test]
fn failures_come_first() {
    let mut story = story(&workload(400, 1, 0.1), &setup(16, 2));
    story.outcome = "some-failed".to_owned();
    for number in [150, 399] {
        let job = &mut story.jobs[number];
        job.state = JobState::Failed;
        job.fault = Some(Fault::new(FaultCode::Processor, 3));
        job.error = Some("exit status 3: no such band".to_owned());
        job.outputs.clear();
    }
    story.objects[7].fault = Some(Fault::new(FaultCode::NotFound, 404));
    let (page, _) = checked("failed", &story);
    assert!(
        verdict(&page).contains("2 of 400 jobs failed."),
        "{}",
        verdict(&page)
    );
    let rows = page
        .split("<tbody>")
        .last()
        .map(|_| page.matches("no such band").count());
    assert_eq!(rows, Some(2));
    let failed = page.rfind("no such band").unwrap();
    let table = page.find("aria-label=\"Jobs\"").unwrap();
    assert_eq!(
        page[table..failed].matches("<tr>").count(),
        3,
        "a header and two rows"
    );
    assert!(page.contains("148 jobs left out (0 of them failed)"));
    assert!(page.contains("not in the store (HTTP 404)"));
}

#[test]
fn names_from_outside_are_only_names() {
    const HOSTILE: [&str; 6] = [
        "</script><script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "gnp.\u{202e}lmth\u{2066}",
        "a\nb\tc\0d\u{1b}[2J",
        "]]></title></svg><style>*{display:none}</style>&amp;&#0;",
    ];
    let mut story = story(&workload(12, 30, 3.0), &setup(4, 2));
    story.outcome = HOSTILE[0].to_owned();
    story.store = HOSTILE[1].to_owned();
    story.out = HOSTILE[2].into();
    story.tasks[0] = HOSTILE[0].to_owned();
    for (slot, object) in story.objects.iter_mut().enumerate() {
        object.key = HOSTILE[slot % 6].to_owned();
        object.fault = (slot < 6).then(|| Fault::new(FaultCode::Corrupt, 2));
    }
    story.objects[5].key = "k".repeat(10_240);
    for (number, job) in story.jobs.iter_mut().enumerate() {
        job.name = HOSTILE[number % 6].to_owned();
        job.outputs = vec![
            HOSTILE[number % 6].into(),
            format!("{}.png", HOSTILE[1]).into(),
        ];
        job.uploaded = vec![HOSTILE[0].to_owned()];
        job.error = Some(HOSTILE[number % 6].to_owned());
        job.fault = Some(Fault::new(FaultCode::Processor, 1));
        job.state = [JobState::Done, JobState::Failed][number % 2];
    }
    story.notes[0].text = HOSTILE.concat();
    let (page, elements) = checked("hostile", &story);
    assert_eq!(page.matches("<script>").count(), 1);
    assert_eq!(page.matches("<style>").count(), 1);
    assert!(
        !elements.iter().any(|e| e.name == "img"),
        "no picture can be read"
    );
    assert!(!page.contains(['\u{202e}', '\u{2066}', '\0', '\u{1b}']));
    assert!(!page.contains(&"k".repeat(300)), "long names are cut");
}

#[test]
fn a_large_run_is_a_page_of_a_few_megabytes() {
    let mut large = story(&workload(50_000, 1, 0.02), &setup(64, 16));
    for (number, job) in large.jobs.iter_mut().enumerate() {
        job.name.push_str(&"-long".repeat(20));
        if number % 3 == 0 {
            job.state = JobState::Failed;
            job.error = Some("why not ".repeat(40));
        }
    }
    assert!(large.objects.len() > 100_000 && large.parts.len() > 100_000);
    let (page, _) = checked("large", &large);
    assert!(page.len() < 4_000_000, "{} bytes", page.len());
    assert!(page.len() > 100_000);
}

#[test]
fn quick_looks_stand_in_the_page() {
    let directory = tempfile::tempdir().unwrap();
    let mut story = story(&workload(60, 2, 0.1), &setup(4, 2));
    let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ndvi.png")).unwrap();
    for (number, job) in story.jobs.iter_mut().enumerate() {
        let path = directory.path().join(format!("{number}.png"));
        let bytes: &[u8] = match number {
            0 => b"GIF89a is none",
            _ => &file,
        };
        std::fs::write(&path, bytes).unwrap();
        job.outputs = vec![path];
    }
    let (page, elements) = checked("pictures", &story);
    let pictures: Vec<&Element> = elements.iter().filter(|e| e.name == "img").collect();
    assert!(
        pictures.len() > 1 && pictures.len() <= 24,
        "{}",
        pictures.len()
    );
    for picture in &pictures {
        assert!(picture.get("alt").unwrap().starts_with("Quick-look of "));
        assert_eq!(picture.get("loading"), Some("lazy"));
        assert!(
            picture
                .get("src")
                .unwrap()
                .starts_with("data:image/png;base64,iVBOR")
        );
    }
    let left = 60 - pictures.len();
    assert!(page.contains(&format!("{left} are left out")));
}
