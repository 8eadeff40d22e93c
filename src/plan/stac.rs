//! The reflectance scale of bands from a STAC item that lies beside them.

use serde_json::Value;

use crate::task::Scale;

/// What the assets of a STAC item say about their digital numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StacScales {
    assets: Vec<(String, Scale)>,
}

impl StacScales {
    /// Reads a STAC item; `None` where the JSON is none.
    ///
    /// Scale and offset are taken from `raster:bands` (raster extension 1), or from
    /// `raster:scale` and `raster:offset` in `bands` or the asset (STAC 1.1). Where
    /// `earthsearch:boa_offset_applied` is true the pixels have the offset applied already, so
    /// that it counts as 0.
    pub fn parse(json: &[u8]) -> Option<StacScales> {
        let item: Value = serde_json::from_slice(json).ok()?;
        item.get("stac_version")?;
        let assets = item.get("assets")?.as_object()?;
        let applied = item
            .get("properties")
            .and_then(|properties| properties.get("earthsearch:boa_offset_applied"))
            .and_then(Value::as_bool)
            == Some(true);
        let scales = assets.values().filter_map(|asset| {
            let href = asset.get("href")?.as_str()?;
            let path = href.split(['?', '#']).next().unwrap_or(href);
            let (scale, offset) = scale_of(asset)?;
            let offset = if applied { 0.0 } else { offset };
            Some((path.to_owned(), Scale::from_scale_offset(scale, offset)?))
        });
        Some(StacScales {
            assets: scales.collect(),
        })
    }

    /// The scale of the asset whose address ends as the key does; of several, the one with which
    /// the key has most components in common. The file's name must be the same.
    pub fn scale(&self, key: &str) -> Option<Scale> {
        let common = |href: &str| {
            href.rsplit('/')
                .zip(key.rsplit('/'))
                .take_while(|(a, b)| a == b)
                .count()
        };
        self.assets
            .iter()
            .map(|(href, scale)| (common(href), scale))
            .filter(|(common, _)| *common > 0)
            .max_by_key(|(common, _)| *common)
            .map(|(_, scale)| *scale)
    }
}

fn scale_of(asset: &Value) -> Option<(f64, f64)> {
    let first = |list: &str| asset.get(list).and_then(|bands| bands.get(0));
    let named = [
        (first("raster:bands"), "scale", "offset"),
        (first("bands"), "raster:scale", "raster:offset"),
        (Some(asset), "raster:scale", "raster:offset"),
    ];
    named.into_iter().find_map(|(place, scale, offset)| {
        let place = place?;
        let scale = place.get(scale)?.as_f64()?;
        let offset = place.get(offset).and_then(Value::as_f64).unwrap_or(0.0);
        Some((scale, offset))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(applied: &str) -> String {
        format!(
            r#"{{"stac_version":"1.0.0","properties":{{"earthsearch:boa_offset_applied":{applied}}},
            "assets":{{
              "red":{{"href":"https://x/a/P/B04.tif?sig=1","raster:bands":[{{"scale":0.0001,"offset":-0.1}}]}},
              "r20":{{"href":"./R20m/B05.jp2","bands":[{{"raster:scale":0.0002}}]}},
              "r60":{{"href":"./R60m/B05.jp2","raster:scale":0.5,"raster:offset":1}},
              "scl":{{"href":"SCL.tif","raster:bands":[{{}}]}}}}}}"#
        )
    }

    #[test]
    fn scales_are_found_by_the_end_of_the_address() {
        let scales = StacScales::parse(item("false").as_bytes()).unwrap();
        let scale = |quantification, add_offset| {
            Some(Scale {
                quantification,
                add_offset,
            })
        };
        assert_eq!(scales.scale("P/B04.tif"), scale(10000.0, -1000.0));
        assert_eq!(scales.scale("P/R20m/B05.jp2"), scale(5000.0, 0.0));
        assert_eq!(scales.scale("P/R60m/B05.jp2"), scale(2.0, 2.0));
        assert_eq!(scales.scale("P/SCL.tif"), None);
        assert_eq!(scales.scale("P/XB04.tif"), None);
        let applied = StacScales::parse(item("true").as_bytes()).unwrap();
        assert_eq!(applied.scale("P/B04.tif"), scale(10000.0, 0.0));
    }

    #[test]
    fn other_json_is_no_item() {
        for json in [
            "",
            "[]",
            "{}",
            "{\"stac_version\":1}",
            "{\"stac_version\":\"1\",\"assets\":[]}",
        ] {
            assert_eq!(StacScales::parse(json.as_bytes()), None, "{json}");
        }
        let odd = r#"{"stac_version":"1.0.0","assets":{"a":3,"b":{"href":3},"c":{"href":"x","raster:bands":3}}}"#;
        assert_eq!(
            StacScales::parse(odd.as_bytes()),
            Some(StacScales::default())
        );
    }
}
