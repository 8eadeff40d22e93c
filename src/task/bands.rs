//! The bands of Sentinel-2 and the resolutions that they are sensed at.

/// A band, or another image of a product, of Sentinel-2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sentinel2Band {
    /// The name used in file names and in formulas, such as `B8A`.
    pub name: &'static str,
    /// Metres per pixel where the product has it in one resolution only (Level-1C), or the finest.
    pub resolution: f64,
    /// Its number in the metadata's `band_id`; `None` for images that are no spectral band.
    pub band_id: Option<u32>,
}

const fn spectral(name: &'static str, resolution: f64, band_id: u32) -> Sentinel2Band {
    Sentinel2Band {
        name,
        resolution,
        band_id: Some(band_id),
    }
}

const fn image(name: &'static str, resolution: f64) -> Sentinel2Band {
    Sentinel2Band {
        name,
        resolution,
        band_id: None,
    }
}

/// Every image that the metadata of a Level-1C or Level-2A product may list.
pub const SENTINEL2_BANDS: [Sentinel2Band; 19] = [
    spectral("B01", 60.0, 0),
    spectral("B02", 10.0, 1),
    spectral("B03", 10.0, 2),
    spectral("B04", 10.0, 3),
    spectral("B05", 20.0, 4),
    spectral("B06", 20.0, 5),
    spectral("B07", 20.0, 6),
    spectral("B08", 10.0, 7),
    spectral("B8A", 20.0, 8),
    spectral("B09", 60.0, 9),
    spectral("B10", 60.0, 10),
    spectral("B11", 20.0, 11),
    spectral("B12", 20.0, 12),
    image("SCL", 20.0),
    image("AOT", 10.0),
    image("WVP", 10.0),
    image("TCI", 10.0),
    image("CLD", 20.0),
    image("SNW", 20.0),
];

/// The Sentinel-2 band of that name.
pub fn sentinel2_band(name: &str) -> Option<&'static Sentinel2Band> {
    SENTINEL2_BANDS.iter().find(|band| band.name == name)
}

/// All names, in the order of the metadata's `band_id`.
pub fn sentinel2_band_names() -> impl Iterator<Item = &'static str> {
    SENTINEL2_BANDS.iter().map(|band| band.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn band_ids_count_up_with_b8a_after_b08() {
        let ids: Vec<u32> = SENTINEL2_BANDS.iter().filter_map(|b| b.band_id).collect();
        assert_eq!(ids, (0..13).collect::<Vec<_>>());
        assert_eq!(sentinel2_band("B8A").unwrap().band_id, Some(8));
        assert!(sentinel2_band("B8").is_none());
    }
}
