//! `policy show`, `explain`: what an administrator says of jobs, what an error code means.
//!
//! Knows: how rows and explanations read. Does not know: where they come from.

use super::args::{ExplainArgs, PolicyCommand};
use super::exit::{Exit, Stop};
use super::{reach, say, table};
use crate::control::api::{Class, PolicySource, explain};

pub(super) async fn show(PolicyCommand::Show(ask): PolicyCommand) -> Result<Exit, Stop> {
    let shown = reach::running(&ask.place).await?.policy().await?;
    if ask.json {
        return table::json(&shown);
    }
    let mut rows = table::new(&["rule", "key", "value", "said by", "what follows"]);
    for row in &shown.rows {
        let source = match row.source {
            PolicySource::Policy => "policy",
            PolicySource::Preference => "configuration",
            PolicySource::Default => "default",
            PolicySource::Job => "job",
        };
        rows.add_row([&row.id, &row.name, &row.value, source, &row.effect]);
    }
    say::line(rows.trim_fmt());
    say::line(format_args!("the administrator's file: {}", shown.file.display()));
    if let Some(problem) = &shown.problem {
        say::line(format_args!("it is broken now, and what it said before still holds: {problem}"));
    }
    Ok(Exit::Done)
}

pub(super) fn explain_code(args: &ExplainArgs) -> Result<Exit, Stop> {
    let Some(known) = explain(&args.code) else {
        let line = format!(
            "no error is called {:?}: write its name, such as BG_E_INVALID_STATE, or its number, such as 0x80200002",
            args.code
        );
        return Err(Stop::new(Exit::NotFound, line));
    };
    if args.json {
        return table::json(&known);
    }
    say::line(format_args!("{} ({})", known.code.name(), known.number));
    let rows = [
        ("what it means", known.text.clone()),
        ("what it does", does(known.class).to_owned()),
        ("what to do", known.advice),
    ];
    say::line(table::pairs(rows).trim_fmt());
    Ok(Exit::Done)
}

const fn does(class: Class) -> &'static str {
    match class {
        Class::Ok => "nothing: it is a success that says something",
        Class::Call => "the command is not carried out, and the job goes on as before",
        Class::Fatal => "the job is in error until somebody acts",
        Class::Transient => "the job waits and is tried again after its retry delay",
        Class::Waits => "the job waits until the condition ends",
        Class::Log => "it is only in the log",
    }
}
