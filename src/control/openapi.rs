//! What the control door can be asked, as an OpenAPI document made from the code.
//!
//! Knows: which requests there are; the values' own types say the rest. Does not know: what they do.

use axum::Json;
use utoipa::OpenApi;

use super::{attested, cached, group, peers, ranges, verbs};

/// The document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "nearbits",
        description = "The control door of a node: HTTP/1.1 over a Unix socket, for the user whose node it is.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    paths(
        verbs::status,
        verbs::jobs,
        verbs::submit,
        verbs::job,
        verbs::change,
        verbs::spec,
        verbs::files,
        verbs::validate,
        ranges::filled,
        ranges::request,
        ranges::seek,
        verbs::command,
        verbs::job_events,
        verbs::why,
        verbs::all_events,
        verbs::policy,
        verbs::explained,
        peers::known,
        peers::add,
        peers::remove,
        peers::clear,
        peers::discover,
        cached::records,
        cached::record_shown,
        cached::remove_record,
        cached::remove_records,
        cached::verify_record,
        cached::cache,
        cached::limit_cache,
        group::group,
        group::offer,
        group::leave,
        attested::attestations,
        attested::take_back,
        group::ticket,
        verbs::flags,
        verbs::set_flags,
        document,
    )
)]
struct Document;

/// This document.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    tag = "node",
    responses((status = 200, description = "This document", body = serde_json::Value)),
)]
pub(super) async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// The methods of each path.
    type Requests = BTreeMap<String, BTreeSet<String>>;

    fn documented() -> Requests {
        let document = serde_json::to_value(Document::openapi()).expect("plain values");
        let paths = document["paths"].as_object().expect("paths");
        let methods =
            |value: &serde_json::Value| value.as_object().expect("methods").keys().cloned().collect();
        paths.iter().map(|(path, value)| (path.clone(), methods(value))).collect()
    }

    /// What the router answers, read from its source: it does not tell.
    fn routed() -> Requests {
        let source = include_str!("verbs.rs").split("async fn").next().expect("the router");
        let routes = source.split(".route(\"").skip(1);
        routes
            .map(|route| {
                let (path, rest) = route.split_once("\",").expect("a path");
                let handlers = rest.split(".route(").next().expect("its handlers");
                let methods = ["get", "post", "put", "patch", "delete"];
                let named = methods.into_iter().filter(|method| handlers.contains(&format!("{method}(")));
                (path.to_owned(), named.map(str::to_owned).collect())
            })
            .collect()
    }

    #[test]
    fn every_request_is_in_the_document_and_nothing_else() {
        assert_eq!(documented(), routed());
    }

    #[test]
    fn the_document_changes_only_when_somebody_means_it() {
        let text = serde_json::to_string_pretty(&Document::openapi()).expect("plain values") + "\n";
        let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
        if std::env::var_os("NEARBITS_KEEP").is_some() {
            std::fs::write(kept, &text).expect("writable");
        }
        let before = std::fs::read_to_string(kept).expect("docs/openapi.json is there");
        let changed: Vec<_> =
            text.lines().zip(before.lines()).filter(|(now, then)| now != then).take(3).collect();
        assert!(
            text == before,
            "docs/openapi.json is not what the code says, first in {changed:?}: if that is meant, run this test with NEARBITS_KEEP=1"
        );
    }
}
