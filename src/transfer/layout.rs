//! Which bytes of a remote file make the local one (RNG-4).
//!
//! This is the one place that knows of both. Everybody else sees the local file only: its length, and a version whose
//! `len` is the local length and whose `final_origin` also names the ranges and the remote length, so that other
//! ranges, or another remote length, are another version. Knows: offsets. Does not know: HTTP, pieces.

use std::collections::VecDeque;

use peer_proto::content::ByteRange;
use peer_proto::version::Version;

use crate::job::RemoteRange;

/// Why parts of a remote file cannot be had. None of it passes by itself.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum LayoutError {
    /// RNG-5.
    #[error(
        "the range of {} from byte {} lies outside the remote file, which has {remote_len} bytes",
        .range.len.map_or_else(|| "all".to_owned(), |len| format!("{len} bytes")), .range.offset
    )]
    Outside { range: RemoteRange, remote_len: u64 },
    /// RNG-6.
    #[error("the origin does not answer range requests, and the file is made of ranges")]
    NoRanges,
    /// RNG-6: a range to the end needs an end.
    #[error("the origin does not say how long the remote file is, and a range goes to its end")]
    NoLength,
    /// More than can be counted.
    #[error("the ranges together are too long")]
    TooLong,
}

/// A local file as parts of a remote one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Layout {
    /// The local offset of each part, and its bytes in the remote file. In local order, without gaps.
    parts: Vec<(u64, ByteRange)>,
    len: u64,
    remote_len: Option<u64>,
    tag: String,
}

impl Layout {
    /// The layout of a file with these ranges; `None` if it is all of the remote file, in its order.
    pub(super) fn of(ranges: &[RemoteRange], remote_len: Option<u64>) -> Result<Option<Self>, LayoutError> {
        let (mut parts, mut len) = (Vec::<(u64, ByteRange)>::new(), 0_u64);
        let mut hasher = blake3::Hasher::new();
        let from_zero = |range: &RemoteRange| range.offset == 0 && range.len.is_none();
        if ranges.is_empty() || matches!(ranges, [only] if from_zero(only)) {
            return Ok(None);
        }
        for range in ranges {
            hasher.update(&range.offset.to_le_bytes());
            hasher.update(&range.len.map_or(0, u64::from).to_le_bytes());
            let bytes = resolve(*range, remote_len)?;
            match parts.last_mut() {
                // What lies back to back there as well is asked for in one.
                Some((_, before)) if before.end() == bytes.start() => {
                    *before = ByteRange::new(before.start()..bytes.end()).ok_or(LayoutError::TooLong)?;
                }
                _ => parts.push((len, bytes)),
            }
            len = len.checked_add(bytes.len()).ok_or(LayoutError::TooLong)?;
        }
        let is_all = matches!(&parts[..], [(_, all)] if all.start() == 0 && Some(all.end()) == remote_len);
        let tag = hasher.finalize().to_hex()[..TAG_LEN].to_owned();
        Ok((!is_all).then_some(Self { parts, len, remote_len, tag }))
    }

    /// What a lease works with: the remote version that is behind a local one, and the layout if the file has one.
    pub(super) fn behind(
        pinned: &Version,
        ranges: &[RemoteRange],
    ) -> Result<(Version, Option<Self>), LayoutError> {
        let Some((place, told)) = pinned.final_origin.split_once(MARK) else {
            return Ok((pinned.clone(), None));
        };
        let remote_len = told.rsplit_once(' ').and_then(|(_, len)| len.parse().ok());
        let remote = Version { final_origin: place.to_owned(), len: remote_len, ..pinned.clone() };
        Ok((remote, Self::of(ranges, remote_len)?))
    }

    /// The version of the local file, made of that of the remote one.
    pub(super) fn local_version(&self, remote: Version) -> Version {
        let remote_len = self.remote_len.map_or_else(|| "unknown".to_owned(), |len| len.to_string());
        let final_origin = format!("{}{MARK}{} of {remote_len}", remote.final_origin, self.tag);
        Version { final_origin, len: Some(self.len), ..remote }
    }

    /// All of the local file; `None` if it is empty.
    pub(super) fn whole(&self) -> Option<ByteRange> {
        ByteRange::new(0..self.len)
    }

    /// The remote bytes of a local range, in the order in which they are wanted.
    pub(super) fn remote(&self, local: ByteRange) -> VecDeque<ByteRange> {
        let covered = self.parts.iter().filter_map(|(at, bytes)| {
            let start = local.start().max(*at);
            let end = local.end().min(at.saturating_add(bytes.len()));
            let skip = bytes.start().checked_sub(*at);
            // A part may lie before or after its local place.
            let there = |offset: u64| match skip {
                Some(skip) => offset.saturating_add(skip),
                None => offset.saturating_sub(at - bytes.start()),
            };
            if start < end { ByteRange::new(there(start)..there(end)) } else { None }
        });
        covered.collect()
    }
}

fn resolve(range: RemoteRange, remote_len: Option<u64>) -> Result<ByteRange, LayoutError> {
    let outside = |remote_len| LayoutError::Outside { range, remote_len };
    let end = match (range.len, remote_len) {
        (Some(len), _) => range.offset.checked_add(len.get()).ok_or(LayoutError::TooLong)?,
        (None, Some(remote_len)) => remote_len,
        (None, None) => return Err(LayoutError::NoLength),
    };
    if let Some(remote_len) = remote_len.filter(|remote_len| end > *remote_len) {
        return Err(outside(remote_len));
    }
    ByteRange::new(range.offset..end).ok_or_else(|| outside(end))
}

/// Stands between the place that answered and the ranges, in a version. No place has a blank in it.
const MARK: &str = " ranges ";
/// Hexadecimal digits that tell one list of ranges from another.
const TAG_LEN: usize = 16;

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    fn ranges(list: &[(u64, u64)]) -> Vec<RemoteRange> {
        list.iter().map(|(offset, len)| RemoteRange { offset: *offset, len: NonZeroU64::new(*len) }).collect()
    }

    fn layout(list: &[(u64, u64)], remote_len: Option<u64>) -> Layout {
        Layout::of(&ranges(list), remote_len).expect("inside").expect("parts")
    }

    fn remote(layout: &Layout, local: std::ops::Range<u64>) -> Vec<std::ops::Range<u64>> {
        let local = ByteRange::new(local).expect("not empty");
        layout.remote(local).iter().map(|range| range.start()..range.end()).collect()
    }

    fn version(len: Option<u64>) -> Version {
        let etag = Some("\"a\"".into());
        Version { final_origin: "https://a.example:443".into(), etag, last_modified: None, len }
    }

    #[test]
    fn rng_4_ranges_lie_back_to_back_in_the_order_given() {
        let layout = layout(&[(100, 100), (900, 100), (400, 100)], Some(1_000));
        assert_eq!(layout.whole(), ByteRange::new(0..300));
        assert_eq!(remote(&layout, 0..300), [100..200, 900..1_000, 400..500]);
        assert_eq!(remote(&layout, 150..250), [950..1_000, 400..450]);
        assert_eq!(remote(&layout, 199..201), [999..1_000, 400..401]);
    }

    #[test]
    fn rng_4_every_local_byte_has_its_remote_byte() {
        let list = [(7, 3), (0, 2), (2, 4), (40, 0), (20, 1)];
        let layout = layout(&list, Some(45));
        let bytes: Vec<u64> = [7..10, 0..2, 2..6, 40..45, 20..21].into_iter().flatten().collect();
        for start in 0..bytes.len() {
            for end in start + 1..=bytes.len() {
                let got = remote(&layout, start as u64..end as u64);
                assert_eq!(
                    got.into_iter().flatten().collect::<Vec<_>>(),
                    bytes[start..end],
                    "{start}..{end}"
                );
            }
        }
        assert_eq!(
            remote(&layout, 0..15),
            [7..10, 0..6, 40..45, 20..21],
            "one request for what lies together"
        );
    }

    #[test]
    fn http_8_a_range_of_the_whole_file_is_no_range() {
        for list in [&[][..], &[(0, 9)], &[(0, 0)], &[(0, 4), (4, 0)], &[(0, 4), (4, 5)]] {
            assert_eq!(Layout::of(&ranges(list), Some(9)), Ok(None), "{list:?}");
        }
        assert_eq!(Layout::of(&ranges(&[(0, 0)]), None), Ok(None));
        for list in [&[(0, 8)][..], &[(4, 5), (0, 4)], &[(1, 0)]] {
            assert!(Layout::of(&ranges(list), Some(9)).expect("inside").is_some(), "{list:?}");
        }
    }

    #[test]
    fn rng_5_what_lies_outside_is_refused() {
        for list in [(0, 10), (9, 1), (9, 0), (10, 0), (u64::MAX - 1, 1)] {
            let refused = Layout::of(&ranges(&[(0, 1), list]), Some(9)).unwrap_err();
            assert!(matches!(refused, LayoutError::Outside { remote_len: 9, .. }), "{list:?}: {refused}");
        }
        assert_eq!(Layout::of(&ranges(&[(u64::MAX, 2)]), None), Err(LayoutError::TooLong));
        assert_eq!(Layout::of(&ranges(&[(0, u64::MAX), (0, 1)]), None), Err(LayoutError::TooLong));
    }

    #[test]
    fn rng_6_a_range_to_an_unknown_end_is_refused() {
        assert_eq!(Layout::of(&ranges(&[(0, 1), (5, 0)]), None), Err(LayoutError::NoLength));
        assert_eq!(layout(&[(0, 1), (5, 2)], None).whole(), ByteRange::new(0..3));
    }

    #[test]
    fn other_ranges_or_another_remote_length_are_another_version() {
        let list = [(100, 100), (900, 50)];
        for remote_len in [Some(1_000), None] {
            let wanted = layout(&list, remote_len);
            let local = wanted.local_version(version(remote_len));
            assert_eq!(local.len, Some(150));
            let behind = Layout::behind(&local, &ranges(&list)).expect("inside");
            assert_eq!(behind, (version(remote_len), Some(wanted.clone())));
            let swapped = layout(&[(900, 50), (100, 100)], remote_len);
            assert!(!local.is_same(&swapped.local_version(version(remote_len))));
            let grown = layout(&list, Some(1_001)).local_version(version(Some(1_001)));
            assert!(!local.is_same(&grown));
        }
        let plain = Layout::behind(&version(Some(9)), &ranges(&[(0, 9)]));
        assert_eq!(plain, Ok((version(Some(9)), None)));
    }
}
