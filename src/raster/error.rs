//! What can go wrong in the raster floor; every message names the place and what to do.

use std::path::{Path, PathBuf};

use super::expr::ExprError;

/// An error of a native processor or of the sample generator.
#[derive(Debug, thiserror::Error)]
pub enum RasterError {
    /// A file could not be opened, read or written.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried: "read", "write", "create".
        action: &'static str,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The file is neither a TIFF nor a JPEG2000, or uses a variant that is not supported.
    #[error("{}: {what}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What was found and what is expected.
        what: String,
    },
    /// The file claims to be TIFF or JPEG2000 and does not decode.
    #[error("{}: cannot decode the band: {what}", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// The decoder's answer.
        what: String,
    },
    /// The file claims a size above the limits of [`super::MAX_PIXELS`] and [`super::MAX_SAMPLES`].
    #[error("{}: {what}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The claimed size and the limit.
        what: String,
    },
    /// The georeference cannot be used, for example because it is rotated.
    #[error("{}: {what}", path.display())]
    Georeference {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The expression names a band that was not given, or the bands do not fit together.
    #[error("band {band}: {what}")]
    Band {
        /// The band's name in the expression.
        band: String,
        /// What is wrong with it.
        what: String,
    },
    /// The resolution or window cannot be had from these bands.
    #[error("task grid: {0}")]
    Grid(String),
    /// The expression does not parse.
    #[error(transparent)]
    Expr(#[from] ExprError),
    /// The pool of threads could not be built.
    #[error("cannot start {threads} threads for band maths: {what}; lower the number of threads")]
    Threads {
        /// The number asked for.
        threads: usize,
        /// The system's answer.
        what: String,
    },
}

impl RasterError {
    /// An [`RasterError::Io`] for `path`.
    pub(crate) fn io(path: &Path, action: &'static str, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_path_buf(),
            action,
            source,
        }
    }

    /// A [`RasterError::Format`] for `path`.
    pub(crate) fn format(path: &Path, what: impl Into<String>) -> Self {
        Self::Format {
            path: path.to_path_buf(),
            what: what.into(),
        }
    }

    /// A [`RasterError::Decode`] for `path`.
    pub(crate) fn decode(path: &Path, what: impl Into<String>) -> Self {
        Self::Decode {
            path: path.to_path_buf(),
            what: what.into(),
        }
    }

    /// A [`RasterError::TooLarge`] for `path`.
    pub(crate) fn too_large(path: &Path, what: impl Into<String>) -> Self {
        Self::TooLarge {
            path: path.to_path_buf(),
            what: what.into(),
        }
    }

    /// A [`RasterError::Georeference`] for `path`.
    pub(crate) fn geo(path: &Path, what: impl Into<String>) -> Self {
        Self::Georeference {
            path: path.to_path_buf(),
            what: what.into(),
        }
    }

    /// A [`RasterError::Band`] for `band`.
    pub(crate) fn band(band: &str, what: impl Into<String>) -> Self {
        Self::Band {
            band: band.to_owned(),
            what: what.into(),
        }
    }

    /// True where the output folder is at fault (full, not writable), not the input.
    pub fn is_output(&self) -> bool {
        matches!(self, Self::Io { action, .. } if matches!(*action, "write" | "create"))
    }
}
