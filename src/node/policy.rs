//! The administrator's file, read at the start and whenever it changes (POL-20).
//!
//! Knows: when it is read, what becomes of a broken one. Does not know: what it may say (`config::policy`).

use std::future::Future;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::config::ConfigError;
use crate::config::policy::load;
use crate::driver::{Gone, Handle};
use crate::job::{Effective, Policy};

/// How often it is looked at. A change is read when it was seen twice, so that nobody reads half of what is being
/// written.
const LOOK_EVERY: Duration = Duration::from_millis(400);

/// By what a changed file is known: inode, length, and the last changes of content and of rights, to the nanosecond.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp([i64; 4], [u64; 2]);

/// The file's stamp; `None` while it is not there, or cannot be looked at.
fn stamp(path: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(path).ok()?;
    Some(Stamp(
        [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()],
        [found.ino(), found.len()],
    ))
}

/// Reads the file as it is now. Blocks.
pub(super) fn read(path: &Path) -> Result<(Policy, Option<Stamp>), ConfigError> {
    // What changes after this look is found by the next one.
    let stamp = stamp(path);
    Ok((load(path)?, stamp))
}

/// Who is told what the file says.
pub(super) trait Listener: Send + Sync {
    /// What holds now, or what is wrong with the file, in one line.
    fn hear(&self, outcome: Result<Effective, String>) -> impl Future<Output = Result<(), Gone>> + Send;
}

impl Listener for Handle {
    async fn hear(&self, outcome: Result<Effective, String>) -> Result<(), Gone> {
        self.policy_read(outcome).await
    }
}

/// Follows the file as it changes.
pub(super) struct Follower<L> {
    path: PathBuf,
    read: Option<Stamp>,
    seen: Option<Stamp>,
    preference: Policy,
    listener: L,
}

impl<L: Listener> Follower<L> {
    /// A follower of the file that was read last when it had this stamp.
    pub(super) const fn new(path: PathBuf, read: Option<Stamp>, preference: Policy, listener: L) -> Self {
        Self { path, read, seen: read, preference, listener }
    }

    /// Goes on until `stop`.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let path = self.path.clone();
            let Ok(now) = tokio::task::spawn_blocking(move || stamp(&path)).await else { return };
            if self.look(now).await.is_err() {
                return;
            }
        }
    }

    /// Looks once; tells if the file is another one and stays so.
    async fn look(&mut self, now: Option<Stamp>) -> Result<(), Gone> {
        let is_settled = now == self.seen;
        self.seen = now;
        if now == self.read || !is_settled {
            return Ok(());
        }
        self.read = now;
        let path = self.path.clone();
        let Ok(outcome) = tokio::task::spawn_blocking(move || load(&path)).await else { return Err(Gone) };
        let outcome = match outcome {
            Ok(policy) => {
                tracing::info!(file = %self.path.display(), "policy read");
                Ok(policy.over(&self.preference))
            }
            Err(error) => {
                tracing::warn!(%error, "the policy was not read: what it said before holds");
                Err(error.to_string())
            }
        };
        self.listener.hear(outcome).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<Result<u32, String>>>);

    impl Listener for &Heard {
        async fn hear(&self, outcome: Result<Effective, String>) -> Result<(), Gone> {
            let mut heard = self.0.lock().expect("no panics under the lock");
            heard.push(outcome.map(|policy| policy.jobs_per_user.value));
            Ok(())
        }
    }

    /// The file in a folder, followed; `write` replaces it as editors do.
    struct Lab {
        folder: tempfile::TempDir,
        heard: Heard,
    }

    impl Lab {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().expect("a temporary folder"), heard: Heard::default() }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("policy.toml")
        }

        fn write(&self, text: &str) {
            let temporary = self.folder.path().join("new");
            std::fs::write(&temporary, text).expect("writable");
            std::fs::rename(&temporary, self.path()).expect("one folder");
        }

        fn follower(&self) -> Follower<&Heard> {
            let (_, stamp) = read(&self.path()).expect("readable");
            let preference = Policy { jobs_per_user: Some(8), ..Policy::default() };
            Follower::new(self.path(), stamp, preference, &self.heard)
        }

        /// What is heard of two looks.
        async fn looked(&self, follower: &mut Follower<&Heard>) -> Vec<Result<u32, String>> {
            for _ in 0..2 {
                follower.look(stamp(&self.path())).await.expect("somebody listens");
            }
            std::mem::take(&mut *self.heard.0.lock().expect("no panics under the lock"))
        }
    }

    #[tokio::test]
    async fn pol_20_a_changed_file_is_read_once_and_without_it_the_preference_holds() {
        let lab = Lab::new();
        let mut follower = lab.follower();
        assert_eq!(lab.looked(&mut follower).await, []);
        lab.write("jobs-per-user = 3\n");
        assert_eq!(lab.looked(&mut follower).await, [Ok(3)]);
        assert_eq!(lab.looked(&mut follower).await, []);
        // The same length, perhaps in the same second.
        lab.write("jobs-per-user = 4\n");
        assert_eq!(lab.looked(&mut follower).await, [Ok(4)]);
        std::fs::remove_file(lab.path()).expect("it is there");
        assert_eq!(lab.looked(&mut follower).await, [Ok(8)]);
    }

    #[tokio::test]
    async fn pol_20_a_broken_file_is_told_once_with_its_line_until_it_is_mended() {
        let lab = Lab::new();
        lab.write("jobs-per-user = 3\n");
        let mut follower = lab.follower();
        lab.write("# ours\njobs-per-user = 0\n");
        let heard = lab.looked(&mut follower).await;
        assert!(
            matches!(&heard[..], [Err(problem)] if problem.contains("policy.toml, line 2: ")),
            "{heard:?}"
        );
        assert_eq!(lab.looked(&mut follower).await, []);
        lab.write("jobs-per-user = 5\n");
        assert_eq!(lab.looked(&mut follower).await, [Ok(5)]);
    }

    #[tokio::test]
    async fn a_file_that_is_still_being_written_is_left_alone() {
        let lab = Lab::new();
        let mut follower = lab.follower();
        for text in ["", "jobs-per", "jobs-per-user = 6\n"] {
            lab.write(text);
            follower.look(stamp(&lab.path())).await.expect("somebody listens");
        }
        assert_eq!(lab.looked(&mut follower).await, [Ok(6)]);
    }
}
