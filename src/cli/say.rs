//! What a command says on its standard output, and beside it.
//!
//! Knows: that whoever reads it may have heard enough (`nearbits … | head`), which is no fault. Does not know: what is
//! said.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

/// Says a text and ends the line.
pub(super) fn line(text: impl Display) {
    said(writeln!(std::io::stdout(), "{text}"));
}

/// Says a text that ends its lines itself.
pub(super) fn text(text: impl Display) {
    let mut out = std::io::stdout();
    said(write!(out, "{text}").and_then(|()| out.flush()));
}

/// Says what is worth knowing and is no failure, where errors go: standard output may be read by a program.
pub(super) fn note(text: impl Display) {
    aside(format_args!("note: {text}"));
}

/// Says why something failed; to nobody, if nobody reads it any more.
pub(super) fn failure(text: impl Display) {
    aside(format_args!("nearbits: {text}"));
}

/// Says a text where errors go.
pub(super) fn aside(text: impl Display) {
    drop(writeln!(std::io::stderr(), "{text}"));
}

fn said(outcome: std::io::Result<()>) {
    match outcome {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            failure(format_args!("cannot write to standard output: {error}"));
        }
        Err(_) | Ok(()) => {}
    }
}
