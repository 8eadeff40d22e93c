//! Where things of this user stand that outlive a run.

use std::path::PathBuf;

/// A directory of cotec's own below `XDG_STATE_HOME`, or `~/.local/state`; `None` where there is
/// no home.
pub(super) fn directory(name: &str) -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.filter(|path| path.is_absolute()).or_else(|| {
        let home = std::env::home_dir().filter(|home| home.is_absolute())?;
        Some(home.join(".local/state"))
    })?;
    Some(state.join("cotec").join(name))
}
