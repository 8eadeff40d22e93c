//! Georeference from the GML that a JPEG2000 file carries (GMLJP2), ESA's own dialect included.

use quick_xml::Reader;
use quick_xml::events::Event;

use super::geo::{Crs, Geo, GeoTransform};

/// The numbers of a `RectifiedGrid` element.
#[derive(Debug, Default)]
struct RectifiedGrid {
    srs: Option<String>,
    origin: Vec<f64>,
    offsets: Vec<Vec<f64>>,
}

/// The georeference of the first `RectifiedGrid` of a GML document; `None` where there is none.
///
/// The origin is the centre of the upper-left pixel, whatever `low` says: ESA writes `1 1` there,
/// others `0 0`, and both mean the same pixel.
///
/// # Errors
/// A sentence for the user where the grid is rotated or holds no usable numbers.
pub(crate) fn georeference(xml: &[u8]) -> Result<Option<Geo>, String> {
    let Some(grid) = rectified_grid(xml)? else {
        return Ok(None);
    };
    let ([x, y, ..], [first, second, ..]) = (&grid.origin[..], &grid.offsets[..]) else {
        return Err("the GML box has a RectifiedGrid without origin and two offset vectors".into());
    };
    let ([ax, ay, ..], [bx, by, ..]) = (&first[..], &second[..]) else {
        return Err("an offset vector of the GML box does not have two numbers".into());
    };
    let code = grid.srs.as_deref().and_then(epsg_code);
    // Latitude first, as the registry has it for geographic systems.
    let swapped = *ax == 0.0 && *by == 0.0 && *ay != 0.0 && *bx != 0.0;
    let (x, y, ax, ay, bx, by) = if swapped {
        (y, x, ay, ax, by, bx)
    } else {
        (x, y, ax, ay, bx, by)
    };
    let transform =
        GeoTransform::from_gdal([x - (ax + bx) / 2.0, *ax, *bx, y - (ay + by) / 2.0, *ay, *by])?;
    Ok(Some(Geo {
        transform,
        crs: code.map(|c| {
            if swapped {
                Crs::Geographic(c)
            } else {
                Crs::from_epsg(c)
            }
        }),
    }))
}

fn rectified_grid(xml: &[u8]) -> Result<Option<RectifiedGrid>, String> {
    let bad = |e: &dyn std::fmt::Display| format!("the GML box is not well-formed XML: {e}");
    let xml = std::str::from_utf8(trim(xml)).map_err(|e| bad(&e))?;
    let mut reader = Reader::from_str(xml);
    let mut grid: Option<RectifiedGrid> = None;
    // The element whose text is wanted.
    let mut field: Option<Field> = None;
    loop {
        match reader.read_event().map_err(|e| bad(&e))? {
            Event::Start(start) => {
                let name = start.local_name();
                field = match (name.as_ref(), &mut grid) {
                    ("RectifiedGrid", None) => {
                        grid = Some(RectifiedGrid::default());
                        None
                    }
                    ("pos", Some(_)) => Some(Field::Origin),
                    ("offsetVector", Some(_)) => Some(Field::Offset),
                    _ => None,
                };
                if let Some(grid) = &mut grid
                    && grid.srs.is_none()
                    && let Ok(Some(srs)) = start.try_get_attribute("srsName")
                {
                    grid.srs = Some(srs.value.into_owned());
                }
            }
            Event::Text(text) => match (&field, &mut grid) {
                (Some(Field::Origin), Some(g)) if g.origin.is_empty() => {
                    g.origin = numbers(&text)?;
                }
                (Some(Field::Offset), Some(g)) if g.offsets.len() < 2 => {
                    g.offsets.push(numbers(&text)?);
                }
                _ => {}
            },
            Event::End(end) => {
                field = None;
                if end.local_name().as_ref() == "RectifiedGrid" {
                    return Ok(grid);
                }
            }
            Event::Eof => return Ok(grid),
            _ => {}
        }
    }
}

enum Field {
    Origin,
    Offset,
}

/// XML boxes may end in a NUL.
fn trim(xml: &[u8]) -> &[u8] {
    let end = xml.iter().rposition(|b| *b != 0).map_or(0, |i| i + 1);
    &xml[..end]
}

fn numbers(text: &str) -> Result<Vec<f64>, String> {
    text.split([' ', ',', '\t', '\n', '\r'])
        .filter(|t| !t.is_empty())
        .map(|t| {
            t.parse()
                .map_err(|_| format!("the GML box has `{t}` where a number should be"))
        })
        .collect()
}

/// The code of `urn:ogc:def:crs:EPSG::32629`, `EPSG:32629` or a URL ending in `/32629`.
fn epsg_code(name: &str) -> Option<u16> {
    if !name.to_ascii_uppercase().contains("EPSG") {
        return None;
    }
    name.rsplit([':', '/', '#']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gml(low: &str, srs: &str, pos: &str, a: &str, b: &str) -> Vec<u8> {
        format!(
            r#"<gml:FeatureCollection xmlns:gml="http://www.opengis.net/gml">
            <gml:boundedBy><gml:Envelope srsName="urn:ogc:def:crs:EPSG::9999"><gml:pos>1 1</gml:pos>
            </gml:Envelope></gml:boundedBy>
            <gml:RectifiedGrid dimension="2"><gml:low>{low}</gml:low><gml:origin>
            <gml:Point srsName="{srs}"><gml:pos>{pos}</gml:pos></gml:Point></gml:origin>
            <gml:offsetVector srsName="{srs}">{a}</gml:offsetVector>
            <gml:offsetVector srsName="{srs}">{b}</gml:offsetVector>
            </gml:RectifiedGrid></gml:FeatureCollection>"#
        )
        .into_bytes()
    }

    #[test]
    fn the_origin_is_a_pixel_centre_for_both_dialects() {
        for low in ["1 1", "0 0"] {
            let xml = gml(
                low,
                "urn:ogc:def:crs:EPSG::32629",
                "500010 5900010",
                "60 0",
                "0 -60",
            );
            let geo = georeference(&xml).unwrap().unwrap();
            assert_eq!(
                geo.transform.to_gdal(),
                [499980.0, 60.0, 0.0, 5900040.0, 0.0, -60.0]
            );
            assert_eq!(geo.crs, Some(Crs::Projected(32629)));
        }
    }

    #[test]
    fn latitude_first_is_turned_round() {
        let xml = gml(
            "0 0",
            "urn:ogc:def:crs:EPSG::4326",
            "49.5 10.5",
            "0 1",
            "-1 0",
        );
        let geo = georeference(&xml).unwrap().unwrap();
        assert_eq!(geo.transform.to_gdal(), [10.0, 1.0, 0.0, 50.0, 0.0, -1.0]);
        assert_eq!(geo.crs, Some(Crs::Geographic(4326)));
    }

    #[test]
    fn rotation_damage_and_absence_are_told_apart() {
        let rotated = gml("0 0", "EPSG:32629", "0 0", "10 1", "1 -10");
        assert!(georeference(&rotated).unwrap_err().contains("rotated"));
        let letters = gml("0 0", "EPSG:32629", "zero 0", "10 0", "0 -10");
        assert!(georeference(&letters).unwrap_err().contains("zero"));
        assert_eq!(georeference(b"<a><b/></a>\0").unwrap(), None);
        assert!(georeference(b"<a></b>").is_err());
        assert!(georeference(b"<x><RectifiedGrid></RectifiedGrid></x>").is_err());
    }
}
