//! Hashing a file from its start while it still comes in, and not again where it did not change.
//!
//! Knows: the contiguous prefix that is stored, hash states kept on the way (CLAIM-9). Does not know: which digests
//! the file should have. Reads back from the part, mostly out of the page cache, so that only stored bytes count.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use peer_proto::digest::{Algorithm, Digest};

use super::digests::DigestSet;
use super::files::FileHandle;

/// States are kept at least this far apart.
pub const STATE_SPACING_MIN: u64 = 16 * 1024 * 1024;
/// States kept for one file, about.
const STATES_WANTED: u64 = 64;
/// Bytes read at a time: they should still be near the core when they are hashed.
const STEP: u64 = 256 * 1024;
/// The follower is woken when it has at least this much to do.
const WAKE_AT: u64 = 1024 * 1024;

/// Digest states over the first bytes of a file.
#[derive(Debug)]
pub struct PrefixHasher {
    position: u64,
    set: DigestSet,
    kept: Vec<(u64, DigestSet)>,
    fresh: DigestSet,
    spacing: u64,
    bytes_hashed: u64,
}

impl PrefixHasher {
    /// Nothing hashed yet of a file of about `len` bytes.
    #[must_use]
    pub fn new(algorithms: &[Algorithm], len: u64) -> Self {
        let fresh = DigestSet::new(algorithms);
        Self {
            position: 0,
            set: fresh.clone(),
            kept: Vec::new(),
            fresh,
            spacing: STATE_SPACING_MIN.max(len / STATES_WANTED),
            bytes_hashed: 0,
        }
    }

    /// Bytes hashed so far, from the start.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Bytes hashed in all, again ones included.
    #[must_use]
    pub const fn bytes_hashed(&self) -> u64 {
        self.bytes_hashed
    }

    /// Hashes on, at most one step and not beyond `end`.
    ///
    /// # Errors
    /// Whatever reading says; nothing is hashed then.
    pub fn step(&mut self, file: &impl FileHandle, end: u64, buffer: &mut Vec<u8>) -> io::Result<()> {
        let next_state = self.kept.last().map_or(0, |(at, _)| *at) + self.spacing;
        let end = end.min(self.position + STEP).min(next_state.max(self.position + 1));
        let len = usize::try_from(end.saturating_sub(self.position)).map_err(io::Error::other)?;
        buffer.resize(len, 0);
        file.read_at(self.position, buffer)?;
        self.set.update(buffer);
        self.bytes_hashed += end - self.position;
        self.position = end;
        if self.position == next_state {
            self.kept.push((self.position, self.set.clone()));
        }
        Ok(())
    }

    /// Forgets everything from `offset` on: it goes on from the last state before.
    pub fn rewind(&mut self, offset: u64) {
        if offset >= self.position {
            return;
        }
        self.kept.retain(|(at, _)| *at <= offset);
        match self.kept.last() {
            Some((at, set)) => (self.position, self.set) = (*at, set.clone()),
            None => (self.position, self.set) = (0, self.fresh.clone()),
        }
    }

    /// The digests of the prefix.
    #[must_use]
    pub fn digests(&self) -> Vec<Digest> {
        self.set.digests()
    }
}

/// A thread that keeps a [`PrefixHasher`] close behind the stored prefix of a file.
pub struct Follower<H: FileHandle> {
    shared: Arc<Shared<H>>,
    thread: Option<JoinHandle<()>>,
    woken_at: u64,
}

struct Shared<H> {
    file: Arc<H>,
    control: Mutex<Control>,
    wake: Condvar,
    hasher: Mutex<PrefixHasher>,
}

struct Control {
    goal: u64,
    stop: bool,
}

impl<H: FileHandle> Follower<H> {
    /// Starts following. If no thread can be had, everything is hashed at the end.
    #[must_use]
    pub fn start(file: Arc<H>, algorithms: &[Algorithm], len: u64) -> Self {
        let shared = Arc::new(Shared {
            file,
            control: Mutex::new(Control { goal: 0, stop: false }),
            wake: Condvar::new(),
            hasher: Mutex::new(PrefixHasher::new(algorithms, len)),
        });
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name("prefix-hash".into()).spawn(move || shared.follow()).ok()
        };
        Self { shared, thread, woken_at: 0 }
    }

    /// Whether these digests come out at the end.
    #[must_use]
    pub fn covers(&self, algorithms: &[Algorithm]) -> bool {
        lock(&self.shared.hasher).fresh.covers(algorithms)
    }

    /// The first `prefix` bytes are stored now.
    pub fn advance(&mut self, prefix: u64) {
        let mut control = lock(&self.shared.control);
        control.goal = prefix;
        if prefix >= self.woken_at + WAKE_AT {
            self.woken_at = prefix;
            self.shared.wake.notify_one();
        }
    }

    /// Bytes from `offset` on will change.
    pub fn rewind(&mut self, offset: u64) {
        {
            let mut control = lock(&self.shared.control);
            control.goal = control.goal.min(offset);
        }
        lock(&self.shared.hasher).rewind(offset);
        self.woken_at = self.woken_at.min(offset);
    }

    /// A handle to finish with, without holding up whoever stores more.
    pub(super) fn finisher(&self) -> Finisher<H> {
        Finisher { shared: Arc::clone(&self.shared) }
    }
}

/// Hashes what the follower has not hashed yet.
pub(super) struct Finisher<H> {
    shared: Arc<Shared<H>>,
}

impl<H: FileHandle> Finisher<H> {
    /// The digests of the first `len` bytes, all of which are stored.
    pub(super) fn finish(&self, len: u64) -> io::Result<Vec<Digest>> {
        let mut buffer = Vec::new();
        loop {
            let mut hasher = lock(&self.shared.hasher);
            if hasher.position() > len {
                hasher.rewind(len);
            }
            if hasher.position() == len {
                return Ok(hasher.digests());
            }
            hasher.step(&*self.shared.file, len, &mut buffer)?;
        }
    }
}

impl<H: FileHandle> Shared<H> {
    fn follow(&self) {
        let mut buffer = Vec::new();
        let mut done = 0;
        loop {
            let goal = {
                let mut control = lock(&self.control);
                while !control.stop && control.goal <= done {
                    control = self.wake.wait(control).unwrap_or_else(PoisonError::into_inner);
                    // A rewind may have taken the position back.
                    done = done.min(control.goal);
                }
                if control.stop {
                    return;
                }
                control.goal
            };
            let mut hasher = lock(&self.hasher);
            // What was rewound meanwhile is not stored any more: look again.
            if hasher.position() < goal && lock(&self.control).goal >= goal {
                // Whoever finishes meets the same error and reports it.
                if hasher.step(&*self.file, goal, &mut buffer).is_err() {
                    done = goal;
                    continue;
                }
            }
            done = hasher.position();
        }
    }
}

impl<H: FileHandle> Drop for Follower<H> {
    fn drop(&mut self) {
        lock(&self.shared.control).stop = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // It ends after one step; a panic there has nobody left to care.
            drop(thread.join());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sha2::{Digest as _, Sha256, Sha384};

    use super::*;
    use crate::disk::files::{Access, Files};
    use crate::disk::memory_files::MemoryFiles;

    fn payload(len: usize) -> Vec<u8> {
        (0..len).map(|at| u8::try_from((at * 31 + at / 251 * 7) % 256).unwrap()).collect()
    }

    fn expected(bytes: &[u8]) -> Vec<Digest> {
        vec![
            Digest::new(Algorithm::Sha256, Sha256::digest(bytes).to_vec()).unwrap(),
            Digest::new(Algorithm::Sha384, Sha384::digest(bytes).to_vec()).unwrap(),
        ]
    }

    #[test]
    fn claim_9_a_second_check_starts_at_the_last_state_before_the_change() {
        let files = MemoryFiles::new();
        let mut all = payload(40 << 20);
        let len = u64::try_from(all.len()).unwrap();
        files.put(Path::new("/f"), &all);
        let file = files.open(Path::new("/f"), Access::Read).unwrap();
        let mut hasher = PrefixHasher::new(&[Algorithm::Sha256, Algorithm::Sha384], len);
        let mut buffer = Vec::new();
        let mut run = |hasher: &mut PrefixHasher, file: &_| {
            while hasher.position() < len {
                hasher.step(file, len, &mut buffer).unwrap();
            }
            hasher.digests()
        };
        assert_eq!(run(&mut hasher, &file), expected(&all));
        assert_eq!(hasher.bytes_hashed(), len);
        // One byte beyond the second state changes.
        let at = (32 << 20) + 5;
        all[at] ^= 1;
        files.rot(Path::new("/f"), at, 1);
        hasher.rewind(u64::try_from(at).unwrap());
        assert_eq!(hasher.position(), 32 << 20);
        assert_eq!(run(&mut hasher, &file), expected(&all));
        assert_eq!(hasher.bytes_hashed(), len + (8 << 20));
        // Before the first state there is only the start.
        hasher.rewind(7);
        assert_eq!(hasher.position(), 0);
        assert_eq!(run(&mut hasher, &file), expected(&all));
    }

    #[test]
    fn a_follower_that_is_taken_back_hashes_what_is_there_in_the_end() {
        let files = MemoryFiles::new();
        let before = payload(5 << 20);
        let mut after = before.clone();
        after[3 << 20] ^= 0xff;
        files.put(Path::new("/f"), &before);
        let file = Arc::new(files.open(Path::new("/f"), Access::ReadWrite).unwrap());
        let len = u64::try_from(before.len()).unwrap();
        let mut follower = Follower::start(Arc::clone(&file), &[Algorithm::Sha256, Algorithm::Sha384], len);
        follower.advance(len);
        follower.rewind(3 << 20);
        file.write_at(3 << 20, &after[3 << 20..]).unwrap();
        follower.advance(len);
        assert_eq!(follower.finisher().finish(len).unwrap(), expected(&after));
        assert_eq!(follower.finisher().finish(1000).unwrap(), expected(&after[..1000]));
    }
}
