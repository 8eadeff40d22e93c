//! Jobs that start before their inputs are there.

use std::fs;
use std::path::Path;
use std::time::Duration;

use cotec::raster::{SampleSpec, write_sample};
use cotec::store::{Algorithm, Summer};
use cotec::table::{Outcome, Table};
use cotec::values::{ByteRange, JobState, ObjectState};

use crate::common::processes::until;
use crate::common::run::Sandbox;
use crate::keeper::{Item, Keeper};

fn item(bytes: &[u8]) -> Item {
    let md5 = Summer::of(Algorithm::Md5, bytes);
    Item {
        bytes: bytes.to_vec(),
        etag: md5.bytes().iter().map(|b| format!("{b:02x}")).collect(),
        ..Item::default()
    }
}

/// The bands of a product, some MB each: name in the product, and bytes.
fn bands() -> Vec<(String, Vec<u8>)> {
    let dir = tempfile::tempdir().unwrap();
    let spec = SampleSpec {
        products: 1,
        size: 2200,
    };
    let product = write_sample(dir.path(), &spec).unwrap().remove(0);
    let file = |band: &str| {
        let mut files = product.files.iter();
        let file = files.find(|f| f.to_string_lossy().contains(&format!("_{band}_10m")));
        (
            format!("{band}.tif"),
            fs::read(dir.path().join(file.unwrap())).unwrap(),
        )
    };
    vec![file("B04"), file("B08")]
}

fn ndvi(sandbox: &Sandbox, start: &str) {
    sandbox.job_file(&format!(
        "[store]\nbucket = \"bucket\"\n[products]\nprefix = \"\"\n[[task]]\nname = \"t\"\nexpr = \"(B08 - B04) / (B08 + B04)\"\nstart = \"{start}\"\n"
    ));
}

/// A run of the formula; what stands in its result files.
fn results(start: &str, wrong: usize) -> (Vec<Vec<u8>>, String) {
    let (sandbox, keeper) = (Sandbox::new(), Keeper::new());
    for (name, bytes) in bands() {
        assert!(bytes.len() > 2 << 20, "{name}: too small to land in parts");
        let mut item = item(&bytes);
        item.wrong = wrong;
        keeper.put(&format!("p/{name}"), item);
    }
    ndvi(&sandbox, start);
    let outcome = keeper.use_by(sandbox.coord()).args(["--json"]).expect(0);
    let read = |name| fs::read(sandbox.path("out/p").join(name)).unwrap();
    (vec![read("t.tif"), read("t.png")], outcome.stdout)
}

#[test]
fn a_formula_gives_the_same_result_also_when_bytes_come_wrong_first() {
    let (ordinary, _) = results("ready", 0);
    let (early, _) = results("at-once", 0);
    assert!(early == ordinary);
    // What the job read before the comparison was wrong: it is not done by that.
    let (corrected, said) = results("at-once", 1);
    assert!(corrected == ordinary);
    assert!(said.contains("\"fault\":\"corrupt\""), "{said}");
}

/// In which order the parts of two objects were asked for, as the places at which it changes from
/// one to the other.
fn changes(start: &str) -> usize {
    let sandbox = Sandbox::new();
    for name in ["one", "two"] {
        sandbox.object("bucket", &format!("p/{name}"), vec![0; 48 << 20]);
    }
    sandbox.job_file(&format!(
        "[products]\nprefix = \"\"\n[[task]]\nname = \"t\"\nobjects = [\"*\"]\noutput = \"\"\nrun = [\"true\"]\nstart = \"{start}\"\n"
    ));
    let coord = sandbox.coord().serve();
    coord
        .args(["--trace", "trace.json", "--connections", "1"])
        .expect(0);
    let trace = fs::read_to_string(sandbox.path("trace.json")).unwrap();
    let trace: Vec<serde_json::Value> = serde_json::from_str(&trace).unwrap();
    let mut parts: Vec<(u64, &str)> = trace
        .iter()
        .filter(|event| event["cat"] == "part")
        .map(|part| {
            let key = part["args"]["key"].as_str().unwrap();
            ((part["ts"].as_f64().unwrap() * 1e3) as u64, key)
        })
        .collect();
    parts.sort_unstable();
    assert!(parts.len() >= 4, "too few parts: {parts:?}");
    parts.windows(2).filter(|two| two[0].1 != two[1].1).count()
}

#[test]
fn inputs_of_a_job_that_has_begun_come_side_by_side() {
    assert_eq!(changes("ready"), 1);
    assert!(changes("at-once") >= 3);
}

/// Not a test of its own: started by a run as its processor before its input is there.
#[test]
fn as_an_early_processor() {
    let (Some(path), Some(name)) = (
        std::env::var_os("COTEC_TABLE"),
        std::env::var_os("COTEC_JOB"),
    ) else {
        return;
    };
    let table = Table::attach(Path::new(&path), true).unwrap();
    let job = table.find_job(name.to_str().unwrap()).unwrap().unwrap();
    let slot = table.job_inputs(job).unwrap()[0];
    let first = ByteRange::new(0, 1 << 20);
    assert_eq!(table.wait_range(slot, first, None).unwrap(), Outcome::Ready);
    assert_eq!(
        table.object_state(slot).unwrap(),
        Some(ObjectState::Fetching)
    );
    assert!(!table.ranges_ready(slot).unwrap().is_empty());
    fs::write("early", b"").unwrap();
    // Ends well before its input is there.
    if Path::new("hasty").exists() {
        fs::write(std::env::var_os("COTEC_OUT").unwrap(), "hasty").unwrap();
        return;
    }
    let outcome = table.wait(slot, None).unwrap();
    fs::write(
        std::env::var_os("COTEC_OUT").unwrap(),
        format!("{outcome:?}"),
    )
    .unwrap();
}

/// A run whose processor is [`as_an_early_processor`], over one object whose end is held back.
fn early(sandbox: &Sandbox, keeper: &Keeper, item: Item) -> crate::common::run::Running {
    keeper.put("p/object", item);
    let me = std::env::current_exe().unwrap();
    sandbox.job_file(&format!(
        "[store]\nbucket = \"bucket\"\n[products]\nprefix = \"\"\n[[task]]\nname = \"t\"\nobjects = [\"*\"]\noutput = \"t.out\"\nstart = \"at-once\"\nrun = [{me:?}, \"--exact\", \"at_once::as_an_early_processor\"]\n"
    ));
    let running = keeper.use_by(sandbox.coord()).args(["--json"]).spawn();
    keeper.wait_until_held();
    until("a job that has begun", || {
        sandbox.path("early").exists().then_some(())
    });
    running
}

fn held() -> Item {
    let bytes: Vec<u8> = (0..150_000_000u32).map(|n| (n / 1000) as u8).collect();
    Item {
        held_from: Some(1),
        ..item(&bytes)
    }
}

#[test]
fn a_command_works_while_its_input_is_landing() {
    let (sandbox, keeper) = (Sandbox::new(), Keeper::new());
    let running = early(&sandbox, &keeper, held());
    assert!(!sandbox.path("out/p/t.out").exists());
    keeper.open();
    assert_eq!(running.wait().code, Some(0));
    assert_eq!(
        fs::read_to_string(sandbox.path("out/p/t.out")).unwrap(),
        "Ready"
    );
}

#[test]
fn a_job_that_ended_early_is_not_done_before_its_inputs_are_verified() {
    for right in [true, false] {
        let (sandbox, keeper) = (Sandbox::new(), Keeper::new());
        fs::write(sandbox.path("hasty"), b"").unwrap();
        let mut item = held();
        if !right {
            item.etag = "0123456789abcdef0123456789abcdef".to_owned();
        }
        let running = early(&sandbox, &keeper, item);
        // Nothing that could be waited for happens now; what must not happen would be soon.
        std::thread::sleep(Duration::from_millis(300));
        assert!(!sandbox.path("out/p/t.out").exists());
        keeper.open();
        let outcome = running.wait();
        let job = outcome.job("t/p");
        assert_eq!(
            job["state"],
            if right { "done" } else { "failed" },
            "{outcome}"
        );
        assert_eq!(sandbox.path("out/p/t.out").exists(), right);
        assert!(right || job["fault"] == "input", "{outcome}");
    }
}

/// The bytes that have landed are as many as rooms allow; see `Table::start_at_once`.
#[test]
fn states_of_a_job_that_starts_at_once() {
    use cotec::table::{JobSpec, ObjectSpec};
    use cotec::values::{Limits, Role};
    let table = Table::create(Limits::for_objects(64)).unwrap();
    let table = table.join(Role::Worker).unwrap();
    let object = |key| ObjectSpec {
        key,
        size: 5,
        etag: None,
    };
    let slots = [table.register_object(&object("a")).unwrap()];
    let spec = |name| JobSpec {
        name,
        task: 7,
        inputs: &slots,
        payload: b"",
    };
    let ordinary = table.register_job(&spec("ordinary")).unwrap();
    let early = table.register_job_at_once(&spec("early")).unwrap();
    assert_eq!(table.job_task(early).unwrap(), 7);
    assert!(!table.start_at_once(ordinary).unwrap());
    assert_eq!(table.claim_job().unwrap(), None);
    assert!(table.start_at_once(early).unwrap());
    assert!(!table.start_at_once(early).unwrap(), "it is ready already");
    table.sweep(3).unwrap();
    let claim = table.claim_job().unwrap().unwrap();
    assert_eq!(claim.job, early);
    assert_eq!(table.job_state(ordinary).unwrap(), Some(JobState::Waiting));
    assert!(table.finish_job(claim, Ok(())).unwrap());
}

#[test]
fn a_shell_script_waits_for_the_inputs_that_it_needs() {
    let (sandbox, keeper) = (Sandbox::new(), Keeper::new());
    keeper.put("p/a.tif", item(b"first"));
    let held = Item {
        held_from: Some(0),
        ..item(b"second")
    };
    keeper.put("p/b.tif", held);
    // The first input while the second is held back; what is no input; a wait that is too short;
    // then all.
    let script = "cotec wait \"$2\" && cp \"$2\" first
        cotec wait p/no 2> no; echo $? > codes
        cotec wait --timeout 0 \"$3\" 2> late; echo $? >> codes
        touch asked; cotec wait && cp \"$3\" \"$1\"";
    let cotec = Path::new(env!("CARGO_BIN_EXE_cotec")).parent().unwrap();
    let path = format!(
        "{}:{}",
        cotec.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    sandbox.job_file(&format!(
        "[store]\nbucket = \"bucket\"\n[products]\nprefix = \"\"\n[[task]]\nname = \"t\"\nobjects = [\"*\"]\noutput = \"t.out\"\nstart = \"at-once\"\nrun = [\"sh\", \"-c\", '''{script}''', \"sh\", \"{{out}}\", \"{{inputs}}\"]\n"
    ));
    let coord = keeper.use_by(sandbox.coord()).env("PATH", &path);
    let running = coord.spawn();
    until("the script to ask for all", || {
        sandbox.path("asked").exists().then_some(())
    });
    let read = |name| fs::read_to_string(sandbox.path(name)).unwrap();
    assert_eq!(
        (read("first").as_str(), read("codes").as_str()),
        ("first", "2\n1\n")
    );
    assert!(
        read("no").contains("error: p/no is no input of the job t/p"),
        "{}",
        read("no")
    );
    assert!(
        read("late").contains("error: p/b.tif: not there after 0 s"),
        "{}",
        read("late")
    );
    keeper.open();
    let outcome = running.wait();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(read("out/p/t.out"), "second");
}
