//! The files of a job, from pairs, lists and tables.
//!
//! Knows: how they are written (CLI-3, CLI-39), what a folder as a destination means. Does not know: what may be a file
//! of a job; the node says that.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use peer_proto::digest::{Algorithm, Digest};

use crate::cli::args::AddArgs;
use crate::cli::exit::{Exit, Stop};
use crate::cli::wish;
use crate::cli::words::parse_digest;
use crate::control::api::FileSpec;
use crate::node::parse_url;

/// Bytes of a list or a table: as much as the node takes.
const LIST_LEN_MAX: u64 = 64 * 1024 * 1024;

/// Names that a table may have for its columns; `Source` and `Destination` are PowerShell's.
const COLUMNS: [&[&str]; 3] =
    [&["url", "source", "remote"], &["path", "destination", "local"], &["digest", "sha256"]];

/// A file, and where it was named.
pub(super) struct Named {
    pub(super) whence: String,
    pub(super) file: FileSpec,
}

/// All files of the command line, in the order pairs, list, table.
pub(super) fn files(args: &AddArgs) -> Result<Vec<Named>, Stop> {
    let mut files = pairs(&args.pairs)?;
    if let Some(path) = &args.file_list {
        files.extend(list(&read(path, LIST_LEN_MAX)?, &path.display().to_string())?);
    }
    if let Some(path) = &args.csv {
        files.extend(table(&read(path, LIST_LEN_MAX)?, &path.display().to_string())?);
    }
    if files.is_empty() && !args.suspended {
        return Err(Stop::usage(
            "no file is named: write URL DEST, or --file-list FILE, or --csv FILE (a job without files can only be made --suspended)",
        ));
    }
    with_extras(files, args)
}

/// The lines of the table, each for itself: what is wrong with one says where it stands.
pub(super) fn lines(args: &AddArgs) -> Result<Vec<Result<Named, Stop>>, Stop> {
    let Some(path) = &args.csv else { return Ok(Vec::new()) };
    let lines = rows(&read(path, LIST_LEN_MAX)?, &path.display().to_string())?;
    if lines.is_empty() {
        return Err(Stop::usage(format!("{} has no line: url,path[,digest]", path.display())));
    }
    Ok(lines)
}

/// Digests, ranges and mirrors of the command line belong to the only file.
fn with_extras(mut files: Vec<Named>, args: &AddArgs) -> Result<Vec<Named>, Stop> {
    let mut digests = args.digest.clone();
    if let Some(hex) = &args.sha256 {
        let digest = Digest::from_hex(Algorithm::Sha256, hex.trim());
        digests.push(digest.map_err(|error| Stop::usage(format!("--sha256: {error}")))?);
    }
    if digests.is_empty() && args.ranges.is_none() && args.mirror.is_empty() {
        return Ok(files);
    }
    for mirror in &args.mirror {
        parse_url(mirror).map_err(|error| Stop::usage(format!("--mirror: {error}")))?;
    }
    let [Named { file, .. }] = files.as_mut_slice() else {
        return Err(Stop::usage(format!(
            "--sha256, --digest, --ranges and --mirror are for one file, and {} are named: give digests in a table (--csv)",
            files.len()
        )));
    };
    file.digests.extend(digests);
    file.ranges = args.ranges.clone().map(|ranges| ranges.0).unwrap_or_default();
    file.mirrors.clone_from(&args.mirror);
    Ok(files)
}

fn pairs(words: &[String]) -> Result<Vec<Named>, Stop> {
    let mut files = Vec::with_capacity(words.len() / 2);
    for pair in words.chunks(2) {
        let [url, destination] = pair else {
            return Err(Stop::usage(format!(
                "files are named in pairs, URL DEST, and the last one has only one half: {}",
                pair.concat()
            )));
        };
        files.push(named(url, destination, None, url)?);
    }
    Ok(files)
}

/// Lines of `remote local`; a local name may have blanks.
fn list(text: &str, name: &str) -> Result<Vec<Named>, Stop> {
    let lines = (1..).zip(text.lines().map(str::trim));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let read = |(number, line): (u32, &str)| {
        let whence = format!("{name}:{number}");
        let (url, local) = line
            .split_once(char::is_whitespace)
            .ok_or_else(|| Stop::usage(format!("{whence}: write a URL, a blank, and where the file goes")))?;
        named(url, local.trim(), None, &whence)
    };
    lines.map(read).collect()
}

/// Rows of `url,path[,digest]`, all of them or none.
fn table(text: &str, name: &str) -> Result<Vec<Named>, Stop> {
    rows(text, name)?.into_iter().collect()
}

/// The same, each for itself. Without a first line that can be read nobody knows what the others say.
fn rows(text: &str, name: &str) -> Result<Vec<Result<Named, Stop>>, Stop> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let mut files = Vec::new();
    let mut places = [Some(0), Some(1), Some(2)];
    for (index, row) in reader.records().enumerate() {
        let row = row.map_err(|error| Stop::usage(format!("{name}: {error}")))?;
        let whence = format!("{name}:{}", row.position().map_or(0, csv::Position::line));
        if index == 0 && row.iter().any(|cell| column(cell) == Some(0)) {
            places = columns(&row, &whence)?;
            continue;
        }
        let cell =
            |place: Option<usize>| place.and_then(|place| row.get(place)).filter(|cell| !cell.is_empty());
        files.push(match (cell(places[0]), cell(places[1])) {
            (Some(url), Some(path)) => named(url, path, cell(places[2]), &whence),
            _ => Err(Stop::usage(format!("{whence}: a URL and a path are needed: url,path[,digest]"))),
        });
    }
    Ok(files)
}

fn column(cell: &str) -> Option<usize> {
    COLUMNS.iter().position(|names| names.iter().any(|name| cell.eq_ignore_ascii_case(name)))
}

/// Where url, path and digest stand, as the first line names them.
fn columns(row: &csv::StringRecord, whence: &str) -> Result<[Option<usize>; 3], Stop> {
    let mut places = [None; 3];
    for (place, cell) in row.iter().enumerate() {
        let known = column(cell).ok_or_else(|| {
            Stop::usage(format!("{whence}: no column is called {cell:?}: url, path, digest"))
        })?;
        if places[known].replace(place).is_some() {
            return Err(Stop::usage(format!("{whence}: two columns say the same; one is {cell:?}")));
        }
    }
    if places[1].is_none() {
        return Err(Stop::usage(format!("{whence}: no column is called path")));
    }
    Ok(places)
}

fn named(url: &str, destination: &str, digest: Option<&str>, whence: &str) -> Result<Named, Stop> {
    let at = |error: String| Stop::usage(format!("{whence}: {error}"));
    parse_url(url).map_err(|error| at(error.to_string()))?;
    let destination = wish::destination(url, Path::new(destination)).map_err(|stop| at(stop.line))?;
    let digests = digest.map(parse_digest).transpose().map_err(at)?.into_iter().collect();
    let file = FileSpec {
        url: url.to_owned(),
        mirrors: Vec::new(),
        destination,
        digests,
        digest_from: None,
        ranges: Vec::new(),
    };
    Ok(Named { whence: whence.to_owned(), file })
}

/// The text of a file, or of standard input if it is called `-`.
pub(super) fn read(path: &Path, len_max: u64) -> Result<String, Stop> {
    let unreadable = |error: &std::io::Error| {
        let exit = match error.kind() {
            std::io::ErrorKind::PermissionDenied => Exit::Denied,
            _ => Exit::Usage,
        };
        Stop::new(exit, format!("{} cannot be read: {error}", path.display()))
    };
    let mut text = String::new();
    let taken = if path == Path::new("-") {
        std::io::stdin().take(len_max + 1).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(len_max + 1).read_to_string(&mut text))
    };
    let len = taken.map_err(|error| unreadable(&error))?;
    if u64::try_from(len).map_or(true, |len| len > len_max) {
        return Err(Stop::usage(format!("{} has more than {len_max} bytes", path.display())));
    }
    Ok(text)
}

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;
