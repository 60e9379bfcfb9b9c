//! Which bytes of the remote file make the local one.
//!
//! Knows: that a file's ranges lie back to back, in the order given (RNG-4, 5). Does not know: how bytes are fetched.

use peer_proto::content::ByteRange;

use super::super::RemoteRange;
use super::error::Code;

/// Where each byte of a local file is in the remote one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RangeMap {
    /// In local order, back to back from zero.
    parts: Vec<Part>,
    local_len: Option<u64>,
}

/// A part of the remote file and where it begins in the local one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Part {
    local_start: u64,
    remote_start: u64,
    /// `None`: as far as the remote file goes.
    len: Option<u64>,
}

/// Why ranges and a remote file do not go together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RangeError {
    /// RNG-5.
    #[error("range {range} lies outside the remote file, which has {remote_len} bytes")]
    Outside {
        /// Which range, from zero.
        range: usize,
        /// Bytes of the remote file.
        remote_len: u64,
    },
    /// Something lies behind a range to the end, and nobody knows where that is.
    #[error("range {range} reaches to the end of a file whose length is not known, and is not the last one")]
    EndUnknown {
        /// Which range, from zero.
        range: usize,
    },
    /// Together they are longer than a file can be.
    #[error("the ranges have more bytes together than a file can have")]
    TooLong,
}

impl RangeError {
    /// BITS' code for it.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Outside { .. } | Self::TooLong => Code::InvalidRange,
            Self::EndUnknown { .. } => Code::MissingFileSize,
        }
    }
}

impl RangeMap {
    /// The map of a file with these ranges, which [`super::spec::Spec::check`] has accepted; none is the whole file.
    /// Without the length of the remote file nothing is found to be outside of it.
    ///
    /// # Errors
    /// [`RangeError`]: the job's error, with its [`RangeError::code`].
    pub fn new(ranges: &[RemoteRange], remote_len: Option<u64>) -> Result<Self, RangeError> {
        if ranges.is_empty() {
            let whole = Part { local_start: 0, remote_start: 0, len: remote_len };
            return Ok(Self { parts: vec![whole], local_len: remote_len });
        }
        let mut parts = Vec::with_capacity(ranges.len());
        let mut next = Some(0_u64);
        for (index, range) in ranges.iter().enumerate() {
            let local_start = next.ok_or(RangeError::EndUnknown { range: index.saturating_sub(1) })?;
            let len = len_of(index, range, remote_len)?;
            parts.push(Part { local_start, remote_start: range.offset, len });
            next = match len {
                Some(len) => Some(local_start.checked_add(len).ok_or(RangeError::TooLong)?),
                None => None,
            };
        }
        Ok(Self { parts, local_len: next })
    }

    /// Bytes of the local file; `None` as long as the remote file's length is needed for it and not known.
    #[must_use]
    pub const fn local_len(&self) -> Option<u64> {
        self.local_len
    }

    /// Whether local and remote offsets are the same for every byte there is.
    #[must_use]
    pub fn is_whole(&self, remote_len: Option<u64>) -> bool {
        matches!(self.parts.as_slice(), [Part { remote_start: 0, len, .. }] if *len == remote_len)
    }

    /// The remote bytes that make these local ones, in local order; one range for each part that is touched. What lies
    /// beyond the local file's end is left out.
    pub fn remote_of(&self, local: ByteRange) -> impl Iterator<Item = ByteRange> {
        let first = self.parts.partition_point(|part| part.local_end() <= local.start());
        self.parts[first..].iter().map_while(move |part| part.remote_of(local))
    }
}

impl Part {
    fn local_end(self) -> u64 {
        self.len.map_or(u64::MAX, |len| self.local_start.saturating_add(len))
    }

    fn remote_of(self, local: ByteRange) -> Option<ByteRange> {
        let shared = ByteRange::new(self.local_start..self.local_end())?.intersection(local)?;
        let start = self.remote_start.checked_add(shared.start() - self.local_start)?;
        ByteRange::new(start..start.saturating_add(shared.len()))
    }
}

/// Bytes of a range; `None` if it reaches to an end that nobody knows.
fn len_of(index: usize, range: &RemoteRange, remote_len: Option<u64>) -> Result<Option<u64>, RangeError> {
    let Some(remote_len) = remote_len else { return Ok(range.len.map(std::num::NonZeroU64::get)) };
    let outside = RangeError::Outside { range: index, remote_len };
    let left = remote_len.checked_sub(range.offset).filter(|left| *left > 0).ok_or(outside)?;
    match range.len {
        Some(len) if len.get() > left => Err(outside),
        Some(len) => Ok(Some(len.get())),
        None => Ok(Some(left)),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use proptest::prelude::*;

    use super::*;

    fn range(offset: u64, len: u64) -> RemoteRange {
        RemoteRange { offset, len: NonZeroU64::new(len) }
    }

    /// As the length, to the end.
    const TO_END: u64 = 0;

    fn bytes(start: u64, end: u64) -> ByteRange {
        ByteRange::new(start..end).unwrap()
    }

    fn remote(map: &RangeMap, local: ByteRange) -> Vec<ByteRange> {
        map.remote_of(local).collect()
    }

    #[test]
    fn rng_4_ranges_lie_back_to_back_in_the_order_given() {
        let map = RangeMap::new(&[range(100, 100), range(900, 100), range(400, 100)], Some(1_000)).unwrap();
        assert_eq!(map.local_len(), Some(300));
        assert_eq!(remote(&map, bytes(0, 300)), [bytes(100, 200), bytes(900, 1_000), bytes(400, 500)]);
        assert_eq!(remote(&map, bytes(199, 201)), [bytes(999, 1_000), bytes(400, 401)]);
        assert_eq!(remote(&map, bytes(100, 200)), [bytes(900, 1_000)]);
        assert_eq!(remote(&map, bytes(299, 999)), [bytes(499, 500)]);
        assert_eq!(remote(&map, bytes(300, 301)), []);
    }

    #[test]
    fn rng_4_no_ranges_are_the_whole_file() {
        let map = RangeMap::new(&[], Some(10)).unwrap();
        assert_eq!((map.local_len(), map.is_whole(Some(10))), (Some(10), true));
        assert_eq!(remote(&map, bytes(3, 20)), [bytes(3, 10)]);
        let map = RangeMap::new(&[], None).unwrap();
        assert_eq!((map.local_len(), map.is_whole(None)), (None, true));
        assert_eq!(remote(&map, bytes(3, 20)), [bytes(3, 20)]);
        assert_eq!(RangeMap::new(&[], Some(0)).unwrap().local_len(), Some(0));
    }

    #[test]
    fn rng_1_a_range_to_the_end_has_what_is_left_of_the_file() {
        let ranges = [range(4, 2), range(7, TO_END)];
        let map = RangeMap::new(&ranges, Some(10)).unwrap();
        assert_eq!(map.local_len(), Some(5));
        assert_eq!(remote(&map, bytes(0, 5)), [bytes(4, 6), bytes(7, 10)]);
        let unknown = RangeMap::new(&ranges, None).unwrap();
        assert_eq!(unknown.local_len(), None);
        assert_eq!(remote(&unknown, bytes(1, 100)), [bytes(5, 6), bytes(7, 105)]);
        assert!(RangeMap::new(&[range(0, TO_END)], Some(10)).unwrap().is_whole(Some(10)));
        assert!(!RangeMap::new(&[range(1, TO_END)], Some(10)).unwrap().is_whole(Some(10)));
    }

    #[test]
    fn rng_1_nothing_lies_behind_an_end_that_is_not_known() {
        let ranges = [range(7, TO_END), range(0, 2)];
        assert_eq!(RangeMap::new(&ranges, Some(10)).map(|map| map.local_len()), Ok(Some(5)));
        let error = RangeMap::new(&ranges, None).unwrap_err();
        assert_eq!((error, error.code()), (RangeError::EndUnknown { range: 0 }, Code::MissingFileSize));
    }

    #[test]
    fn rng_5_a_range_outside_the_remote_file_is_an_error() {
        for (offset, len) in [(10, 1), (9, 2), (10, TO_END), (11, TO_END), (u64::MAX, 1)] {
            let error = RangeMap::new(&[range(0, 1), range(offset, len)], Some(10)).unwrap_err();
            assert_eq!(error, RangeError::Outside { range: 1, remote_len: 10 }, "{offset} {len}");
            assert_eq!(error.code(), Code::InvalidRange);
        }
        assert!(RangeMap::new(&[range(9, 1)], Some(10)).is_ok());
        assert!(RangeMap::new(&[range(99, 1)], None).is_ok());
    }

    #[test]
    fn ranges_at_the_end_of_the_numbers_do_not_wrap() {
        let map = RangeMap::new(&[range(u64::MAX - 2, TO_END)], None).unwrap();
        assert_eq!(remote(&map, bytes(0, 100)), [bytes(u64::MAX - 2, u64::MAX)]);
        assert_eq!(remote(&map, bytes(50, 100)), []);
        let twice = [range(0, u64::MAX), range(0, u64::MAX)];
        assert_eq!(RangeMap::new(&twice, None), Err(RangeError::TooLong));
    }

    proptest! {
        #[test]
        fn the_map_is_what_copying_byte_by_byte_gives(
            ranges in prop::collection::vec((0_u64..40, 0_u64..12), 0..6),
            remote_len in 1_u64..40,
            local in (0_u64..60, 1_u64..60),
        ) {
            let ranges: Vec<RemoteRange> =
                ranges.into_iter().map(|(offset, len)| range(offset, len)).collect();
            let copied: Option<Vec<u64>> = if ranges.is_empty() {
                Some((0..remote_len).collect())
            } else {
                let part = |range: &RemoteRange| {
                    let end = range.len.map_or(remote_len.max(range.offset), |len| range.offset + len.get());
                    let is_inside = range.offset < remote_len && end <= remote_len;
                    is_inside.then_some(range.offset..end)
                };
                ranges.iter().map(part).collect::<Option<Vec<_>>>().map(|parts| parts.into_iter().flatten().collect())
            };
            let map = RangeMap::new(&ranges, Some(remote_len)).ok();
            prop_assert_eq!(map.is_some(), copied.is_some());
            if let (Some(map), Some(copied)) = (map, copied) {
                prop_assert_eq!(map.local_len(), u64::try_from(copied.len()).ok());
                let asked = bytes(local.0, local.0 + local.1);
                let mapped: Vec<u64> = map.remote_of(asked).flat_map(ByteRange::as_range).collect();
                let wanted: Vec<u64> = (asked.as_range())
                    .filter_map(|place| copied.get(usize::try_from(place).ok()?).copied())
                    .collect();
                prop_assert_eq!(mapped, wanted);
            }
        }
    }
}
