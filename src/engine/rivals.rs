//! Two jobs for one place: the second one is not taken, as it would destroy what the first one brings.
//!
//! Knows: where the files of all jobs go, who may be told of whose job, what an interrupted command has left behind.
//! Does not know: the file system: two paths are one if they are written alike, part by part.

use std::collections::BTreeMap;
use std::path::Path;

use super::Engine;
use super::io::{FilePhase, JobCommand};
use super::job::Job;
use crate::job::{Caller, FileSpec, JobId, JobState};

/// A job that brings a file to a place where another one is wanted.
struct Rival<'a> {
    job: &'a Job,
    /// Which of the new files is in its way.
    index: usize,
    place: &'a Path,
}

impl Engine {
    /// Why these files cannot be brought: a job that is not over brings another one to the same place. What interrupted
    /// commands of the same user left behind is given up for a new job.
    pub(super) fn refuse_rivals(
        &mut self,
        wanted: &[FileSpec],
        of: Option<JobId>,
        by: Caller,
    ) -> Result<(), String> {
        let rivals = self.rivals(wanted, of);
        let replaces = |rival: &Rival<'_>| of.is_none() && rival.job.is_left_by(by.uid);
        if let Some(rival) = rivals.iter().find(|rival| !replaces(rival)) {
            return Err(rival.words(wanted.len() > 1, by));
        }
        let left: Vec<JobId> = rivals.iter().map(|rival| rival.job.id).collect();
        for id in left {
            self.command(id, JobCommand::Cancel, by);
        }
        Ok(())
    }

    /// Jobs with a file for one of these places, each once.
    fn rivals<'a>(&'a self, wanted: &'a [FileSpec], of: Option<JobId>) -> Vec<Rival<'a>> {
        let places = wanted.iter().enumerate().map(|(index, file)| (file.destination.as_path(), index));
        let places: BTreeMap<&Path, usize> = places.collect();
        let others = self.jobs.values().filter(|job| !job.state.is_final() && Some(job.id) != of);
        let rival = |job: &'a Job| {
            // What has its name already is not in danger: whoever replaces it has said so.
            let files = job.spec.files.iter().zip(&job.rows);
            let mut open = files.filter(|(_, row)| row.phase != FilePhase::Delivered);
            open.find_map(|(file, _)| {
                let (place, index) = places.get_key_value(file.destination.as_path())?;
                Some(Rival { job, index: *index, place })
            })
        };
        others.filter_map(rival).collect()
    }
}

impl Rival<'_> {
    fn words(&self, is_one_of_many: bool, by: Caller) -> String {
        let at = if is_one_of_many { format!("file {}: ", self.index) } else { String::new() };
        let (place, id) = (self.place.display(), self.job.id.to_string());
        if !by.may_manage(self.job.owner) {
            return format!("{at}another user's job brings a file to {place}; name another destination");
        }
        let short = id.get(..8).unwrap_or(&id);
        let name = &self.job.spec.name;
        let ends = if self.job.rows.iter().all(|row| row.phase.is_whole()) {
            format!(
                "end that job: `nearbits job complete {short}` takes what it brought, `nearbits job cancel {short}` gives"
            )
        } else {
            // An early completion would give up what is not whole.
            let again = if self.job.spec.auto_complete { " (so does the same `get` again)" } else { "" };
            format!(
                "`nearbits job resume {short}` lets that job go on{again}, `nearbits job cancel {short}` gives"
            )
        };
        format!(
            "{at}job {short} {name} brings a file to {place} already; name another destination, or {ends} it up"
        )
    }
}

impl Job {
    /// Whether it is what an interrupted `get` of this user left in a folder where no daemon runs.
    fn is_left_by(&self, user: u32) -> bool {
        let is_idle = matches!(self.state, JobState::Suspended | JobState::Error);
        self.is_embedded() && self.owner == user && is_idle
    }
}
