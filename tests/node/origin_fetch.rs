//! The smallest downloader that is still right: probe, ask for what is missing, start again where the client says so.
//!
//! Knows: severities. Does not know: peers, files, patience; it never waits between attempts.

use std::time::Duration;

use nearbits::origin::{
    Origin, OriginConfig, OriginError, OriginSeverity, OriginSpan, ProxySettings, Url, parse_url,
};
use peer_proto::content::ByteRange;
use peer_proto::version::Version;

use super::origin_script::Scripted;

/// A client with short patience and no proxies.
pub(crate) fn config() -> OriginConfig {
    OriginConfig {
        proxy: ProxySettings::default(),
        connect_timeout: Duration::from_secs(5),
        head_timeout: Duration::from_secs(2),
        no_progress: Duration::from_millis(300),
        ..OriginConfig::default()
    }
}

pub(crate) fn client() -> Origin {
    Origin::new(config()).unwrap()
}

/// A client that believes this certificate.
pub(crate) fn client_trusting(ca_pem: &str, config: OriginConfig) -> Origin {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, ca_pem).unwrap();
    Origin::new(OriginConfig { extra_ca: Some(path), ..config }).unwrap()
}

pub(crate) fn url_of(origin: &Scripted) -> Url {
    parse_url(&origin.url("/file?token=secret")).unwrap()
}

/// What a download cost.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) bytes: Vec<u8>,
    /// Attempts that ended in an error that may pass.
    pub(crate) retries: u32,
    /// Times the file started again because the version changed.
    pub(crate) restarts: u32,
}

/// Downloads a file in pieces of at most `step` bytes, with at most 40 errors that may pass and 5 restarts.
pub(crate) async fn fetch_in_steps(origin: &Origin, url: &Url, step: u64) -> Result<Fetched, OriginError> {
    let mut state = Fetching { have: Vec::new(), pinned: None, ranges: true, retries: 0, restarts: 0 };
    loop {
        match state.attempt(origin, url, step).await {
            Ok(true) => {
                return Ok(Fetched { bytes: state.have, retries: state.retries, restarts: state.restarts });
            }
            Ok(false) => {}
            Err(error) => state.digest(error)?,
        }
    }
}

pub(crate) async fn fetch(origin: &Origin, url: &Url) -> Result<Fetched, OriginError> {
    fetch_in_steps(origin, url, u64::MAX).await
}

struct Fetching {
    have: Vec<u8>,
    pinned: Option<Version>,
    ranges: bool,
    retries: u32,
    restarts: u32,
}

impl Fetching {
    async fn attempt(&mut self, origin: &Origin, url: &Url, step: u64) -> Result<bool, OriginError> {
        let pinned = match &self.pinned {
            Some(pinned) => pinned.clone(),
            None => {
                let answer = origin.probe(url).await?;
                self.ranges = answer.ranges;
                self.pinned.insert(answer.version).clone()
            }
        };
        let have = u64::try_from(self.have.len()).unwrap();
        let can_resume = self.ranges && pinned.can_resume();
        let span = match pinned.len {
            Some(len) if have == len => return Ok(true),
            Some(len) if can_resume => {
                OriginSpan::Range(ByteRange::new(have..have.saturating_add(step).min(len)).unwrap())
            }
            _ => {
                self.have.clear();
                OriginSpan::Whole
            }
        };
        let mut body = origin.open(url, span, Some(&pinned)).await?;
        assert_eq!(body.version(), &pinned);
        assert_eq!(body.start(), u64::try_from(self.have.len()).unwrap());
        while let Some(bytes) = body.next().await? {
            self.have.extend_from_slice(&bytes);
        }
        assert!(body.is_finished());
        assert_eq!(body.end(), Some(u64::try_from(self.have.len()).unwrap()));
        Ok(pinned.len.is_none() || pinned.len == Some(u64::try_from(self.have.len()).unwrap()))
    }

    fn digest(&mut self, error: OriginError) -> Result<(), OriginError> {
        let text = error.to_string();
        assert!(!text.contains("secret") && text.lines().count() == 1, "{text}");
        match error.severity() {
            OriginSeverity::Transient { .. } if self.retries < 40 => self.retries += 1,
            OriginSeverity::NoRanges => self.ranges = false,
            OriginSeverity::VersionChanged if self.restarts < 5 => {
                self.restarts += 1;
                self.have.clear();
                self.pinned = None;
            }
            OriginSeverity::Transient { .. } | OriginSeverity::Fatal | OriginSeverity::VersionChanged => {
                return Err(error);
            }
        }
        Ok(())
    }
}
