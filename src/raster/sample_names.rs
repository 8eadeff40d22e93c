//! The names that a sample product is made of.

use super::sample_scene::Date;

/// The names that a product's files are made of.
pub(crate) struct Names {
    /// The product.
    pub product: String,
    /// The granule's directory.
    pub granule: String,
    /// The beginning of the bands' names.
    pub stem: String,
}

impl Names {
    /// The names of the product of a date.
    pub fn new(date: &Date) -> Self {
        let day = date.compact();
        Self {
            product: format!("S2X_MSIL2A_{day}T105031_N0510_R051_T31TXX_SYNTHETIC"),
            granule: format!("L2A_T31TXX_A{:06}_{day}T105031", date.orbit),
            stem: format!("T31TXX_{day}T105031"),
        }
    }

    /// The path of a band inside the product, without extension.
    pub fn band(&self, band: &str, metres: u32) -> String {
        format!(
            "GRANULE/{}/IMG_DATA/R{metres}m/{}_{band}_{metres}m",
            self.granule, self.stem
        )
    }
}
