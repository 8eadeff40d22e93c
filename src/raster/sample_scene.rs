//! The landscape of the sample: relief, a river and lakes, fields that grow, woods, a town,
//! clouds with shadows, and the edge of the swath.
//!
//! Only additions, multiplications, divisions and roundings of 64-bit floats are used, which
//! give the same result on every machine.

use rayon::prelude::*;

/// The upper-left corner of the scene, UTM zone 31 north, in metres.
pub(crate) const CORNER: (f64, f64) = (399_960.0, 4_900_020.0);
/// The EPSG code of UTM zone 31 north.
pub(crate) const EPSG: u16 = 32631;

/// The 10 m bands, in the order of [`Pixel::fine`].
pub(crate) const BANDS_10M: [&str; 4] = ["B02", "B03", "B04", "B08"];
/// The 20 m bands besides SCL, in the order of [`Pixel::coarse`].
pub(crate) const BANDS_20M: [&str; 3] = ["B05", "B8A", "B11"];

/// Reflectance in B02, B03, B04, B08, B05, B8A, B11.
type Spectrum = [f64; 7];

const SOIL: Spectrum = [0.085, 0.115, 0.155, 0.245, 0.185, 0.265, 0.34];
const CROP: Spectrum = [0.028, 0.064, 0.032, 0.470, 0.098, 0.485, 0.19];
const WOOD: Spectrum = [0.022, 0.042, 0.026, 0.330, 0.075, 0.350, 0.14];
const WATER: Spectrum = [0.058, 0.056, 0.034, 0.018, 0.028, 0.016, 0.009];
const TOWN: Spectrum = [0.135, 0.155, 0.175, 0.240, 0.195, 0.250, 0.25];
const CLOUD: Spectrum = [0.720, 0.700, 0.690, 0.720, 0.700, 0.725, 0.45];

/// How much of the ground plants cover, by crop, at the days of [`GROWTH_DAYS`].
const GROWTH: [[f64; 7]; 5] = [
    // Winter cereal, maize, rapeseed, meadow, fallow.
    [0.35, 0.70, 0.95, 0.80, 0.25, 0.12, 0.30],
    [0.05, 0.08, 0.20, 0.75, 0.98, 0.80, 0.10],
    [0.45, 0.85, 0.90, 0.60, 0.15, 0.10, 0.40],
    [0.55, 0.75, 0.85, 0.75, 0.65, 0.70, 0.60],
    [0.08, 0.15, 0.25, 0.22, 0.15, 0.12, 0.10],
];
const GROWTH_DAYS: [f64; 7] = [1.0, 95.0, 135.0, 175.0, 215.0, 255.0, 366.0];

/// The date of a product.
pub(crate) struct Date {
    year: u32,
    month: u32,
    day: u32,
    day_of_year: u32,
    /// A made-up orbit number, which also seeds the clouds.
    pub orbit: u32,
}

impl Date {
    /// The date of the product of that number: 5 April 2024 and every 20 days from there.
    pub fn of_product(number: u32) -> Self {
        let mut date = Self {
            year: 2024,
            month: 4,
            day: 5 + 20 * number,
            day_of_year: 96 + 20 * number,
            orbit: 46_000 + 286 * number,
        };
        loop {
            let leap = u32::from(date.year.is_multiple_of(4));
            let days = match date.month {
                2 => 28 + leap,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            if date.day <= days {
                return date;
            }
            date.day -= days;
            date.month += 1;
            if date.month > 12 {
                date.month = 1;
                date.year += 1;
                date.day_of_year -= 365 + leap;
            }
        }
    }

    /// As in `20240405`.
    pub fn compact(&self) -> String {
        format!("{:04}{:02}{:02}", self.year, self.month, self.day)
    }

    /// As in `2024-04-05`.
    pub fn dashed(&self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// What one 10 m pixel holds on one date: digital numbers, 0 outside the swath.
#[derive(Clone, Copy)]
pub(crate) struct Pixel {
    /// [`BANDS_10M`].
    pub fine: [u16; 4],
    /// [`BANDS_20M`], before two by two pixels are averaged.
    pub coarse: [u16; 3],
    /// The class of the scene classification (SCL).
    pub class: u8,
}

#[derive(Clone, Copy)]
enum Cover {
    Water,
    Wood,
    Town,
    /// A crop, and how far ahead of the others this field is, in days.
    Field(usize, f64),
}

#[derive(Clone, Copy)]
struct Ground {
    cover: Cover,
    /// Brightness by relief and texture, around 1.
    light: f64,
}

/// The place, whatever the date.
pub(crate) struct Scene {
    /// Columns and rows.
    pub size: usize,
    ground: Vec<Ground>,
}

impl Scene {
    /// The scene of `size` by `size` pixels; a larger one shows more of the same country.
    pub fn new(size: usize) -> Self {
        let side = size + 1;
        let heights: Vec<f64> = (0..side * side)
            .into_par_iter()
            .map(|i| fractal((i % side) as f64, (i / side) as f64, 320.0, 5, 1))
            .collect();
        let ground = (0..size * size)
            .into_par_iter()
            .map(|i| {
                let (x, y) = (i % size, i / size);
                let at = y * side + x;
                let slope = 2.0 * heights[at] - heights[at + 1] - heights[at + side];
                ground(x as f64, y as f64, heights[at], slope)
            })
            .collect();
        Self { size, ground }
    }

    /// What the satellite sees on a date.
    pub fn on(&self, date: &Date) -> Vec<Pixel> {
        let seed = u64::from(date.orbit);
        // Every date has its share of clouds and its edge of the swath.
        let threshold = 0.56 + 0.12 * unit(hash(1, 2, seed));
        let edge = self.size as f64 * (0.90 + 0.14 * unit(hash(3, 4, seed)));
        let cloud =
            |x: f64, y: f64| ((fractal(x, y, 240.0, 5, seed) - threshold) * 12.0).clamp(0.0, 1.0);
        (0..self.ground.len())
            .into_par_iter()
            .map(|i| {
                let (x, y) = ((i % self.size) as f64, (i / self.size) as f64);
                if x + 0.21 * y > edge + 0.105 * self.size as f64 {
                    return Pixel {
                        fine: [0; 4],
                        coarse: [0; 3],
                        class: 0,
                    };
                }
                let above = cloud(x, y);
                // The sun stands in the south-east: shadows fall to the north-west.
                let shadow = if above < 0.5 {
                    cloud(x + 34.0, y + 46.0)
                } else {
                    0.0
                };
                self.ground[i].seen(x, y, date, above, shadow, seed)
            })
            .collect()
    }
}

fn ground(x: f64, y: f64, height: f64, slope: f64) -> Ground {
    let river = fractal(x, y, 420.0, 3, 2) - 0.5;
    let wood = fractal(x, y, 150.0, 4, 3) + 0.35 * (height - 0.5);
    let town = fractal(x, y, 260.0, 3, 4);
    let cover = if river * river < 0.000_08 || height < 0.30 {
        Cover::Water
    } else if wood > 0.59 {
        Cover::Wood
    } else if town > 0.70 {
        Cover::Town
    } else {
        field(x, y)
    };
    let texture = fractal(x, y, 9.0, 2, 5) - 0.5;
    Ground {
        cover,
        light: 1.0 + 9.0 * slope.clamp(-0.03, 0.03) + 0.10 * texture,
    }
}

/// Fields: a slanted, slightly bent grid of parcels with tracks between them.
fn field(x: f64, y: f64) -> Cover {
    let bend = 60.0 * (fractal(x, y, 300.0, 2, 6) - 0.5);
    let u = (0.94 * x + 0.33 * y + bend) / 46.0;
    let v = (0.94 * y - 0.33 * x + bend) / 31.0;
    let (column, row) = (u.floor(), v.floor());
    if u - column < 0.035 || v - row < 0.05 {
        return Cover::Field(4, 0.0);
    }
    let parcel = hash(column as i64, row as i64, 7);
    let crop = match parcel % 16 {
        0..=5 => 0,
        6..=9 => 1,
        10..=11 => 2,
        12..=14 => 3,
        _ => 4,
    };
    Cover::Field(crop, 24.0 * (unit(parcel.rotate_left(20)) - 0.5))
}

impl Ground {
    fn seen(self, x: f64, y: f64, date: &Date, cloud: f64, shadow: f64, seed: u64) -> Pixel {
        let plants = match self.cover {
            Cover::Field(crop, ahead) => growth(crop, f64::from(date.day_of_year) + ahead),
            _ => 0.0,
        };
        let spectrum = |band: usize| match self.cover {
            Cover::Water => WATER[band],
            Cover::Wood => WOOD[band],
            Cover::Town => TOWN[band],
            Cover::Field(..) => SOIL[band] + plants * (CROP[band] - SOIL[band]),
        };
        let light = match self.cover {
            Cover::Water => 1.0,
            _ => self.light,
        } * (1.0 - 0.55 * shadow);
        let number = |band: usize| {
            // The sensor's noise, another for each band.
            let noise = unit(hash(
                x as i64,
                y as i64,
                seed.wrapping_mul(31) + band as u64,
            )) - 0.5;
            let lit = spectrum(band) * light * (1.0 + 0.03 * noise) + 0.0016 * noise;
            let seen = lit + cloud * (CLOUD[band] * (1.0 + 0.02 * noise) - lit);
            // Offset 1000 and quantification 10000, as from processing baseline 04.00.
            (seen * 10_000.0 + 1000.0).round().clamp(1.0, 32_767.0) as u16
        };
        let class = if cloud > 0.7 {
            9
        } else if cloud > 0.25 {
            8
        } else if shadow > 0.4 {
            3
        } else {
            match self.cover {
                Cover::Water => 6,
                Cover::Wood => 4,
                Cover::Field(..) if plants > 0.35 => 4,
                _ => 5,
            }
        };
        Pixel {
            fine: std::array::from_fn(number),
            coarse: std::array::from_fn(|i| number(i + BANDS_10M.len())),
            class,
        }
    }
}

/// The share of the ground that a crop covers on a day of the year.
fn growth(crop: usize, day: f64) -> f64 {
    let day = day.clamp(1.0, 366.0);
    for i in 1..GROWTH_DAYS.len() {
        let (from, to) = (GROWTH_DAYS[i - 1], GROWTH_DAYS[i]);
        if day <= to {
            let share = (day - from) / (to - from);
            return GROWTH[crop][i - 1] + share * (GROWTH[crop][i] - GROWTH[crop][i - 1]);
        }
    }
    0.0
}

/// Sums of value noise, each half as coarse and half as strong as the one before: 0 to 1.
fn fractal(x: f64, y: f64, cell: f64, octaves: u32, seed: u64) -> f64 {
    let (mut sum, mut total, mut strength, mut cell) = (0.0, 0.0, 1.0, cell);
    for octave in 0..octaves {
        let seed = seed.wrapping_mul(1_000_003) + u64::from(octave);
        sum += strength * noise(x / cell, y / cell, seed);
        total += strength;
        strength *= 0.5;
        cell *= 0.5;
    }
    sum / total
}

/// Smooth noise between 0 and 1 with one free value at each integer point.
fn noise(x: f64, y: f64, seed: u64) -> f64 {
    let (left, top) = (x.floor(), y.floor());
    let smooth = |t: f64| t * t * (3.0 - 2.0 * t);
    let (u, v) = (smooth(x - left), smooth(y - top));
    let at = |dx: i64, dy: i64| unit(hash(left as i64 + dx, top as i64 + dy, seed));
    let upper = at(0, 0) + u * (at(1, 0) - at(0, 0));
    let lower = at(0, 1) + u * (at(1, 1) - at(0, 1));
    upper + v * (lower - upper)
}

/// A number from 0 up to 1, exact in 24 bits.
fn unit(hash: u64) -> f64 {
    (hash >> 40) as f64 / 16_777_216.0
}

/// Well-mixed bits for a point (the finaliser of splitmix64).
fn hash(x: i64, y: i64, seed: u64) -> u64 {
    let mut z = (x as u64)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add((y as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f))
        .wrapping_add(seed.wrapping_mul(0x1656_67b1_9e37_79f9));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_run_on_through_months_and_years() {
        let dates: Vec<String> = [0, 1, 2, 14, 99]
            .map(|i| Date::of_product(i).dashed())
            .into();
        assert_eq!(
            dates,
            [
                "2024-04-05",
                "2024-04-25",
                "2024-05-15",
                "2025-01-10",
                "2029-09-06"
            ]
        );
        let days = [0, 13, 14].map(|i| Date::of_product(i).day_of_year);
        assert_eq!(days, [96, 356, 10]);
        assert_eq!(Date::of_product(3).compact(), "20240604");
    }

    #[test]
    fn crops_grow_and_are_harvested() {
        assert_eq!(growth(0, 135.0), 0.95);
        assert!(growth(0, 255.0) < 0.2 && growth(1, 215.0) > 0.9);
        assert_eq!(growth(3, 900.0), 0.60);
    }

    #[test]
    fn noise_stays_between_0_and_1_and_is_smooth() {
        for i in 0..2000 {
            let x = f64::from(i) * 0.37 - 300.0;
            let here = fractal(x, 5.0, 40.0, 4, 9);
            assert!((0.0..1.0).contains(&here));
            assert!((fractal(x + 0.01, 5.0, 40.0, 4, 9) - here).abs() < 0.01);
        }
    }
}
