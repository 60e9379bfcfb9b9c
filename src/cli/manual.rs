//! `completions`, `man`: what shells and manuals need, made from the command line itself.
//!
//! Knows: that both follow from `args`, so neither can be forgotten. Does not know: what commands do.

use std::path::Path;

use clap::CommandFactory;

use super::args::{Cli, CompletionsArgs, ManArgs};
use super::exit::{Exit, Stop};
use super::say;

/// The program's name, as people type it.
const NAME: &str = "nearbits";

pub(super) fn completions(args: &CompletionsArgs) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), NAME, &mut script);
    say::text(String::from_utf8_lossy(&script));
    Exit::Done
}

pub(super) fn man(args: &ManArgs) -> Result<Exit, Stop> {
    if let Some(folder) = &args.dir {
        write_pages(folder).map_err(|error| failed(folder, &error))?;
        say::line(format_args!("all pages are in {}; `man nearbits-job-add` reads one", folder.display()));
        return Ok(Exit::Done);
    }
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
    rendered.map_err(|error| Stop::new(Exit::Fatal, error.to_string()))?;
    say::text(String::from_utf8_lossy(&page));
    Ok(Exit::Done)
}

/// A page for every command, `nearbits-job-add.1` and so on.
fn write_pages(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Cli::command(), folder)
}

fn failed(folder: &Path, error: &std::io::Error) -> Stop {
    let exit = match error.kind() {
        std::io::ErrorKind::PermissionDenied => Exit::Denied,
        std::io::ErrorKind::StorageFull => Exit::Transient,
        _ => Exit::Fatal,
    };
    Stop::new(exit, format!("the pages cannot be written to {}: {error}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_that_says_what_it_does() {
        fn look(command: &clap::Command, name: &str, folder: &Path, missing: &mut Vec<String>) {
            let page = std::fs::read_to_string(folder.join(format!("{name}.1"))).unwrap_or_default();
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let first = about.split([' ', '-', '`']).next().unwrap_or_default();
            if first.is_empty() || !page.contains(first) || !page.contains(".SH OPTIONS") {
                missing.push(name.to_owned());
            }
            for inner in command.get_subcommands() {
                look(inner, &format!("{name}-{}", inner.get_name()), folder, missing);
            }
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        write_pages(folder.path()).expect("pages");
        let mut missing = Vec::new();
        look(&Cli::command(), NAME, folder.path(), &mut missing);
        assert!(missing.is_empty(), "{missing:?}");
    }
}
