//! A body of several parts (multipart/byteranges), read strictly: those parts that were asked for, in their order.
//!
//! Knows: delimiters, the head of a part, how much of it is still to come (RNG-17, HTTP-4). Does not know: connections,
//! versions. Whatever is not as it was asked for ends the reading: the caller then asks for one part at a time.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use peer_proto::content::ByteRange;

use super::answer::ContentRange;

/// Bytes of a delimiter and the head of a part.
const HEAD_LEN_MAX: usize = 4 * 1024;
/// Letters of a boundary (RFC 2046, 5.1.1).
const BOUNDARY_LEN_MAX: usize = 70;
/// Line ends between the answer's head and the first boundary.
const LINE_ENDS_MAX: usize = 2;

/// The answer has not exactly the parts that were asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NotAsAsked;

/// Reads the parts of one answer.
#[derive(Debug)]
pub(super) struct Multipart {
    /// Two hyphens and the boundary.
    delimiter: Vec<u8>,
    /// Parts whose heads are still to come.
    wanted: VecDeque<ByteRange>,
    file_len: Option<u64>,
    held: BytesMut,
    /// Bytes of the part that is being read.
    left: usize,
    is_first: bool,
}

impl Multipart {
    /// A reader of an answer with this boundary, of a file that is so long.
    pub(super) fn new(boundary: &str, wanted: &[ByteRange], file_len: Option<u64>) -> Self {
        Self {
            delimiter: format!("--{boundary}").into_bytes(),
            wanted: wanted.iter().copied().collect(),
            file_len,
            held: BytesMut::new(),
            left: 0,
            is_first: true,
        }
    }

    /// Takes what came.
    pub(super) fn feed(&mut self, bytes: &Bytes) {
        self.held.extend_from_slice(bytes);
    }

    /// Whether every byte of every part was handed out.
    pub(super) fn is_complete(&self) -> bool {
        self.left == 0 && self.wanted.is_empty()
    }

    /// The next part, whole; `None` if more must come first, or all parts are complete. A part is handed out once the
    /// delimiter behind it is there: one that is shorter or longer than its head says never is.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, NotAsAsked> {
        if self.is_complete() || (self.left == 0 && !self.head()?) {
            return Ok(None);
        }
        let behind = self.held.get(self.left..).unwrap_or_default();
        let line_end = b"\r\n".iter().chain(&self.delimiter);
        if !behind.iter().zip(line_end).all(|(one, other)| one == other) {
            return Err(NotAsAsked);
        }
        if behind.len() < self.delimiter.len() + 2 {
            return Ok(None);
        }
        let part = self.held.split_to(std::mem::take(&mut self.left));
        Ok(Some(part.freeze()))
    }

    /// Reads a delimiter and the head behind it. `false` if not all of it is there.
    fn head(&mut self) -> Result<bool, NotAsAsked> {
        let most = if self.is_first { LINE_ENDS_MAX } else { 1 };
        let at = self.held.chunks(2).take(most).take_while(|two| *two == b"\r\n").count() * 2;
        let Some(end) =
            self.held.windows(4).skip(at).position(|four| four == b"\r\n\r\n").map(|end| end + at)
        else {
            // What cannot become a head any more is not waited for.
            let begins = self
                .held
                .get(at..)
                .unwrap_or_default()
                .iter()
                .zip(&self.delimiter)
                .all(|(one, other)| one == other);
            let is_open = self.held.len() <= HEAD_LEN_MAX && (begins || self.held.len() < at + 2);
            return if is_open { Ok(false) } else { Err(NotAsAsked) };
        };
        if end > HEAD_LEN_MAX || (at == 0 && !self.is_first) {
            return Err(NotAsAsked);
        }
        let head = self.held.split_to(end + 4);
        let rest = head[at..end].strip_prefix(self.delimiter.as_slice()).ok_or(NotAsAsked)?;
        let text = std::str::from_utf8(rest).map_err(|_| NotAsAsked)?;
        let mut lines = text.split("\r\n");
        if !lines.next().is_some_and(|padding| padding.bytes().all(|byte| byte == b' ' || byte == b'\t')) {
            return Err(NotAsAsked);
        }
        let is_range = |line: &&str| {
            line.split(':').next().is_some_and(|name| name.eq_ignore_ascii_case("content-range"))
        };
        let mut ranges = lines.filter(is_range).filter_map(|line| line.split_once(':'));
        let (Some((_, value)), None) = (ranges.next(), ranges.next()) else { return Err(NotAsAsked) };
        let Some(ContentRange::Part { start, end, len }) = ContentRange::parse(value.trim()) else {
            return Err(NotAsAsked);
        };
        let is_len = len.is_none() || self.file_len.is_none() || len == self.file_len;
        match self.wanted.pop_front() {
            Some(wanted) if is_len && (wanted.start(), wanted.end()) == (start, end) => {
                self.left = usize::try_from(wanted.len()).map_err(|_| NotAsAsked)?;
                self.is_first = false;
                Ok(true)
            }
            _ => Err(NotAsAsked),
        }
    }
}

/// The boundary that a `Content-Type` names, if it is that of several ranges.
pub(super) fn boundary(content_type: &str) -> Option<&str> {
    let mut words = content_type.split(';').map(str::trim);
    if !words.next()?.eq_ignore_ascii_case("multipart/byteranges") {
        return None;
    }
    let value = words.find_map(|word| {
        let (name, value) = word.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    })?;
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' || byte == b' ';
    (!value.is_empty() && value.len() <= BOUNDARY_LEN_MAX && value.bytes().all(is_plain)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

    fn part(range: std::ops::Range<u64>) -> ByteRange {
        ByteRange::new(range).expect("not empty")
    }

    fn wanted() -> [ByteRange; 3] {
        [part(4..8), part(20..21), part(0..3)]
    }

    fn written(parts: &[ByteRange]) -> Vec<u8> {
        let mut body = Vec::new();
        for range in parts {
            let (start, end) = (range.start(), range.end());
            body.extend(
                format!(
                    "\r\n--xyz\r\nContent-Type: a/b\r\nContent-Range: bytes {start}-{}/36\r\n\r\n",
                    end - 1
                )
                .bytes(),
            );
            body.extend(&FILE[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()]);
        }
        body.extend(b"\r\n--xyz--\r\n");
        body
    }

    /// What is read of a body that comes in steps of so many bytes.
    fn read(body: &[u8], step: usize) -> Result<Vec<u8>, NotAsAsked> {
        let mut reader = Multipart::new("xyz", &wanted(), Some(36));
        let mut all = Vec::new();
        for chunk in body.chunks(step) {
            reader.feed(&Bytes::copy_from_slice(chunk));
            while let Some(bytes) = reader.next()? {
                all.extend(bytes);
            }
        }
        if reader.is_complete() { Ok(all) } else { Err(NotAsAsked) }
    }

    #[test]
    fn rng_17_exact_parts_are_read_whatever_the_steps_they_come_in() {
        let body = written(&wanted());
        for step in 1..=body.len() {
            assert_eq!(read(&body, step), Ok(b"4567k012".to_vec()), "steps of {step}");
        }
        // Also without the line end before the first delimiter, or with one more.
        assert_eq!(read(&body[2..], 7), Ok(b"4567k012".to_vec()));
        assert_eq!(read(&[b"\r\n", &body[..]].concat(), 7), Ok(b"4567k012".to_vec()));
    }

    #[test]
    fn rng_17_anything_else_is_not_as_it_was_asked_for() {
        let [one, two, three] = wanted();
        let body = written(&wanted());
        let text = String::from_utf8(body.clone()).unwrap();
        let bodies: [(&str, Vec<u8>); 11] = [
            ("another order", written(&[two, one, three])),
            ("merged", written(&[part(0..8), two])),
            ("one is missing", written(&[one, two])),
            ("one is shorter", written(&[part(4..7), two, three])),
            ("one twice", written(&[one, one, two, three])),
            ("another boundary", text.replace("xyz", "xyy").into_bytes()),
            (
                "a boundary that begins like it",
                text.replace("--xyz\r\nContent-T", "--xyz1\r\nContent-T").into_bytes(),
            ),
            ("another length", text.replace("/36", "/37").into_bytes()),
            ("no range", text.replace("Content-Range", "Content-Rage").into_bytes()),
            ("the file itself", FILE.repeat(3)),
            ("cut", body[..body.len() - 14].to_vec()),
        ];
        for (what, body) in bodies {
            for step in [1, 5, body.len()] {
                assert_eq!(read(&body, step), Err(NotAsAsked), "{what}, steps of {step}");
            }
        }
    }

    #[test]
    fn rng_17_a_head_without_an_end_is_not_waited_for() {
        let mut reader = Multipart::new("xyz", &wanted(), None);
        reader.feed(&Bytes::from(format!("--xyz\r\nX: {}", "x".repeat(HEAD_LEN_MAX))));
        assert_eq!(reader.next(), Err(NotAsAsked));
    }

    #[test]
    fn rng_17_boundaries_are_read_as_they_are_written() {
        for (text, expected) in [
            ("multipart/byteranges; boundary=abc", Some("abc")),
            ("Multipart/ByteRanges;x=1; Boundary=\"a b\"", Some("a b")),
            ("multipart/byteranges", None),
            ("multipart/mixed; boundary=abc", None),
            ("multipart/byteranges; boundary=", None),
            ("multipart/byteranges; boundary=a\u{e9}", None),
        ] {
            assert_eq!(boundary(text), expected, "{text}");
        }
        assert_eq!(boundary(&format!("multipart/byteranges; boundary={}", "a".repeat(71))), None);
    }
}
