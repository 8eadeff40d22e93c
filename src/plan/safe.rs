//! The metadata of a Sentinel-2 product: `MTD_MSIL1C.xml` and `MTD_MSIL2A.xml`.

use std::collections::BTreeMap;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::task::{Scale, sentinel2_band};

/// Images that a product may list; real ones have at most a few hundred.
const MAX_IMAGES: usize = 10_000;

/// Bytes of text in one element that is read.
const MAX_TEXT: usize = 4096;

/// The processing level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Top-of-atmosphere reflectance, each band in its own resolution.
    L1C,
    /// Bottom-of-atmosphere reflectance, bands in up to three resolutions.
    L2A,
}

/// What a product's metadata says about its images.
#[derive(Clone, Debug, PartialEq)]
pub struct SafeMetadata {
    /// The processing level.
    pub level: Level,
    /// The product's name, as it was published.
    pub product_uri: Option<String>,
    /// The processing baseline, such as `04.00`.
    pub baseline: Option<String>,
    /// The images, as paths relative to the product and without extension.
    pub images: Vec<String>,
    /// The number that digital numbers are divided by.
    pub quantification: Option<f64>,
    /// What is added before, by `band_id`; present from baseline 04.00.
    pub add_offsets: BTreeMap<u32, f64>,
}

impl SafeMetadata {
    /// Reads a `MTD_MSIL1C.xml` or `MTD_MSIL2A.xml`.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub fn parse(xml: &[u8]) -> Result<SafeMetadata, String> {
        let text = std::str::from_utf8(xml).map_err(|_| "it is not UTF-8 text".to_owned())?;
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
        let mut state = State::default();
        loop {
            let event = reader.read_event().map_err(|error| {
                format!("it is not XML: {error} (byte {})", reader.error_position())
            })?;
            match event {
                Event::Start(start) => state.open(&start)?,
                Event::Empty(start) => {
                    state.open(&start)?;
                    state.close()?;
                }
                Event::Text(text) => state.text(&text.xml_content(XmlVersion::Implicit1_0))?,
                Event::CData(text) => state.text(&text.xml_content(XmlVersion::Implicit1_0))?,
                // Paths and numbers hold none; what it stands for is not looked up.
                Event::GeneralRef(_) => state.text("\u{fffd}")?,
                Event::End(_) => state.close()?,
                Event::Eof => break,
                _ => {}
            }
        }
        state.finish()
    }

    /// From digital numbers to reflectance for a band; `None` for images that are no reflectance.
    pub fn scale(&self, band: &str) -> Option<Scale> {
        let id = sentinel2_band(band)?.band_id?;
        Some(Scale {
            quantification: self.quantification?,
            add_offset: self.add_offsets.get(&id).copied().unwrap_or(0.0),
        })
    }

    /// The band of an image, and its metres per pixel: from the name, or for Level-1C the band's
    /// own. `None` for a name that shows no band of Sentinel-2.
    pub fn band_of<'a>(&self, image: &'a str) -> Option<(&'a str, f64)> {
        let stem = image.rsplit('/').next()?;
        let (head, last) = stem.rsplit_once('_')?;
        if let Some(known) = sentinel2_band(last) {
            return Some((last, known.resolution));
        }
        let metres: u32 = last.strip_suffix('m')?.parse().ok()?;
        let band = head.rsplit('_').next()?;
        sentinel2_band(band)?;
        (metres > 0).then_some((band, f64::from(metres)))
    }
}

#[derive(Default)]
struct State {
    root: Option<Level>,
    depth: usize,
    /// What the text that comes now is for.
    wanted: Option<Wanted>,
    text: String,
    uri: Option<String>,
    baseline: Option<String>,
    images: Vec<String>,
    quantification: Option<f64>,
    add_offsets: BTreeMap<u32, f64>,
}

#[derive(Clone, Copy)]
enum Wanted {
    Uri,
    Baseline,
    Image,
    Quantification,
    Offset(u32),
}

impl State {
    fn open(&mut self, start: &BytesStart<'_>) -> Result<(), String> {
        let name = start.local_name();
        let name: &str = name.as_ref();
        if self.depth == 0 && self.root.is_none() {
            self.root = match name {
                "Level-1C_User_Product" => Some(Level::L1C),
                "Level-2A_User_Product" => Some(Level::L2A),
                _ => {
                    let name: String = name.chars().take(80).collect();
                    return Err(format!(
                        "its root is {name:?}, not a Sentinel-2 user product"
                    ));
                }
            };
        }
        self.depth += 1;
        self.text.clear();
        self.wanted = match name {
            "PRODUCT_URI" | "PRODUCT_URI_1C" | "PRODUCT_URI_2A" => Some(Wanted::Uri),
            "PROCESSING_BASELINE" => Some(Wanted::Baseline),
            "IMAGE_FILE" | "IMAGE_FILE_2A" => Some(Wanted::Image),
            "QUANTIFICATION_VALUE"
            | "BOA_QUANTIFICATION_VALUE"
            | "L2A_BOA_QUANTIFICATION_VALUE" => Some(Wanted::Quantification),
            "BOA_ADD_OFFSET" | "RADIO_ADD_OFFSET" => Some(Wanted::Offset(band_id(start)?)),
            _ => None,
        };
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), String> {
        if self.wanted.is_some() {
            if self.text.len() + text.len() > MAX_TEXT {
                return Err("an element holds more text than any real one".to_owned());
            }
            self.text.push_str(text);
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        self.depth = self.depth.saturating_sub(1);
        let text = std::mem::take(&mut self.text);
        let text = text.trim();
        match self.wanted.take() {
            None => {}
            Some(Wanted::Uri) => self.uri = Some(text.to_owned()),
            Some(Wanted::Baseline) => self.baseline = Some(text.to_owned()),
            Some(Wanted::Image) => {
                if self.images.len() >= MAX_IMAGES {
                    return Err(format!("it lists more than {MAX_IMAGES} images"));
                }
                self.images.push(text.to_owned());
            }
            Some(Wanted::Quantification) => {
                let value = number(text, "the quantification value")?;
                if value == 0.0 {
                    return Err("the quantification value is 0".to_owned());
                }
                self.quantification = Some(value);
            }
            Some(Wanted::Offset(id)) => {
                let value = number(text, "an offset")?;
                self.add_offsets.insert(id, value);
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<SafeMetadata, String> {
        let level = self.root.ok_or("it is empty")?;
        if self.depth != 0 {
            return Err("it ends in the middle".to_owned());
        }
        if self.images.is_empty() {
            return Err("it lists no image".to_owned());
        }
        Ok(SafeMetadata {
            level,
            product_uri: self.uri,
            baseline: self.baseline,
            images: self.images,
            quantification: self.quantification,
            add_offsets: self.add_offsets,
        })
    }
}

fn number(text: &str, what: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => {
            let shown: String = text.chars().take(40).collect();
            Err(format!("{what} is no number: {shown:?}"))
        }
    }
}

fn band_id(start: &BytesStart<'_>) -> Result<u32, String> {
    let attribute = start
        .try_get_attribute("band_id")
        .map_err(|error| format!("it is not XML: {error}"))?
        .ok_or("an offset has no band_id")?;
    let value = attribute
        .normalized_value(XmlVersion::Implicit1_0)
        .map_err(|error| format!("it is not XML: {error}"))?;
    value
        .trim()
        .parse()
        .map_err(|_| "an offset's band_id is no number".to_owned())
}
