//! The checksums in a SAFE product's `manifest.safe`.

use std::collections::HashMap;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::store::{Algorithm, Sum};

/// Files that a manifest may list; real ones list some hundreds.
const MAX_FILES: usize = 20_000;
/// Bytes of a checksum's text, with blanks.
const MAX_TEXT: usize = 1024;

/// What a product says of its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    sums: HashMap<String, Sum>,
}

impl Manifest {
    /// Reads a manifest. Files without a checksum, or with one of an unknown kind, are passed
    /// over.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub fn parse(xml: &[u8]) -> Result<Manifest, String> {
        let text = std::str::from_utf8(xml).map_err(|_| "it is not UTF-8 text".to_owned())?;
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
        let mut state = State::default();
        loop {
            let event = reader.read_event().map_err(|error| {
                format!("it is not XML: {error} (byte {})", reader.error_position())
            })?;
            match event {
                Event::Start(start) => {
                    state.open(&start)?;
                    state.depth += 1;
                }
                Event::Empty(start) => {
                    state.open(&start)?;
                    state.close(start.local_name().as_ref())?;
                }
                Event::Text(text) => state.text(&text.xml_content(XmlVersion::Implicit1_0)),
                Event::CData(text) => state.text(&text.xml_content(XmlVersion::Implicit1_0)),
                Event::GeneralRef(_) => state.text("?"),
                Event::End(end) => {
                    state.depth = state.depth.saturating_sub(1);
                    state.close(end.local_name().as_ref())?;
                }
                Event::Eof => break,
                _ => {}
            }
        }
        match state.root {
            true if state.depth == 0 => Ok(state.manifest),
            true => Err("it ends in the middle".to_owned()),
            false => Err("it is no XFDU".to_owned()),
        }
    }

    /// The sum of the file of that path below the product.
    pub fn sum(&self, path: &str) -> Option<Sum> {
        self.sums.get(path).copied()
    }

    /// How many files have a sum.
    pub fn len(&self) -> usize {
        self.sums.len()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }
}

#[derive(Default)]
struct State {
    root: bool,
    depth: usize,
    /// The path of the present byte stream.
    path: Option<String>,
    sum: Option<Sum>,
    /// The algorithm of the checksum whose text comes now.
    algorithm: Option<Algorithm>,
    text: String,
    manifest: Manifest,
}

impl State {
    fn open(&mut self, start: &BytesStart<'_>) -> Result<(), String> {
        match start.local_name().as_ref() {
            "XFDU" => self.root = true,
            "byteStream" => (self.path, self.sum) = (None, None),
            "fileLocation" => self.path = attribute(start, "href")?.as_deref().and_then(path_of),
            "checksum" => {
                let name = attribute(start, "checksumName")?.unwrap_or_default();
                self.algorithm = algorithm_of(&name);
                self.text.clear();
            }
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        if self.algorithm.is_some() && self.text.len() + text.len() <= MAX_TEXT {
            self.text.push_str(text);
        }
    }

    fn close(&mut self, name: &str) -> Result<(), String> {
        match name {
            "checksum" => {
                if let Some(algorithm) = self.algorithm.take() {
                    self.sum = Sum::from_hex(algorithm, self.text.trim());
                }
            }
            "byteStream" => {
                if let (Some(path), Some(sum)) = (self.path.take(), self.sum.take()) {
                    if self.manifest.sums.len() >= MAX_FILES {
                        return Err(format!("it lists more than {MAX_FILES} files"));
                    }
                    self.manifest.sums.insert(path, sum);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Result<Option<String>, String> {
    let fail = |error: &dyn std::fmt::Display| format!("it is not XML: {error}");
    let Some(attribute) = start.try_get_attribute(name).map_err(|e| fail(&e))? else {
        return Ok(None);
    };
    let value = attribute.normalized_value(XmlVersion::Implicit1_0);
    Ok(Some(value.map_err(|e| fail(&e))?.trim().to_owned()))
}

/// A path below the product; `None` for one that leads out of it or to another host.
fn path_of(href: &str) -> Option<String> {
    let path = href.strip_prefix("./").unwrap_or(href);
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    (path.split('/').all(plain) && !path.contains("://")).then(|| path.to_owned())
}

fn algorithm_of(name: &str) -> Option<Algorithm> {
    let name = name.trim().to_ascii_uppercase();
    [
        Algorithm::Md5,
        Algorithm::Sha3,
        Algorithm::Sha256,
        Algorithm::Sha1,
    ]
    .into_iter()
    .find(|algorithm| algorithm.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Summer;
    use std::path::Path;

    const ONE: &str = r#"<?xml version="1.0"?><x:XFDU xmlns:x="u"><dataObject><byteStream size="3">
        <fileLocation href="HREF"/><checksum checksumName="NAME">SUM</checksum>
        </byteStream></dataObject></x:XFDU>"#;

    fn one(href: &str, name: &str, sum: &str) -> Manifest {
        let xml = ONE
            .replace("HREF", href)
            .replace("NAME", name)
            .replace("SUM", sum);
        Manifest::parse(xml.as_bytes()).unwrap()
    }

    #[test]
    fn paths_lead_nowhere_else_and_sums_are_whole() {
        let md5 = "25F9E794323B453885F5181F1B624D0B";
        assert!(one("./a/b&amp;c", "MD5", md5).sum("a/b&c").is_some());
        assert!(one("a", "md5", &format!("\n {md5}\n")).sum("a").is_some());
        for href in ["../a", "/a", "./a/../b", "http://host/a", ""] {
            assert!(one(href, "MD5", md5).is_empty(), "{href}");
        }
        assert!(one("a", "MD4", md5).is_empty());
        assert!(one("a", "MD5", &md5[1..]).is_empty());
        assert!(one("a", "SHA3-256", md5).is_empty());
    }

    #[test]
    fn what_is_no_manifest_is_an_error() {
        for text in ["", "<html/>", "<XFDU>", "<XFDU></y>", "\u{0}"] {
            assert!(Manifest::parse(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(Manifest::parse(b"<XFDU>\xff</XFDU>").is_err());
        assert!(Manifest::parse(b"<XFDU/>").unwrap().is_empty());
    }

    /// ESA's own manifests, with either algorithm, and the files of a product that has one.
    #[test]
    fn real_manifests_agree_with_real_files() {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
        if !data.exists() {
            println!("skipped: {} is not there", data.display());
            return;
        }
        let parse = |path: &Path| Manifest::parse(&std::fs::read(path).unwrap()).unwrap();
        for (name, files) in [
            ("manifest.safe.S2_MSI_L1C", 97),
            ("manifest.safe.S2_MSI_L2A", 123),
            ("cdsetool_S2_manifest.safe", 59),
        ] {
            assert_eq!(
                parse(&data.join("feeds/safe-metadata").join(name)).len(),
                files
            );
        }
        let product =
            data.join("products/S2A_MSIL2A_20221005T115411_N0400_R023_T29UNU_20221005T164454.SAFE");
        let manifest = parse(&product.join("manifest.safe"));
        let mut compared = 0;
        for (path, sum) in &manifest.sums {
            if let Ok(bytes) = std::fs::read(product.join(path)) {
                assert_eq!(Summer::of(sum.algorithm(), &bytes), *sum, "{path}");
                compared += 1;
            }
        }
        assert!(compared > 20, "{compared}");
    }
}
