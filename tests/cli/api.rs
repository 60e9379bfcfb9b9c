//! A client that knows nothing but the OpenAPI document, and a real daemon.
//!
//! Knows: HTTP over a Unix socket, and as much of JSON Schema as the document has. Does not know: any value of the
//! control door, any path but the document's own.

use std::path::PathBuf;
use std::time::Duration;

use nearbits::node::{Authority, parse_roles};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::support::{DEADLINE, Daemon, Home, Origin, payload};

/// The document, and where it holds.
struct Api {
    socket: PathBuf,
    document: Value,
}

/// An answer: its status, its kind, and its body or first event.
#[derive(Debug)]
struct Answer {
    status: u16,
    kind: String,
    body: Value,
}

impl Api {
    async fn learn(home: &Home) -> Self {
        let mut api = Self { socket: home.join("state/control.sock"), document: Value::Null };
        api.document = api.ask("get", "/v1/openapi.json", None).await.body;
        api
    }

    async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let stream = UnixStream::connect(&self.socket).await.expect("the daemon listens");
        let mut stream = BufReader::new(stream);
        let body = body.map(Value::to_string).unwrap_or_default();
        let head = format!(
            "{} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            method.to_uppercase(),
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).await.expect("it reads");
        tokio::time::timeout(Duration::from_secs(30), answer(&mut stream)).await.expect("an answer in time")
    }

    /// What a `$ref` names, or the schema itself.
    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema.get("$ref").and_then(Value::as_str) {
            Some(name) => {
                let pointer = name.strip_prefix('#').expect("a place in the document");
                self.resolved(self.document.pointer(pointer).expect("what a $ref names is there"))
            }
            None => schema,
        }
    }

    /// What is wrong with a value, if anything. A word of JSON Schema that is not known here is wrong too.
    fn fault(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let schema = self.resolved(schema).as_object().expect("a schema is an object");
        let wrong = |what: &str| Err(format!("{at}: {what}: {value}"));
        for (word, rule) in schema {
            match word.as_str() {
                "description" | "default" | "example" | "examples" | "format" | "properties" | "pattern" => {}
                "type" if !types(rule).any(|name| is_of_type(value, name)) => {
                    return wrong(&format!("not of type {rule}"));
                }
                "enum" if !rule.as_array().expect("values").contains(value) => return wrong("not listed"),
                "minimum" if value.as_f64() < rule.as_f64() && value.is_number() => {
                    return wrong("too small");
                }
                "minItems" if value.as_array().map(|items| items.len() as u64) < rule.as_u64() => {
                    return wrong("too few");
                }
                "type" | "enum" | "minimum" | "minItems" => {}
                "oneOf" => {
                    let ways = rule.as_array().expect("schemas");
                    let faults: Vec<_> =
                        ways.iter().filter_map(|way| self.fault(way, value, at).err()).collect();
                    if faults.len() + 1 != ways.len() {
                        return wrong(&format!("{} of oneOf fit: {faults:?}", ways.len() - faults.len()));
                    }
                }
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        // `false` stands behind `prefixItems`.
                        if rule.is_object() {
                            self.fault(rule, item, &format!("{at}[{index}]"))?;
                        }
                    }
                }
                "prefixItems" => {
                    for (rule, item) in
                        rule.as_array().expect("schemas").iter().zip(value.as_array().into_iter().flatten())
                    {
                        self.fault(rule, item, at)?;
                    }
                }
                "required" => {
                    let names = rule.as_array().expect("names").iter().filter_map(Value::as_str);
                    let missing = names.filter(|name| value.get(name).is_none());
                    if let Some(name) = missing.take(1).next().filter(|_| value.is_object()) {
                        return wrong(&format!("{name} is missing"));
                    }
                }
                "additionalProperties" => {}
                other => panic!("{at}: this client does not know {other:?}"),
            }
        }
        let known = schema.get("properties").and_then(Value::as_object);
        for (name, value) in value.as_object().into_iter().flatten() {
            match known.and_then(|known| known.get(name)) {
                Some(rule) => self.fault(rule, value, &format!("{at}.{name}"))?,
                // An answer must not say more than the document, lest clients miss it.
                None if known.is_some() => return Err(format!("{at}: {name} is not in the document")),
                None => {}
            }
        }
        Ok(())
    }

    /// The least that fits.
    fn sample(&self, schema: &Value) -> Value {
        let schema = self.resolved(schema);
        if let Some(example) = schema.get("example").or_else(|| schema.pointer("/examples/0")) {
            return example.clone();
        }
        if let Some(first) = schema.pointer("/enum/0") {
            return first.clone();
        }
        if let Some(first) = schema.pointer("/oneOf/0") {
            return self.sample(first);
        }
        let name = schema.get("type").and_then(|rule| types(rule).next()).unwrap_or("null");
        match name {
            "object" => {
                let names = schema.get("required").and_then(Value::as_array).into_iter().flatten();
                let names = names.map(|name| name.as_str().expect("a name").to_owned());
                let value = |name: &String| self.sample(&schema["properties"][name]);
                Value::Object(names.map(|name| (name.clone(), value(&name))).collect::<Map<_, _>>())
            }
            "array" if schema.get("minItems").is_some() => json!([self.sample(&schema["items"])]),
            "array" => json!([]),
            "string" => json!("text"),
            "boolean" => json!(true),
            "integer" | "number" => schema.get("minimum").cloned().unwrap_or(json!(0)),
            _ => Value::Null,
        }
    }

    /// Asks as the document says, and checks the answer against it.
    async fn follow(&self, path: &str, method: &str, job: &str) -> Result<Answer, String> {
        let body =
            self.document["paths"][path][method].pointer("/requestBody/content/application~1json/schema");
        let body = body.map(|schema| self.sample(schema));
        self.follow_with(path, method, job, body).await
    }

    /// The same with a body of the user's choice.
    async fn follow_with(
        &self,
        path: &str,
        method: &str,
        job: &str,
        body: Option<Value>,
    ) -> Result<Answer, String> {
        let request = &self.document["paths"][path][method];
        let mut place = path.to_owned();
        for parameter in request["parameters"].as_array().into_iter().flatten() {
            if parameter["in"] == "path" {
                let name = parameter["name"].as_str().expect("a name");
                let sample = match (name, parameter.get("example")) {
                    ("id", _) => json!(job),
                    (_, Some(example)) => example.clone(),
                    (_, None) => self.sample(&parameter["schema"]),
                };
                let text = sample.as_str().map_or_else(|| sample.to_string(), str::to_owned);
                place = place.replace(&format!("{{{name}}}"), &text);
            }
            if let (true, Some(example)) = (parameter["in"] == "query", parameter.get("example")) {
                let example = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
                place += &format!("?{}={example}", parameter["name"].as_str().expect("a name"));
            }
        }
        let answer = self.ask(method, &place, body.as_ref()).await;
        let responses = &request["responses"];
        let said = responses.get(answer.status.to_string()).or_else(|| responses.get("default"));
        let said = said.ok_or_else(|| format!("{method} {place}: {} is not expected", answer.status))?;
        let content = said["content"].as_object().ok_or("no content")?;
        let media = content.get(&answer.kind).ok_or_else(|| format!("{place}: kind {:?}", answer.kind))?;
        self.fault(&media["schema"], &answer.body, &format!("{method} {place}"))?;
        Ok(answer)
    }
}

fn types(rule: &Value) -> impl Iterator<Item = &str> {
    let several = rule.as_array().into_iter().flatten().filter_map(Value::as_str);
    rule.as_str().into_iter().chain(several)
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("this client does not know the type {other:?}"),
    }
}

async fn answer(stream: &mut BufReader<UnixStream>) -> Answer {
    let mut line = String::new();
    stream.read_line(&mut line).await.expect("a status line");
    let status = line.split(' ').nth(1).and_then(|text| text.parse().ok()).expect("a status");
    let (mut kind, mut len) = (String::new(), 0);
    loop {
        line.clear();
        stream.read_line(&mut line).await.expect("a header line");
        match line.trim().to_lowercase().split_once(": ") {
            Some(("content-type", value)) => value.clone_into(&mut kind),
            Some(("content-length", value)) => len = value.parse().expect("a length"),
            Some(_) => {}
            None => break,
        }
    }
    let body = if kind == "text/event-stream" {
        // The first event, whatever chunks it came in.
        loop {
            line.clear();
            assert!(stream.read_line(&mut line).await.expect("a line") > 0, "an event before the end");
            if let Some(data) = line.strip_prefix("data: ") {
                break serde_json::from_str(data.trim()).expect("JSON");
            }
        }
    } else {
        let mut body = vec![0; len];
        stream.read_exact(&mut body).await.expect("the whole body");
        serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{error}: {body:?}"))
    };
    Answer { status, kind, body }
}

/// What whoever runs a group would hand to this node.
async fn invitation(home: &Home, api: &Api) -> Value {
    let status = api.ask("get", "/v1/status", None).await.body;
    let peer = status["peer_id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    // A folder that was made just now says what time it is.
    let made = home.path().metadata().and_then(|found| found.modified()).expect("its time");
    let now = made.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let mut group = Authority::create(&home.join("branch.group"), "branch", now).expect("made");
    let line = group.grant(peer, parse_roles("fetch,serve").expect("roles"), None, now).expect("granted");
    json!({ "text": line, "replace": false })
}

#[tokio::test]
async fn the_document_alone_is_enough_to_ask_everything_there_is() {
    let home = Home::new();
    let origin = Origin::start(payload(100_000)).await;
    let daemon = Daemon::start(&home, &["--flags", "client,server"]).await;
    let api = Api::learn(&home).await;
    // What a user would fill in.
    let mut wish = api.sample(&json!({ "$ref": "#/components/schemas/Submit" }));
    let mut file = api.sample(&json!({ "$ref": "#/components/schemas/FileSpec" }));
    (file["url"], file["destination"]) = (json!(origin.url()), json!(home.text("a")));
    wish["spec"]["files"] = json!([file]);
    let submitted = api.follow_with("/v1/jobs", "post", "", Some(wish)).await.expect("as the document says");
    let job = submitted.body["id"].as_str().expect("the new job's id");
    let whole = async {
        while api.follow("/v1/jobs/{id}", "get", job).await.expect("the job").body["state"] != "transferred" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, whole).await.expect("a small file in time");
    // A delivered file is a record of the cache.
    let got = home.say(&["get", &origin.url(), "-o", &home.text("b")]).await;
    assert_eq!(got.code, 0, "{}", got.err);
    let record = async {
        loop {
            let records = api.follow("/v1/records", "get", "").await.expect("the records").body;
            match records[0]["id"].as_str() {
                Some(id) => break id.to_owned(),
                None => tokio::task::yield_now().await,
            }
        }
    };
    let record = tokio::time::timeout(DEADLINE, record).await.expect("a record in time");
    let paths = api.document["paths"].as_object().expect("paths");
    let mut all: Vec<(&String, &String)> = paths
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().expect("methods").keys().map(move |method| (path, method))
        })
        .collect();
    // What is removed is asked for before; one record before all of them.
    all.sort_by_key(|(path, method)| {
        let removes = *method == "delete";
        (removes, std::cmp::Reverse(if removes { path.len() } else { 0 }))
    });
    let asked = all.len();
    let mut wrong = Vec::new();
    for (path, method) in all {
        let id = if path.contains("/records/") { &record } else { job };
        let followed = match (path.as_str(), method.as_str()) {
            ("/v1/group", "post") => {
                api.follow_with(path, method, id, Some(invitation(&home, &api).await)).await
            }
            _ => api.follow(path, method, id).await,
        };
        // Of a new node nothing was attested, no peer was added to be kept, and it is no enroller: it understands the question and says so.
        let may_be = match path.as_str() {
            "/v1/attestations/void" | "/v1/peers/added" => [200, 404],
            "/v1/group/tickets" => [200, 403],
            _ => [200, 200],
        };
        match followed {
            Ok(answer) if may_be.contains(&answer.status) => {}
            Ok(answer) => wrong.push(format!("{method} {path}: {answer:?}")),
            Err(fault) => wrong.push(fault),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(asked >= 20, "{asked}");
    daemon.kill().await;
}

#[tokio::test]
async fn what_the_document_does_not_know_is_refused_in_its_own_form() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let api = Api::learn(&home).await;
    let problem = json!({ "$ref": "#/components/schemas/Problem" });
    let large = json!({ "command": "x".repeat(70_000) });
    let id = "00112233445566778899aabbccddeeff";
    for (method, path, body, status) in [
        ("get", "/v1/nowhere".to_owned(), None, 404),
        ("delete", "/v1/jobs".to_owned(), None, 400),
        ("get", "/v1/jobs?states=queued".to_owned(), None, 400),
        ("get", "/v1/jobs?state=asleep".to_owned(), None, 400),
        ("get", "/v1/jobs/abc".to_owned(), None, 400),
        ("get", format!("/v1/jobs/{id}"), None, 404),
        ("post", "/v1/jobs".to_owned(), Some(json!({ "spec": {}, "wait": true })), 400),
        ("post", "/v1/jobs".to_owned(), Some(json!({ "spec": { "colour": "red" } })), 400),
        ("patch", format!("/v1/jobs/{id}"), Some(json!({ "owner": 0 })), 400),
        ("post", format!("/v1/jobs/{id}/command"), Some(large), 400),
    ] {
        let answer = api.ask(method, &path, body.as_ref()).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        api.fault(&problem, &answer.body, &path).unwrap_or_else(|fault| panic!("{fault}"));
    }
    daemon.kill().await;
}

#[test]
fn the_clients_own_check_finds_what_is_wrong() {
    let document = json!({ "components": { "schemas": { "Name": { "type": "string", "enum": ["a"] } } } });
    let api = Api { socket: PathBuf::new(), document };
    let schema = json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": { "$ref": "#/components/schemas/Name" },
            "count": { "type": ["integer", "null"], "minimum": 1 },
            "rows": { "type": "array", "items": { "oneOf": [{ "type": "string" }, { "type": "boolean" }] } },
        },
    });
    let right = json!({ "name": "a", "count": null, "rows": ["x", true] });
    assert_eq!(api.fault(&schema, &right, "it"), Ok(()));
    for (wrong, place) in [
        (json!([]), "it: not of type"),
        (json!({}), "it: name is missing"),
        (json!({ "name": "b" }), "it.name: not listed"),
        (json!({ "name": "a", "count": 0 }), "it.count: too small"),
        (json!({ "name": "a", "count": "1" }), "it.count: not of type"),
        (json!({ "name": "a", "rows": [1] }), "it.rows[0]: 0 of oneOf fit"),
        (json!({ "name": "a", "other": 1 }), "it: other is not in the document"),
    ] {
        let fault = api.fault(&schema, &wrong, "it").expect_err("wrong");
        assert!(fault.starts_with(place), "{wrong}: {fault}");
    }
}
