//! Where the state folder is, and where a node may listen for commands.
//!
//! Knows: the search order of `docs/config.md`. Does not know: who answers there.

use std::path::{Path, PathBuf};

use super::args::PlaceArgs;
use super::exit::Stop;

/// The control socket's name in a state folder.
pub(super) const SOCKET_NAME: &str = "control.sock";

/// The state folder, absolute.
pub(super) fn state_dir(named: Option<&Path>) -> Result<PathBuf, Stop> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => default_state_dir(|name| std::env::var_os(name).map(PathBuf::from)).ok_or_else(|| {
            Stop::usage("neither XDG_STATE_HOME nor HOME is set: say where with --state-dir DIR")
        })?,
    };
    absolute(&path)
}

/// The path from the root; the folder it is relative to is the current one.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, Stop> {
    std::path::absolute(path).map_err(|error| Stop::usage(format!("{}: {error}", path.display())))
}

fn default_state_dir(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|path| path.is_absolute());
    set("XDG_STATE_HOME")
        .or_else(|| Some(set("HOME")?.join(".local/state")))
        .map(|folder| folder.join("nearbits"))
}

/// The sockets at which a node may answer, in the order in which they are tried.
pub(super) fn sockets(place: &PlaceArgs) -> Result<Vec<PathBuf>, Stop> {
    if let Some(control) = &place.control {
        return Ok(vec![absolute(control)?]);
    }
    let folder = state_dir(place.state_dir.as_deref())?;
    if place.state_dir.is_some() {
        return Ok(vec![folder.join(SOCKET_NAME)]);
    }
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let own = runtime.map(|folder| folder.join("nearbits").join(SOCKET_NAME));
    Ok(own
        .into_iter()
        .chain([folder.join(SOCKET_NAME), PathBuf::from("/run/nearbits/control.sock")])
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_folder_follows_the_environment() {
        let with = |pairs: &'static [(&str, &str)]| {
            default_state_dir(|name| {
                pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value))
            })
        };
        assert_eq!(with(&[("XDG_STATE_HOME", "/s"), ("HOME", "/h")]), Some("/s/nearbits".into()));
        assert_eq!(
            with(&[("XDG_STATE_HOME", "rel"), ("HOME", "/h")]),
            Some("/h/.local/state/nearbits".into())
        );
        assert_eq!(with(&[]), None);
    }

    #[test]
    fn a_named_place_is_the_only_one_tried() {
        let place = PlaceArgs { state_dir: Some("/s".into()), control: None };
        assert_eq!(sockets(&place).expect("absolute"), [PathBuf::from("/s/control.sock")]);
        let place = PlaceArgs { control: Some("/c.sock".into()), ..place };
        assert_eq!(sockets(&place).expect("absolute"), [PathBuf::from("/c.sock")]);
    }
}
