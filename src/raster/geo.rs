//! Where the pixels of a raster lie: north-up transform, coordinate reference system, windows.

use std::fmt;

/// A north-up transform: the outer corner of the upper-left pixel and the size of a pixel.
///
/// Units are those of the coordinate reference system (metres for UTM, degrees for EPSG:4326).
/// Rotated, mirrored and south-up rasters are refused when read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeoTransform {
    /// x of the left edge of column 0.
    pub origin_x: f64,
    /// y of the upper edge of row 0.
    pub origin_y: f64,
    /// Width of a pixel, greater than 0.
    pub pixel_width: f64,
    /// Height of a pixel, greater than 0: y falls by this much with each row.
    pub pixel_height: f64,
}

impl GeoTransform {
    /// A transform from GDAL's six coefficients `[x0, dx, rot, y0, rot, -dy]`.
    ///
    /// # Errors
    /// A sentence for the user where the raster is rotated, mirrored, south-up or degenerate.
    pub fn from_gdal(c: [f64; 6]) -> Result<Self, String> {
        if c.iter().any(|v| !v.is_finite()) {
            return Err("the georeference holds a number that is not finite".to_owned());
        }
        if c[2] != 0.0 || c[4] != 0.0 {
            return Err(format!(
                "the raster is rotated or sheared (coefficients {} and {}); only north-up rasters \
                 are supported: warp it first, for example with gdalwarp",
                c[2], c[4]
            ));
        }
        if c[1] <= 0.0 || c[5] >= 0.0 {
            return Err(format!(
                "the raster is not north-up (pixel steps {} and {}); warp it first, for example \
                 with gdalwarp",
                c[1], c[5]
            ));
        }
        Ok(Self {
            origin_x: c[0],
            origin_y: c[3],
            pixel_width: c[1],
            pixel_height: -c[5],
        })
    }

    /// GDAL's six coefficients `[x0, dx, 0, y0, 0, -dy]`.
    pub fn to_gdal(&self) -> [f64; 6] {
        [
            self.origin_x,
            self.pixel_width,
            0.0,
            self.origin_y,
            0.0,
            -self.pixel_height,
        ]
    }

    /// The transform of the part of the raster that begins at `col`, `row`.
    pub fn shifted(&self, col: u32, row: u32) -> Self {
        Self {
            origin_x: self.origin_x + f64::from(col) * self.pixel_width,
            origin_y: self.origin_y - f64::from(row) * self.pixel_height,
            ..*self
        }
    }
}

/// The GeoTIFF keys of a file, passed through where no EPSG code says it all.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GeoKeys {
    /// GeoKeyDirectoryTag, four numbers a key.
    pub directory: Vec<u16>,
    /// GeoDoubleParamsTag.
    pub doubles: Vec<f64>,
    /// GeoAsciiParamsTag.
    pub ascii: String,
}

/// A coordinate reference system.
#[derive(Debug, Clone, PartialEq)]
pub enum Crs {
    /// A projected system of the EPSG registry, such as 32629.
    Projected(u16),
    /// A geographic system of the EPSG registry, such as 4326.
    Geographic(u16),
    /// Anything else: the GeoTIFF keys as they stood in the input.
    Keys(GeoKeys),
}

impl Crs {
    /// The system of an EPSG code, where the source does not say of which kind it is.
    pub fn from_epsg(code: u16) -> Self {
        if (4000..5000).contains(&code) {
            Self::Geographic(code)
        } else {
            Self::Projected(code)
        }
    }

    /// The EPSG code, if there is one.
    pub fn epsg(&self) -> Option<u16> {
        match self {
            Self::Projected(code) | Self::Geographic(code) => Some(*code),
            Self::Keys(_) => None,
        }
    }

    /// True where both are the same, as far as the files tell.
    pub fn agrees_with(&self, other: &Self) -> bool {
        match (self.epsg(), other.epsg()) {
            (Some(a), Some(b)) => a == b,
            (None, None) => self == other,
            _ => false,
        }
    }
}

impl fmt::Display for Crs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Projected(code) | Self::Geographic(code) => write!(f, "EPSG:{code}"),
            Self::Keys(keys) if !keys.ascii.is_empty() => {
                write!(f, "{}", keys.ascii.trim_end_matches(['|', '\0']))
            }
            Self::Keys(_) => write!(f, "user-defined"),
        }
    }
}

/// The georeference of a raster.
#[derive(Debug, Clone, PartialEq)]
pub struct Geo {
    /// Where the pixels lie.
    pub transform: GeoTransform,
    /// The system the coordinates are in, if the file says so.
    pub crs: Option<Crs>,
}

/// A part of the task's grid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Window {
    /// Pixels of the task's grid, counted from the upper-left one.
    Pixels {
        /// First column.
        col: u32,
        /// First row.
        row: u32,
        /// Number of columns.
        width: u32,
        /// Number of rows.
        height: u32,
    },
    /// A box in units of the coordinate reference system, widened to whole pixels.
    Bbox {
        /// Left edge.
        min_x: f64,
        /// Lower edge.
        min_y: f64,
        /// Right edge.
        max_x: f64,
        /// Upper edge.
        max_y: f64,
    },
}

/// The pixels a result is computed on.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// The georeference, if the bands have one.
    pub geo: Option<Geo>,
}

/// A window in pixels: column, row, width, height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelWindow {
    /// First column.
    pub col: u32,
    /// First row.
    pub row: u32,
    /// Columns, at least 1.
    pub width: u32,
    /// Rows, at least 1.
    pub height: u32,
}

impl Grid {
    /// The pixels that `window` covers, cut to the grid; all of them for `None`.
    ///
    /// # Errors
    /// A sentence for the user where nothing of the window lies on the grid, or where it is a
    /// box and the grid has no georeference.
    pub fn pixels(&self, window: Option<&Window>) -> Result<PixelWindow, String> {
        let (left, top, right, bottom) = match window {
            None => (0.0, 0.0, f64::from(self.width), f64::from(self.height)),
            Some(&Window::Pixels {
                col,
                row,
                width,
                height,
            }) => (
                f64::from(col),
                f64::from(row),
                f64::from(col) + f64::from(width),
                f64::from(row) + f64::from(height),
            ),
            Some(&Window::Bbox {
                min_x,
                min_y,
                max_x,
                max_y,
            }) => {
                let Some(geo) = &self.geo else {
                    return Err(
                        "the window is a box in map units and the bands have no georeference; \
                         give it as col, row, width, height"
                            .to_owned(),
                    );
                };
                let t = &geo.transform;
                (
                    snap((min_x - t.origin_x) / t.pixel_width).floor(),
                    snap((t.origin_y - max_y) / t.pixel_height).floor(),
                    snap((max_x - t.origin_x) / t.pixel_width).ceil(),
                    snap((t.origin_y - min_y) / t.pixel_height).ceil(),
                )
            }
        };
        let (col, right) = (left.max(0.0), right.min(f64::from(self.width)));
        let (row, bottom) = (top.max(0.0), bottom.min(f64::from(self.height)));
        // NaN fails this comparison as well.
        if !(right > col && bottom > row) {
            return Err(format!(
                "no pixel of the window lies on the grid of {} x {} pixels{}",
                self.width,
                self.height,
                self.extent()
            ));
        }
        Ok(PixelWindow {
            col: col as u32,
            row: row as u32,
            width: (right - col) as u32,
            height: (bottom - row) as u32,
        })
    }

    /// The grid of a window of this grid.
    pub fn cut(&self, window: PixelWindow) -> Self {
        Self {
            width: window.width,
            height: window.height,
            geo: self.geo.as_ref().map(|g| Geo {
                transform: g.transform.shifted(window.col, window.row),
                crs: g.crs.clone(),
            }),
        }
    }

    fn extent(&self) -> String {
        let Some(Geo { transform: t, .. }) = &self.geo else {
            return String::new();
        };
        format!(
            ", which covers x {} to {} and y {} to {}",
            t.origin_x,
            t.origin_x + f64::from(self.width) * t.pixel_width,
            t.origin_y - f64::from(self.height) * t.pixel_height,
            t.origin_y
        )
    }
}

/// Rounds a pixel coordinate that is an integer but for rounding noise to that integer.
pub(crate) fn snap(v: f64) -> f64 {
    let r = v.round();
    if (v - r).abs() < 1e-6 { r } else { v }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        Grid {
            width: 218,
            height: 216,
            geo: Some(Geo {
                transform: GeoTransform::from_gdal([315040.0, 10.0, 0.0, 6961360.0, 0.0, -10.0])
                    .unwrap(),
                crs: Some(Crs::from_epsg(32721)),
            }),
        }
    }

    #[test]
    fn rotated_mirrored_and_degenerate_transforms_are_refused() {
        assert!(
            GeoTransform::from_gdal([0.0, 1.0, 0.1, 0.0, 0.0, -1.0])
                .unwrap_err()
                .contains("rotated")
        );
        for bad in [
            [0.0, -1.0, 0.0, 0.0, 0.0, -1.0],
            [0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            [0.0, 0.0, 0.0, 0.0, 0.0, -1.0],
            [f64::NAN, 1.0, 0.0, 0.0, 0.0, -1.0],
        ] {
            assert!(GeoTransform::from_gdal(bad).is_err(), "{bad:?}");
        }
        let c = [315040.0, 10.0, 0.0, 6961360.0, 0.0, -10.0];
        assert_eq!(GeoTransform::from_gdal(c).unwrap().to_gdal(), c);
    }

    #[test]
    fn a_box_is_widened_to_whole_pixels_and_cut_to_the_grid() {
        let window = Window::Bbox {
            min_x: 315055.0,
            min_y: 6961330.0,
            max_x: 315071.0,
            max_y: 6961350.0,
        };
        let got = grid().pixels(Some(&window)).unwrap();
        assert_eq!(
            got,
            PixelWindow {
                col: 1,
                row: 1,
                width: 3,
                height: 2
            }
        );
        let cut = grid().cut(got);
        assert_eq!(
            cut.geo.unwrap().transform.to_gdal(),
            [315050.0, 10.0, 0.0, 6961350.0, 0.0, -10.0]
        );
        let pixels = Window::Pixels {
            col: 217,
            row: 0,
            width: u32::MAX,
            height: 1,
        };
        assert_eq!(grid().pixels(Some(&pixels)).unwrap().width, 1);
    }

    #[test]
    fn a_window_beside_the_grid_says_where_the_grid_is() {
        let window = Window::Bbox {
            min_x: 0.0,
            min_y: 0.0,
            max_x: 1.0,
            max_y: 1.0,
        };
        let message = grid().pixels(Some(&window)).unwrap_err();
        assert!(
            message.contains("x 315040 to 317220 and y 6959200 to 6961360"),
            "{message}"
        );
        let nan = Window::Bbox {
            min_x: f64::NAN,
            min_y: 0.0,
            max_x: 1.0,
            max_y: 1.0,
        };
        assert!(grid().pixels(Some(&nan)).is_err());
        let bare = Grid {
            geo: None,
            ..grid()
        };
        assert!(bare.pixels(Some(&window)).unwrap_err().contains("col, row"));
    }

    #[test]
    fn systems_agree_by_code() {
        assert!(Crs::from_epsg(32629).agrees_with(&Crs::Geographic(32629)));
        assert!(!Crs::from_epsg(32629).agrees_with(&Crs::from_epsg(32630)));
        assert_eq!(Crs::from_epsg(4326), Crs::Geographic(4326));
        assert_eq!(Crs::from_epsg(32629).to_string(), "EPSG:32629");
    }
}
