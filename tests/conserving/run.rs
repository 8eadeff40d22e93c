//! A run of the real command over a line that stands still as long as there are jobs that could be
//! run: so inputs come in bursts, and each burst is worked off before the next, however slow the
//! machine is.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cotec::table::Table;
use serde_json::Value;
use tempfile::TempDir;

use crate::wan::{Change, HELP, Options, Stats, serve};
use crate::watch::{Watched, watch};

/// No run takes longer, even on a slow machine that does other things too.
const LIMIT: Duration = Duration::from_secs(240);
/// Tasks, each of one object of every product.
const TASKS: usize = 10;

/// A run under way, and the line that it downloads from.
pub struct Run {
    pub table: Table,
    dir: TempDir,
    child: Child,
    over: Arc<AtomicBool>,
    line: Option<JoinHandle<std::io::Result<Stats>>>,
}

impl Run {
    /// A run of ten jobs for each product.
    pub fn new(workers: &str, products: usize) -> Run {
        let dir = tempfile::Builder::new().prefix("cotec-test-").tempdir();
        let dir = dir.unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let known = Arc::new(OnceLock::new());
        let (address, line) = line(products, Arc::clone(&over), Arc::clone(&known));
        fs::write(dir.path().join("cotec.toml"), job_file(products, address)).unwrap();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_cotec-coord"))
            .current_dir(dir.path())
            .args(["--workers", workers])
            .env_clear()
            .env("HOME", dir.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let table = announced(child.id());
        known.get_or_init(|| table.clone());
        Run {
            table,
            dir,
            child,
            over,
            line: Some(line),
        }
    }

    /// Looks on until the run has ended well.
    pub fn watched(mut self) -> Watched {
        let begun = Instant::now();
        let mut ended = None;
        let child = &mut self.child;
        let watched = watch(&self.table, || {
            assert!(begun.elapsed() < LIMIT, "still running after {LIMIT:?}");
            ended = child.try_wait().unwrap();
            ended.is_some()
        });
        let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        assert_eq!(ended.and_then(|status| status.code()), Some(0), "{log}");
        assert_eq!(watched.lost, 0, "events were lost");
        self.over.store(true, Ordering::SeqCst);
        let line = self.line.take().map(|line| line.join().unwrap().unwrap());
        eprintln!(
            "line: {}",
            line.map(|stats| stats.json()).unwrap_or_default()
        );
        watched
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // The others end when the coordinator does.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line(
    products: usize,
    over: Arc<AtomicBool>,
    table: Arc<OnceLock<Table>>,
) -> (SocketAddr, JoinHandle<std::io::Result<Stats>>) {
    let mut options = Options::default();
    for (name, value) in [("rtt", "20ms"), ("jitter", "0")] {
        options.set(name, value).expect(HELP);
    }
    for product in 0..products {
        let set = format!("p{product:03}={TASKS}x2000");
        options.set("list", &set).expect(HELP);
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It is asked twenty times a second, and the line does nothing until it has answered.
    let stop = move || {
        while !over.load(Ordering::SeqCst) && table.get().is_some_and(to_do) {
            std::thread::sleep(Duration::from_millis(1));
        }
        over.load(Ordering::SeqCst)
    };
    let line = std::thread::spawn(move || serve(listener, options, Vec::<Change>::new(), stop));
    (address, line)
}

/// Whether jobs are ready or running.
fn to_do(table: &Table) -> bool {
    let counts = table.count_jobs();
    counts.is_ok_and(|jobs| jobs.ready + jobs.running > 0)
}

fn job_file(products: usize, address: SocketAddr) -> String {
    let names: Vec<_> = (0..products).map(|p| format!("\"p{p:03}\"")).collect();
    let names = names.join(", ");
    let mut text = format!(
        "connections = 12\n[store]\nendpoint = \"http://{address}\"\nbucket = \"b\"\n\
         anonymous = true\n[products]\nnames = [{names}]\n"
    );
    for task in 0..TASKS {
        text += &format!(
            "[[task]]\nname = \"t{task}\"\nlayout = \"objects\"\nobjects = [\"*/{task:07}\"]\n\
             run = [\"touch\", \"{{out}}\"]\noutput = \"t{task}\"\n"
        );
    }
    text
}

/// The table of a run, found as any other program of this user finds it.
fn announced(pid: u32) -> Table {
    let path = format!("/dev/shm/cotec-{}-{pid}", nix::unistd::geteuid());
    let begun = Instant::now();
    loop {
        let text = fs::read(&path).unwrap_or_default();
        let line = text.split(|byte| *byte == 0).next().unwrap_or_default();
        let line: Value = serde_json::from_slice(line).unwrap_or_default();
        if let Some(at) = line["table"].as_str()
            && let Ok(table) = Table::attach(Path::new(at), false)
        {
            return table;
        }
        assert!(begun.elapsed() < LIMIT, "the run announced nothing");
        std::thread::sleep(Duration::from_millis(2));
    }
}
