//! A disk that forgets what was not synced, gets full, and fails when it is told to.
//!
//! Knows: places with values, which of them would survive a power cut. Does not know: files, names, bytes.

use std::collections::BTreeMap;

use crate::dice::Dice;

/// Why a write failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskFault {
    /// No room is left.
    Full,
    /// This write was to fail.
    Failed,
}

/// Places numbered from zero, each empty or with a value.
#[derive(Clone, Debug)]
pub struct Disk<V> {
    places: Vec<Option<V>>,
    held: u32,
    /// What was there before the last sync, by place that was written since.
    unsynced: BTreeMap<u32, Option<V>>,
    room: u32,
    fails_at: Option<u64>,
    writes: u64,
}

impl<V: Copy> Disk<V> {
    /// An empty disk with room for so many values.
    #[must_use]
    pub const fn new(room: u32) -> Self {
        Self { places: Vec::new(), held: 0, unsynced: BTreeMap::new(), room, fails_at: None, writes: 0 }
    }

    /// Lets the n-th write from the beginning fail, counted from zero.
    pub const fn fail_write(&mut self, number: u64) {
        self.fails_at = Some(number);
    }

    /// Changes how much room there is. What is there stays.
    pub const fn set_room(&mut self, room: u32) {
        self.room = room;
    }

    /// Writes a value.
    ///
    /// # Errors
    /// [`DiskFault`]; the place is as it was.
    pub fn write(&mut self, at: u32, value: V) -> Result<(), DiskFault> {
        let number = self.writes;
        self.writes += 1;
        if self.fails_at == Some(number) {
            return Err(DiskFault::Failed);
        }
        if self.read(at).is_none() && self.held >= self.room {
            return Err(DiskFault::Full);
        }
        self.set(at, Some(value));
        Ok(())
    }

    /// Empties a place.
    pub fn erase(&mut self, at: u32) {
        if self.read(at).is_some() {
            self.set(at, None);
        }
    }

    /// Empties the whole disk, for good.
    pub fn wipe(&mut self) {
        (self.places, self.held) = (Vec::new(), 0);
        self.unsynced.clear();
    }

    /// The value of a place.
    #[must_use]
    pub fn read(&self, at: u32) -> Option<V> {
        self.places.get(crate::fair::place(at)).copied().flatten()
    }

    /// Values that are there.
    #[must_use]
    pub const fn held(&self) -> u32 {
        self.held
    }

    /// Places that were written since the last sync.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    /// Makes everything survive a power cut.
    pub fn sync(&mut self) {
        self.unsynced.clear();
    }

    /// The power goes: each write since the last sync is there or is not.
    pub fn power_cut(&mut self, dice: &mut Dice) {
        for (at, before) in std::mem::take(&mut self.unsynced) {
            if dice.chance(500_000) {
                self.put(at, before);
            }
        }
    }

    fn set(&mut self, at: u32, value: Option<V>) {
        let before = self.read(at);
        self.unsynced.entry(at).or_insert(before);
        self.put(at, value);
    }

    fn put(&mut self, at: u32, value: Option<V>) {
        let place = crate::fair::place(at);
        if self.places.len() <= place {
            self.places.resize(place + 1, None);
        }
        let before = self.places[place].is_some();
        self.held = self.held - u32::from(before) + u32::from(value.is_some());
        self.places[place] = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_cut_takes_only_what_was_not_synced() {
        let mut disk = Disk::new(1_000);
        (0..100).for_each(|at| disk.write(at, 1_u8).unwrap());
        disk.sync();
        (50..150).for_each(|at| disk.write(at, 2).unwrap());
        disk.power_cut(&mut Dice::new(1));
        let values: Vec<Option<u8>> = (0..150).map(|at| disk.read(at)).collect();
        assert!(values[..50].iter().all(|value| *value == Some(1)));
        let (kept, back) = (|v: &Option<u8>| *v == Some(2), |v: &Option<u8>| *v == Some(1));
        assert!(values[50..100].iter().any(kept) && values[50..100].iter().any(back));
        assert!(values[100..].iter().any(kept) && values[100..].iter().any(Option::is_none));
        let there = values.iter().filter(|value| value.is_some()).count();
        assert_eq!((disk.held(), disk.unsynced()), (u32::try_from(there).unwrap(), 0));
    }

    #[test]
    fn a_full_disk_and_a_write_that_is_to_fail_change_nothing() {
        let mut disk = Disk::new(2);
        disk.fail_write(1);
        assert_eq!(disk.write(0, 'a'), Ok(()));
        assert_eq!(disk.write(1, 'b'), Err(DiskFault::Failed));
        assert_eq!(disk.write(1, 'b'), Ok(()));
        assert_eq!(disk.write(2, 'c'), Err(DiskFault::Full));
        assert_eq!(disk.write(1, 'd'), Ok(()), "what is there may change");
        disk.erase(0);
        assert_eq!((disk.write(2, 'c'), disk.read(0), disk.read(1)), (Ok(()), None, Some('d')));
        disk.wipe();
        assert_eq!((disk.held(), disk.read(1)), (0, None));
    }
}
