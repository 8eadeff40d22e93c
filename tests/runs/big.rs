//! One object of 5 GiB through the real command. It needs 12 GiB of free disk, and says that it
//! was skipped where there is less; the time is printed (`--nocapture`), not tested.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use crate::common::run::Sandbox;

const GIB: u64 = 1 << 30;
const SIZE: u64 = 5 * GIB;

/// Some bytes at both ends, across the ends of parts and grains, and beyond 32 bits.
const MARKS: [(u64, &[u8]); 6] = [
    (0, b"first"),
    (8 << 20, b"second part"),
    ((8 << 20) - 3, b"end"),
    (4 * GIB - 4, b"across 4 GiB"),
    (4 * GIB + (1 << 20) + 77, b"beyond"),
    (SIZE - 4, b"last"),
];

#[test]
fn an_object_of_5_gib_arrives_whole() {
    let sandbox = Sandbox::new();
    let disk = nix::sys::statvfs::statvfs(sandbox.path("").as_path()).unwrap();
    let free = disk.blocks_available() as u64 * disk.fragment_size() as u64;
    if free < 12 * GIB {
        eprintln!("skipped: only {} GiB of disk are free, not 12", free / GIB);
        return;
    }
    let source = sandbox.object("bucket", "p/big.bin", "");
    let file = File::options().write(true).open(&source).unwrap();
    file.set_len(SIZE).unwrap();
    for (at, bytes) in MARKS {
        file.write_all_at(bytes, at).unwrap();
    }
    // The result is a file of the same size that takes no space.
    sandbox.job_file(
        "[products]\nnames = [\"p\"]\n[[task]]\nname = \"size\"\nobjects = [\"*\"]\n\
         run = [\"truncate\", \"-r\", \"{product_dir}/big.bin\", \"{out}\"]\n",
    );
    let run = sandbox.coord().serve().expect(0);
    let rate = SIZE as f64 / run.seconds / 1e6;
    println!("5 GiB: {:.1} s, {rate:.0} MB/s", run.seconds);
    let path = sandbox.staged("bucket", "p/big.bin");
    assert_eq!(fs::metadata(&path).unwrap().len(), SIZE);
    let staged = File::open(&path).unwrap();
    for (at, bytes) in MARKS {
        let mut found = vec![0; bytes.len()];
        staged.read_exact_at(&mut found, at).unwrap();
        assert_eq!(found, bytes, "at {at}");
    }
    // Between the marks there is nothing but zeros.
    for at in [GIB, 2 * GIB + 12_345, 5 * GIB - (1 << 20)] {
        let mut found = vec![1; 1 << 16];
        staged.read_exact_at(&mut found, at).unwrap();
        assert!(found.iter().all(|byte| *byte == 0), "at {at}");
    }
    let result = fs::metadata(sandbox.path("out/p/size.tif")).unwrap();
    assert_eq!(result.len(), SIZE);
    // Slow parts at the end may be asked for a second time.
    let fetched = run.count("/objects/bytes_fetched");
    assert!((SIZE..SIZE + SIZE / 8).contains(&fetched), "{fetched}");
}
