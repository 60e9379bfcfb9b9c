//! What passes the control door about what attestors signed.
//!
//! Knows: the shapes of their JSON, what a word of a person's means. Does not know: who may take what back.

use peer_proto::digest::bytes_from_hex;
use peer_proto::void::Void;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AttestationView, Problem, ProblemKind};

/// Digits of an attestation's id that are enough to name it.
const DIGITS_MIN: usize = 8;

/// Something an attestor signed that is to count no more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TakeBack {
    /// Its id, or the first eight digits of it or more; or the URL, for all that this node's holder said of it.
    pub what: String,
    /// Why, for people: at most 200 bytes.
    #[serde(default)]
    pub reason: String,
    /// A void that the group's key signed, as hexadecimal digits: then it need not be this node's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub void: Option<String>,
}

impl TakeBack {
    /// Those of a node's attestations that are meant.
    ///
    /// # Errors
    /// None is, or an id's first digits mean several.
    pub fn meant(&self, known: Vec<AttestationView>) -> Result<Vec<AttestationView>, Problem> {
        let is_id = self.what.len() >= DIGITS_MIN && self.what.bytes().all(|digit| digit.is_ascii_hexdigit());
        let is_meant =
            |one: &AttestationView| one.url == self.what || (is_id && one.id.starts_with(&self.what));
        let meant: Vec<AttestationView> = known.into_iter().filter(is_meant).collect();
        match meant.len() {
            0 => {
                let words = format!("no attestation has the id or the URL {:?}", self.what);
                Err(Problem::new(ProblemKind::NotFound, words))
            }
            1 => Ok(meant),
            count if is_id => {
                let words = format!("{count} attestations have ids that begin with {}", self.what);
                Err(Problem::new(ProblemKind::Usage, words))
            }
            _ => Ok(meant),
        }
    }

    /// The void that was handed in, if one was.
    ///
    /// # Errors
    /// It is none.
    pub fn signed(&self) -> Result<Option<Void>, Problem> {
        let Some(text) = &self.void else { return Ok(None) };
        let void = bytes_from_hex(text).and_then(|bytes| Void::parse(bytes.into()).ok());
        void.map(Some)
            .ok_or_else(|| Problem::new(ProblemKind::Usage, "what was handed in is no void".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(id: &str, url: &str) -> AttestationView {
        AttestationView { id: id.repeat(8), url: url.into(), ..AttestationView::default() }
    }

    #[test]
    fn an_attestation_is_meant_by_its_url_or_by_eight_digits_of_its_id() {
        let all = || {
            vec![
                known("aabbccdd", "https://a.test/1"),
                known("aabbccdd", "https://a.test/2"),
                known("01234567", "https://a.test/1"),
            ]
        };
        let meant = |what: &str| {
            let wish = TakeBack { what: what.into(), reason: String::new(), void: None };
            wish.meant(all()).map(|meant| meant.len()).map_err(|problem| problem.kind)
        };
        assert_eq!(meant("https://a.test/1"), Ok(2));
        assert_eq!(meant("01234567"), Ok(1));
        assert_eq!(meant("0123456"), Err(ProblemKind::NotFound), "too short");
        assert_eq!(meant("aabbccdd"), Err(ProblemKind::Usage), "two of them");
        assert_eq!(meant("https://a.test/3"), Err(ProblemKind::NotFound));
    }
}
