//! The indices and formulas of the raster module, as the job file needs them.

use crate::raster::{Expr, index_expr, index_names};
use crate::task::{FormulaError, Formulas};

/// The formulas that this program can compute.
#[derive(Clone, Copy, Debug, Default)]
pub struct RasterFormulas;

impl Formulas for RasterFormulas {
    fn index_names(&self) -> Vec<String> {
        index_names().map(str::to_lowercase).collect()
    }

    fn index_bands(&self, name: &str) -> Option<Vec<String>> {
        let index = index_expr(name)?;
        self.expr_bands(index.expr).ok()
    }

    fn expr_bands(&self, text: &str) -> Result<Vec<String>, FormulaError> {
        match Expr::parse(text) {
            Ok(expr) => Ok(expr.bands().to_vec()),
            Err(error) => {
                let rest = text.get(error.position..).unwrap_or("");
                let word = |c: char| c.is_alphanumeric() || c == '_';
                let len = rest.find(|c| !word(c)).unwrap_or(rest.len()).max(1);
                Err(FormulaError {
                    span: error.position..error.position + len,
                    message: error.message,
                    nearest: error.nearest,
                })
            }
        }
    }
}
