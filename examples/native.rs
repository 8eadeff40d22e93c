//! A processor of one's own: the share of water in each product, by NDWI.
//!
//! ```text
//! cargo run --release --example native
//! ```
//!
//! `cotec::run` does everything but the work: it plans, downloads, and calls the function below
//! in several forked processes, once for each job, when the job's bands are in staging.

use std::error::Error;
use std::fs;
use std::process::ExitCode;

use cotec::raster::{Samples, read_band};
use cotec::work::Job;

fn main() -> ExitCode {
    // Call it first: it forks, and only a process with one thread may do that.
    match cotec::run(cotec::Config::from_file("examples/native.toml"), water) {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("error: {error}");
            error.exit_code().into()
        }
    }
}

/// Writes the share of water among the valid pixels to the job's output file.
fn water(job: &Job<'_>) -> Result<(), Box<dyn Error>> {
    let green = reflectance(job, "B03")?;
    let nir = reflectance(job, "B08")?;
    let (mut water, mut valid) = (0u64, 0u64);
    for (green, nir) in green.into_iter().zip(nir) {
        if let (Some(green), Some(nir)) = (green, nir) {
            valid += 1;
            // NDWI (McFeeters): water reflects green light and almost no near infrared.
            water += u64::from(green + nir != 0.0 && (green - nir) / (green + nir) > 0.0);
        }
    }
    let share = water as f64 / valid.max(1) as f64;
    let text = format!(
        "{{\"product\": \"{}\", \"water\": {share:.4}}}\n",
        job.product()
    );
    fs::write(job.out(), text)?;
    Ok(())
}

/// The reflectance of each pixel of a band; `None` where there is no data.
fn reflectance(job: &Job<'_>, band: &str) -> Result<Vec<Option<f64>>, Box<dyn Error>> {
    let path = job.band(band).ok_or("the task does not have this band")?;
    let (quantification, add_offset) = job.scale(band).unwrap_or((1.0, 0.0));
    let Samples::U16(numbers) = read_band(&path)?.samples else {
        return Err(format!("{} does not hold 16-bit numbers", path.display()).into());
    };
    let value = |n: u16| (n != 0).then(|| (f64::from(n) + add_offset) / quantification);
    Ok(numbers.into_iter().map(value).collect())
}
