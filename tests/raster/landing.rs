//! Band maths over bands that are still landing.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use cotec::raster::{
    BandInput, BandMath, Expr, Resample, SampleSpec, Source, band_math, band_math_while_landing,
    write_sample,
};

/// How long nothing may happen before it is a failure.
const LIMIT: Duration = Duration::from_secs(60);

/// A file whose bytes come as far as rows have been computed.
struct Landing<'a> {
    file: File,
    path: PathBuf,
    size: u64,
    /// How many bytes there are in each file.
    there: &'a (Mutex<u64>, Condvar),
}

impl Landing<'_> {
    fn wait(&self, end: u64) -> io::Result<()> {
        let (there, more) = self.there;
        let there = there.lock().unwrap();
        let missing = |there: &mut u64| *there < end;
        let waited = more.wait_timeout_while(there, LIMIT, missing).unwrap();
        match waited.1.timed_out() {
            true => Err(io::ErrorKind::TimedOut.into()),
            false => Ok(()),
        }
    }
}

impl Source for Landing<'_> {
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.wait((offset + bytes.len() as u64).min(self.size))?;
        self.file.read_exact_at(bytes, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn whole(&self) -> io::Result<PathBuf> {
        self.wait(self.size)?;
        Ok(self.path.clone())
    }
}

fn band(dir: &Path, files: &[PathBuf], name: &str) -> BandInput {
    let file = files
        .iter()
        .find(|f| f.to_string_lossy().contains(&format!("_{name}_")));
    BandInput {
        name: name.to_owned(),
        path: dir.join(file.unwrap()),
        scale: None,
    }
}

#[test]
fn rows_are_computed_as_their_tiles_land_and_the_result_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let spec = SampleSpec {
        products: 1,
        size: 1500,
    };
    let files = write_sample(dir.path(), &spec).unwrap().remove(0).files;
    let formulas = [
        ("(B08 - B04) / (B08 + B04)", Resample::Nearest, None),
        ("B08 / B11", Resample::Bilinear, None),
        ("B08 - B11", Resample::Average, Some(40.0)),
    ];
    for (formula, resample, resolution) in formulas {
        let mut math = BandMath::new(Expr::parse(formula).unwrap());
        (math.resample, math.resolution) = (resample, resolution);
        let bands: Vec<BandInput> = ["B04", "B08", "B11"]
            .map(|name| band(dir.path(), &files, name))
            .into();
        let place = |name: &str| {
            (
                dir.path().join(format!("{name}.tif")),
                dir.path().join(format!("{name}.png")),
            )
        };
        let (whole, early) = (place("whole"), place("early"));
        let stats = band_math(&math, &bands, &whole.0, &whole.1, 2).unwrap();

        // Much of each file is there, and the rest only comes when rows have been computed.
        let sizes = bands
            .iter()
            .map(|band| fs::metadata(&band.path).unwrap().len());
        let largest = sizes.max().unwrap();
        let there = (Mutex::new(largest * 4 / 5), Condvar::new());
        let sources: Vec<Landing<'_>> = bands
            .iter()
            .map(|band| Landing {
                file: File::open(&band.path).unwrap(),
                path: band.path.clone(),
                size: fs::metadata(&band.path).unwrap().len(),
                there: &there,
            })
            .collect();
        let sources: Vec<&dyn Source> = sources.iter().map(|s| s as &dyn Source).collect();
        let told = Mutex::new(Vec::new());
        let progress = |rows| {
            told.lock().unwrap().push(rows);
            *there.0.lock().unwrap() = u64::MAX;
            there.1.notify_all();
        };
        let same =
            band_math_while_landing(&math, &bands, &sources, &progress, (&early.0, &early.1), 2);
        assert_eq!(same.unwrap(), stats, "{formula}");
        assert!(fs::read(&whole.0).unwrap() == fs::read(&early.0).unwrap());
        assert!(fs::read(&whole.1).unwrap() == fs::read(&early.1).unwrap());
        let told = told.into_inner().unwrap();
        assert!(told.len() > 1 && told.is_sorted(), "{told:?}");
        assert_eq!(told.last(), Some(&stats.height));
    }
}
