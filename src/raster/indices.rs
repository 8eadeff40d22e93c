//! The indices known by name: formula over Sentinel-2 bands, source, and range of values.

use super::expr::{Expr, ExprError};

/// The colours of a quick-look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Palette {
    /// Brown over yellow to dark green: bare to dense vegetation.
    Vegetation,
    /// Brown over white to blue: dry to wet.
    Water,
    /// Dark blue over green to yellow (viridis): any quantity.
    Quantity,
}

/// Which value gets the first and which the last colour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ColorScale {
    /// The colours.
    pub palette: Palette,
    /// Value of the first colour; lower ones get it too.
    pub low: f32,
    /// Value of the last colour; higher ones get it too.
    pub high: f32,
}

/// An index that can be asked for by name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IndexDef {
    /// The name, in capitals.
    pub name: &'static str,
    /// What the name stands for.
    pub title: &'static str,
    /// The formula over reflectances, in the language of [`Expr`]; [`IndexDef::parse`] reads it.
    pub expr: &'static str,
    /// Who published it.
    pub source: &'static str,
    /// Colours of the quick-look.
    pub colors: ColorScale,
}

impl IndexDef {
    /// The formula, parsed.
    ///
    /// # Errors
    /// None for the indices of this table.
    pub fn parse(&self) -> Result<Expr, ExprError> {
        Expr::parse(self.expr)
    }
}

const fn scale(palette: Palette, low: f32, high: f32) -> ColorScale {
    ColorScale { palette, low, high }
}

const INDICES: [IndexDef; 14] = [
    IndexDef {
        name: "NDVI",
        title: "normalised difference vegetation index",
        expr: "(B08 - B04) / (B08 + B04)",
        source: "Rouse et al. 1974",
        colors: scale(Palette::Vegetation, -0.2, 0.9),
    },
    IndexDef {
        name: "NDI45",
        title: "normalised difference index of bands 4 and 5",
        expr: "(B05 - B04) / (B05 + B04)",
        source: "Delegido et al. 2011",
        colors: scale(Palette::Vegetation, -0.1, 0.6),
    },
    IndexDef {
        name: "GNDVI",
        title: "green normalised difference vegetation index",
        expr: "(B08 - B03) / (B08 + B03)",
        source: "Gitelson et al. 1996",
        colors: scale(Palette::Vegetation, -0.2, 0.8),
    },
    IndexDef {
        name: "NDRE",
        title: "normalised difference red edge index",
        expr: "(B8A - B05) / (B8A + B05)",
        source: "Barnes et al. 2000",
        colors: scale(Palette::Vegetation, -0.1, 0.7),
    },
    IndexDef {
        name: "EVI",
        title: "enhanced vegetation index",
        expr: "2.5 * (B08 - B04) / (B08 + 6 * B04 - 7.5 * B02 + 1)",
        source: "Huete et al. 2002",
        colors: scale(Palette::Vegetation, -0.2, 0.9),
    },
    IndexDef {
        name: "EVI2",
        title: "two-band enhanced vegetation index",
        expr: "2.5 * (B08 - B04) / (B08 + 2.4 * B04 + 1)",
        source: "Jiang et al. 2008",
        colors: scale(Palette::Vegetation, -0.2, 0.9),
    },
    IndexDef {
        name: "SAVI",
        title: "soil-adjusted vegetation index, L = 0.5",
        expr: "1.5 * (B08 - B04) / (B08 + B04 + 0.5)",
        source: "Huete 1988",
        colors: scale(Palette::Vegetation, -0.2, 0.8),
    },
    IndexDef {
        name: "MSAVI",
        title: "modified soil-adjusted vegetation index",
        expr: "(2 * B08 + 1 - sqrt((2 * B08 + 1) * (2 * B08 + 1) - 8 * (B08 - B04))) / 2",
        source: "Qi et al. 1994",
        colors: scale(Palette::Vegetation, -0.2, 0.8),
    },
    IndexDef {
        name: "NDWI",
        title: "normalised difference water index",
        expr: "(B03 - B08) / (B03 + B08)",
        source: "McFeeters 1996",
        colors: scale(Palette::Water, -0.8, 0.8),
    },
    IndexDef {
        name: "MNDWI",
        title: "modified normalised difference water index",
        expr: "(B03 - B11) / (B03 + B11)",
        source: "Xu 2006",
        colors: scale(Palette::Water, -0.8, 0.8),
    },
    IndexDef {
        name: "NDMI",
        title: "normalised difference moisture index",
        expr: "(B8A - B11) / (B8A + B11)",
        source: "Gao 1996",
        colors: scale(Palette::Water, -0.6, 0.6),
    },
    IndexDef {
        name: "NBR",
        title: "normalised burn ratio",
        expr: "(B8A - B12) / (B8A + B12)",
        source: "Key and Benson 2006",
        colors: scale(Palette::Vegetation, -0.5, 0.9),
    },
    IndexDef {
        name: "NDSI",
        title: "normalised difference snow index",
        expr: "(B03 - B11) / (B03 + B11)",
        source: "Hall et al. 1995",
        colors: scale(Palette::Water, -0.8, 0.8),
    },
    IndexDef {
        name: "BSI",
        title: "bare soil index",
        expr: "((B11 + B04) - (B08 + B02)) / ((B11 + B04) + (B08 + B02))",
        source: "Rikimaru et al. 2002",
        colors: scale(Palette::Quantity, -0.6, 0.6),
    },
];

/// The index of a name, in capitals or not.
pub fn index_expr(name: &str) -> Option<&'static IndexDef> {
    INDICES.iter().find(|i| i.name.eq_ignore_ascii_case(name))
}

/// The names of all indices, in capitals.
pub fn index_names() -> impl Iterator<Item = &'static str> {
    INDICES.iter().map(|i| i.name)
}

#[cfg(test)]
mod tests {
    use super::super::expr_eval::Scratch;
    use super::*;

    #[test]
    fn every_index_parses_and_names_are_unique() {
        let mut seen = std::collections::HashSet::new();
        for index in &INDICES {
            let expr = index.parse().unwrap();
            assert!(!expr.bands().is_empty() && expr.bands().iter().all(|b| b.starts_with('B')));
            assert!(index.colors.low < index.colors.high);
            assert!(seen.insert(index.name));
        }
        assert_eq!(index_expr("ndvi").map(|i| i.name), Some("NDVI"));
        assert_eq!(index_expr("ndv"), None);
    }

    /// Values worked by hand from the publications' formulas.
    #[test]
    fn formulas_give_the_published_values() {
        let reflectance = |band: &str| match band {
            "B02" => 0.04,
            "B03" => 0.06,
            "B04" => 0.05,
            "B05" => 0.10,
            "B08" => 0.45,
            "B8A" => 0.46,
            "B11" => 0.20,
            _ => 0.12,
        };
        for (name, expected) in [
            ("NDVI", 0.8),
            ("NDI45", 1.0 / 3.0),
            ("GNDVI", 0.39 / 0.51),
            ("NDRE", 0.36 / 0.56),
            ("EVI", 1.0 / 1.45),
            ("EVI2", 1.0 / 1.57),
            ("SAVI", 0.6),
            ("MSAVI", (1.9 - 0.41f64.sqrt()) / 2.0),
            ("NDWI", -0.39 / 0.51),
            ("MNDWI", -0.14 / 0.26),
            ("NDMI", 0.26 / 0.66),
            ("NBR", 0.34 / 0.58),
            ("NDSI", -0.14 / 0.26),
            ("BSI", -0.24 / 0.74),
        ] {
            let expr = index_expr(name).unwrap().parse().unwrap();
            let rows: Vec<[f64; 1]> = expr.bands().iter().map(|b| [reflectance(b)]).collect();
            let rows: Vec<&[f64]> = rows.iter().map(|r| r.as_slice()).collect();
            let mut out = [0.0];
            expr.eval_row(&rows, &mut out, &mut Scratch::default());
            assert!((out[0] - expected).abs() < 1e-12, "{name}: {}", out[0]);
        }
    }
}
