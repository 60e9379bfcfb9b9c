//! What the control door is asked about peers.
//!
//! Knows: HTTP and the values of `api`. Does not know: how peers are found.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::{Extension, Json};

use super::api::{
    AddPeer, Code, FlagsShown, PeerFlags, PeerRow, PeersAsked, PeersForgotten, PolicyRow, PolicyShown,
    PolicySource, Problem, ProblemKind, WhichPeer,
};
use super::server::Desk;
use super::verbs::{Answer, AnyDoor, BODY_LEN_MAX, By, administrators_only, read, refusal};

#[utoipa::path(
    get,
    path = "/v1/peers",
    tag = "peers",
    responses(
        (status = 200, description = "The peers it knows", body = Vec<PeerRow>),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn known<D: Desk>(State(door): AnyDoor<D>, Extension(by): By) -> Answer<Vec<PeerRow>> {
    administrators_only(by)?;
    Ok(Json(door.desk.peers().await?))
}

#[utoipa::path(
    post,
    path = "/v1/peers",
    tag = "peers",
    request_body = AddPeer,
    responses(
        (status = 200, description = "It is tried from now on; if it is to be kept, that is durable", body = ()),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn add<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    body: axum::body::Body,
) -> Answer<()> {
    administrators_only(by)?;
    door.desk.add_peer(read(body, BODY_LEN_MAX).await?).await?;
    Ok(Json(()))
}

#[utoipa::path(
    delete,
    path = "/v1/peers/added",
    tag = "peers",
    params(WhichPeer),
    responses(
        (status = 200, description = "It is not tried any more, durably; a session goes on", body = ()),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn remove<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    which: Result<Query<WhichPeer>, QueryRejection>,
) -> Answer<()> {
    administrators_only(by)?;
    let Query(WhichPeer { address }) =
        which.map_err(|error| refusal(ProblemKind::Usage, error.body_text()))?;
    door.desk.remove_peer(address).await?;
    Ok(Json(()))
}

#[utoipa::path(
    delete,
    path = "/v1/peers",
    tag = "peers",
    responses(
        (status = 200, description = "How many were forgotten; sessions, bans and configured peers stay", body = PeersForgotten),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn clear<D: Desk>(State(door): AnyDoor<D>, Extension(by): By) -> Answer<PeersForgotten> {
    administrators_only(by)?;
    Ok(Json(PeersForgotten { peers: door.desk.forget_peers().await? }))
}

#[utoipa::path(
    post,
    path = "/v1/peers/discovery",
    tag = "peers",
    responses(
        (status = 200, description = "Whether the network is asked now; who answers shows up in the list", body = PeersAsked),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn discover<D: Desk>(State(door): AnyDoor<D>, Extension(by): By) -> Answer<PeersAsked> {
    administrators_only(by)?;
    let flags = door.desk.flags().await?;
    if flags.holds() == PeerFlags::NONE {
        return Err(switched_off(&flags, &door.desk.policy().await?).into());
    }
    Ok(Json(PeersAsked { asked: door.desk.discover_peers().await? }))
}

/// Peers are of no use to this machine, and the other way round (CACHE-14): who said so, and what changes it.
fn switched_off(flags: &FlagsShown, policy: &PolicyShown) -> Problem {
    let says = |row: &PolicyRow, value: &str| {
        row.name == "enable-peer-caching" && row.source == PolicySource::Policy && row.value == value
    };
    let is_said = |value: &str| policy.rows.iter().any(|row| says(row, value));
    let file = policy.file.display();
    let why = if is_said("off") {
        format!("enable-peer-caching = false in {file}")
    } else if is_said("on") {
        format!("disable-peer-caching-client and disable-peer-caching-server are true in {file}")
    } else {
        "the computer's flags `client` and `server` are both off: `nearbits flags set client,server`"
            .to_owned()
    };
    let kept = if flags.preference == PeerFlags::NONE { "" } else { "; what this computer prefers is kept" };
    Problem::new(ProblemKind::Denied, format!("peer caching is off, no peer is looked for: {why}{kept}"))
        .with_code(Code::PeercachingDisabled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, value: &str) -> PolicyRow {
        let (id, effect) = ("POL-1".to_owned(), String::new());
        PolicyRow { id, name: name.into(), value: value.into(), source: PolicySource::Policy, effect }
    }

    #[test]
    fn cache_14_and_err_46_whoever_switched_peers_off_is_named_with_the_key_or_the_command() {
        let [on, off] = ["on", "off"].map(|value| row("enable-peer-caching", value));
        let unsaid =
            PolicyRow { source: PolicySource::Default, ..row("enable-peer-caching", "not configured") };
        for (rows, preference, words) in [
            (vec![unsaid], PeerFlags::NONE, "are both off: `nearbits flags set client,server`"),
            (vec![off.clone()], PeerFlags::NONE, "enable-peer-caching = false in /p"),
            (vec![off], PeerFlags::BOTH, "in /p; what this computer prefers is kept"),
            (vec![on], PeerFlags::BOTH, "disable-peer-caching-server are true in /p"),
        ] {
            let policy = PolicyShown { rows, file: "/p".into(), problem: None };
            let problem = switched_off(&FlagsShown::of(PeerFlags::NONE, preference), &policy);
            assert_eq!((problem.kind, problem.code), (ProblemKind::Denied, Some(Code::PeercachingDisabled)));
            assert!(problem.error.contains(words), "{words}: {}", problem.error);
        }
    }
}
