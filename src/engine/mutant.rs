//! Faults put into the engine on purpose: each shows that an oracle of the simulator finds it.
//!
//! Knows: their names, and which of them lives in this thread. Outside of this crate's own tests none ever does, and
//! there is no switch for it: what ships cannot be told to be wrong. Does not know: what each breaks (whoever asks).

/// A fault. Where it is asked for is what it does; `sim::mutant_tests` says which oracle finds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mutant {
    /// What is proved by now is not told to the disk.
    ForgetsTheJournal,
    /// Served bytes are not counted.
    MiscountsServed,
    /// The computer's client flag is not asked.
    TakesUnasked,
    /// The computer's server flag is not asked.
    GivesUnasked,
    /// A file counts as whole with half of its pieces.
    SealsWithAGap,
    /// Nobody is told that the file is wanted.
    TellsNobody,
    /// A claim holds for ever.
    ClaimsNeverEnd,
    /// What somebody has counts as there, though it comes at a trickle.
    SiteNeverForgets,
    /// Whoever owes bytes is waited for.
    WaitsForEver,
    /// It wants to be woken at once, always.
    NeverRests,
}

impl Mutant {
    /// Whether it is there now.
    #[cfg(not(test))]
    pub(crate) const fn lives(self) -> bool {
        false
    }

    /// Whether it is there now.
    #[cfg(test)]
    pub(crate) fn lives(self) -> bool {
        LIVING.get() == Some(self)
    }
}

#[cfg(test)]
std::thread_local! {
    static LIVING: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Does something with a fault in every engine of this thread, or with none.
#[cfg(test)]
pub(crate) fn with<T>(mutant: Option<Mutant>, act: impl FnOnce() -> T) -> T {
    LIVING.set(mutant);
    let outcome = act();
    LIVING.set(None);
    outcome
}
