//! Writes the sample: made-up Sentinel-2 Level-2A products, the same bytes on every machine.
//!
//! The layout is that of a SAFE product whose bands are Cloud Optimized GeoTIFFs. The satellite
//! `S2X` and the tile `T31TXX` do not exist, and names and metadata say `SYNTHETIC`.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::cog::{Cog, CogSample, Deflate, Overview};
use super::error::RasterError;
use super::geo::{Crs, Geo, GeoTransform};
use super::sample_names::Names;
use super::sample_scene::{BANDS_10M, BANDS_20M, CORNER, Date, EPSG, Scene};
use super::sample_xml::{tile_xml, user_product_xml};

/// What to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleSpec {
    /// Number of products, 1 to 100: one date each, 20 days apart, all of the same place.
    pub products: u32,
    /// Columns and rows of the 10 m bands: an even number, 64 to 10980.
    pub size: u32,
}

impl Default for SampleSpec {
    fn default() -> Self {
        Self {
            products: 4,
            size: 1024,
        }
    }
}

/// A product that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleProduct {
    /// The product's name, which is also that of its directory.
    pub name: String,
    /// Its files, relative to the directory given.
    pub files: Vec<PathBuf>,
    /// The sum of their sizes.
    pub bytes: u64,
}

/// Writes the products of `spec` under `dir`, one directory each; files of the same name are
/// overwritten. Takes all cores while it runs.
///
/// # Errors
/// Where `spec` is out of its limits or a file cannot be written.
pub fn write_sample(dir: &Path, spec: &SampleSpec) -> Result<Vec<SampleProduct>, RasterError> {
    if !(1..=100).contains(&spec.products)
        || !(64..=10_980).contains(&spec.size)
        || !spec.size.is_multiple_of(2)
    {
        return Err(RasterError::Grid(format!(
            "a sample has 1 to 100 products of an even size from 64 to 10980, not {} of {}",
            spec.products, spec.size
        )));
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .build()
        .map_err(|e| RasterError::Threads {
            threads: 0,
            what: e.to_string(),
        })?;
    pool.install(|| {
        let scene = Scene::new(spec.size as usize);
        (0..spec.products)
            .map(|i| write_product(dir, &scene, &Date::of_product(i)))
            .collect()
    })
}

fn write_product(dir: &Path, scene: &Scene, date: &Date) -> Result<SampleProduct, RasterError> {
    let names = Names::new(date);
    let mut images = Vec::new();
    let mut out = Writer {
        dir,
        product: SampleProduct {
            name: names.product.clone(),
            files: Vec::new(),
            bytes: 0,
        },
    };
    let view = scene.on(date);
    let half = scene.size / 2;
    for (i, band) in BANDS_10M.iter().enumerate() {
        let image = names.band(band, 10);
        let pixels: Vec<u16> = view.par_iter().map(|p| p.fine[i]).collect();
        out.image(&image, scene.size, &pixels, 10.0, Overview::Mean)?;
        images.push(image);
    }
    for (i, band) in BANDS_20M.iter().enumerate() {
        let image = names.band(band, 20);
        let pixels = coarser(scene.size, |at| view[at].coarse[i]);
        out.image(&image, half, &pixels, 20.0, Overview::Mean)?;
        images.push(image);
    }
    let image = names.band("SCL", 20);
    let classes: Vec<u8> = (0..half * half)
        .map(|i| view[2 * (i / half) * scene.size + 2 * (i % half)].class)
        .collect();
    out.image(&image, half, &classes, 20.0, Overview::First)?;
    images.push(image);

    let granule = format!("GRANULE/{}/MTD_TL.xml", names.granule);
    out.text(&granule, &tile_xml(&names, date, scene.size))?;
    out.text("MTD_MSIL2A.xml", &user_product_xml(&names, date, &images))?;
    Ok(out.product)
}

/// Means of two by two pixels; 0 where one of them is 0.
fn coarser(size: usize, pixel: impl Fn(usize) -> u16) -> Vec<u16> {
    let half = size / 2;
    (0..half * half)
        .map(|i| {
            let at = 2 * (i / half) * size + 2 * (i % half);
            let four = [at, at + 1, at + size, at + size + 1].map(&pixel);
            if four.contains(&0) {
                0
            } else {
                ((four.iter().map(|v| u32::from(*v)).sum::<u32>() + 2) / 4) as u16
            }
        })
        .collect()
}

/// Writes the files of one product and keeps account of them.
struct Writer<'a> {
    dir: &'a Path,
    product: SampleProduct,
}

impl Writer<'_> {
    fn path(&self, name: &str) -> Result<PathBuf, RasterError> {
        let path = self.dir.join(&self.product.name).join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|e| RasterError::io(parent, "create", e))?;
        }
        Ok(path)
    }

    fn count(&mut self, name: &str, path: &Path) -> Result<(), RasterError> {
        let written = std::fs::metadata(path).map_err(|e| RasterError::io(path, "write", e))?;
        self.product.bytes += written.len();
        self.product
            .files
            .push(Path::new(&self.product.name).join(name));
        Ok(())
    }

    fn text(&mut self, name: &str, text: &str) -> Result<(), RasterError> {
        let path = self.path(name)?;
        std::fs::write(&path, text).map_err(|e| RasterError::io(&path, "write", e))?;
        self.count(name, &path)
    }

    fn image<T: CogSample>(
        &mut self,
        name: &str,
        size: usize,
        samples: &[T],
        metres: f64,
        overview: Overview,
    ) -> Result<(), RasterError> {
        let name = format!("{name}.tif");
        let path = self.path(&name)?;
        let geo = Geo {
            transform: GeoTransform {
                origin_x: CORNER.0,
                origin_y: CORNER.1,
                pixel_width: metres,
                pixel_height: metres,
            },
            crs: Some(Crs::Projected(EPSG)),
        };
        Cog {
            width: size,
            height: size,
            samples,
            geo: Some(&geo),
            nodata: "0",
            overview,
            deflate: Deflate::Reproducible,
        }
        .write(&path)?;
        self.count(&name, &path)
    }
}
