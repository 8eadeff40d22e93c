//! Georeference and nodata of a TIFF, from the GeoTIFF and GDAL tags.

use std::io::{Read, Seek};
use std::path::Path;

use tiff::decoder::Decoder;
use tiff::tags::Tag;

use super::error::RasterError;
use super::geo::{Crs, Geo, GeoKeys, GeoTransform};

const MODEL_TYPE: u16 = 1024;
const RASTER_TYPE: u16 = 1025;
const GEOGRAPHIC_CRS: u16 = 2048;
const PROJECTED_CRS: u16 = 3072;
const USER_DEFINED: u16 = 32767;

/// The georeference of the image the decoder stands at; `None` where it has none.
pub(crate) fn read<R: Read + Seek>(
    path: &Path,
    decoder: &mut Decoder<R>,
) -> Result<Option<Geo>, RasterError> {
    let doubles = |decoder: &mut Decoder<R>, tag| {
        decoder
            .find_tag(tag)
            .ok()
            .flatten()
            .and_then(|v| v.into_f64_vec().ok())
            .unwrap_or_default()
    };
    let keys = GeoKeys {
        directory: decoder
            .find_tag(Tag::GeoKeyDirectoryTag)
            .ok()
            .flatten()
            .and_then(|v| v.into_u16_vec().ok())
            .unwrap_or_default(),
        doubles: doubles(decoder, Tag::GeoDoubleParamsTag),
        ascii: text(decoder, Tag::GeoAsciiParamsTag).unwrap_or_default(),
    };
    let scale = doubles(decoder, Tag::ModelPixelScaleTag);
    let tie = doubles(decoder, Tag::ModelTiepointTag);
    let matrix = doubles(decoder, Tag::ModelTransformationTag);

    let coefficients = if let [a, b, _, x, c, d, _, y, ..] = matrix[..] {
        [x, a, b, y, c, d]
    } else if let ([sx, sy, ..], [i, j, _, x, y, _]) = (&scale[..], &tie[..]) {
        [x - i * sx, *sx, 0.0, y + j * sy, 0.0, -sy]
    } else if tie.len() > 6 {
        return Err(RasterError::geo(
            path,
            "the raster is placed by ground control points; warp it first, for example with gdalwarp",
        ));
    } else {
        return Ok(None);
    };
    let mut transform =
        GeoTransform::from_gdal(coefficients).map_err(|what| RasterError::geo(path, what))?;
    if short_key(&keys.directory, RASTER_TYPE) == Some(2) {
        // PixelIsPoint: the tie point is the centre of the pixel.
        transform.origin_x -= transform.pixel_width / 2.0;
        transform.origin_y += transform.pixel_height / 2.0;
    }
    Ok(Some(Geo {
        transform,
        crs: crs(keys),
    }))
}

/// The value of GDAL_NODATA, where it is a number.
pub(crate) fn nodata<R: Read + Seek>(decoder: &mut Decoder<R>) -> Option<f64> {
    text(decoder, Tag::GdalNodata)?
        .trim_matches(|c: char| c.is_whitespace() || c == '\0')
        .parse()
        .ok()
}

fn text<R: Read + Seek>(decoder: &mut Decoder<R>, tag: Tag) -> Option<String> {
    decoder.find_tag(tag).ok().flatten()?.into_string().ok()
}

fn crs(keys: GeoKeys) -> Option<Crs> {
    let code = |id| short_key(&keys.directory, id).filter(|c| *c != 0 && *c != USER_DEFINED);
    match short_key(&keys.directory, MODEL_TYPE) {
        Some(1) if code(PROJECTED_CRS).is_some() => code(PROJECTED_CRS).map(Crs::Projected),
        Some(2) if code(GEOGRAPHIC_CRS).is_some() => code(GEOGRAPHIC_CRS).map(Crs::Geographic),
        // The keys of an image without any system (a model type alone) say nothing.
        Some(_) if keys.directory.len() > 12 => Some(Crs::Keys(keys)),
        _ => None,
    }
}

/// The value of a key that is stored in the directory itself.
fn short_key(directory: &[u16], id: u16) -> Option<u16> {
    directory
        .get(4..)?
        .chunks_exact(4)
        .find_map(|k| (k[0] == id && k[1] == 0).then_some(k[3]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_give_the_code_or_are_passed_through() {
        let utm = [1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32629];
        let with = |directory: &[u16]| {
            crs(GeoKeys {
                directory: directory.to_vec(),
                ..GeoKeys::default()
            })
        };
        assert_eq!(with(&utm), Some(Crs::Projected(32629)));
        let wgs84 = [1, 1, 0, 3, 1024, 0, 1, 2, 1025, 0, 1, 1, 2048, 0, 1, 4326];
        assert_eq!(with(&wgs84), Some(Crs::Geographic(4326)));
        let own = [1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32767];
        assert!(matches!(with(&own), Some(Crs::Keys(_))));
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[1, 1, 0, 9, 1024, 0]), None);
    }
}
