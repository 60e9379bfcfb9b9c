//! The house rules, as a test: who may name whom, sizes, bans, and documents against code.
//!
//! Knows: the table of arrows (`ARCHITECTURE.md` draws it) and the limits of `CONTRIBUTING.md`. Does not know: what any
//! room does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Who may name whom inside `src/`. A room not listed may name nothing of the others. An entry may be a room or a
/// module of one. A new arrow is a design change: argue it in the commit that adds it here.
const ARROWS: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    // The front door: `control::api` is the values both ends speak.
    ("cli", &["control::client", "control::api", "node", "sim", "config", "clock", "telemetry"]),
    ("config", &["job", "origin", "swarm", "cache", "disk", "store", "transfer", "telemetry", "node"]),
    // `engine::event` and `engine::explain` are values the driver's handle speaks.
    ("control", &["driver", "job", "record", "engine::event", "engine::explain", "telemetry"]),
    // The wires. A node has every part, because it builds them.
    (
        "node",
        &[
            "cache",
            "clock",
            "config",
            "control",
            "disk",
            "driver",
            "engine",
            "job",
            "origin",
            "record",
            "store",
            "swarm",
            "telemetry",
            "transfer",
        ],
    ),
    (
        "driver",
        &[
            "engine",
            "transfer",
            "store",
            "cache",
            "swarm",
            "origin",
            "job",
            "record",
            "clock",
            "disk",
            "telemetry",
        ],
    ),
    ("clock", &["engine::io"]),
    // The brain.
    ("engine", &["job", "record"]),
    ("job", &[]),
    ("record", &["job"]),
    // The hands: of the engine, the values of leases and effects only.
    (
        "transfer",
        &["origin", "swarm", "cache", "disk", "store", "engine::io", "job", "record", "clock", "telemetry"],
    ),
    ("swarm", &["cache", "telemetry"]),
    ("origin", &["telemetry"]),
    // Memory. A stored job is a value of `engine::io`.
    ("store", &["record", "job", "disk", "engine::io", "telemetry"]),
    ("cache", &["record", "job", "disk", "store", "telemetry"]),
    ("disk", &["telemetry"]),
    ("telemetry", &[]),
    ("sim", &["engine", "job", "record", "store", "cache", "disk"]),
];

/// Crates that only some rooms may name.
const KEPT_CRATES: &[(&str, &[&str])] = &[
    ("libp2p", &["swarm"]),
    ("mdns_sd", &["swarm"]),
    ("sled", &["store"]),
    ("hyper", &["origin", "control"]),
    ("hyper_util", &["origin", "control"]),
    ("axum", &["control"]),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
    ("comfy_table", &["cli"]),
    ("anyhow", &["cli", "main"]),
];

/// Rooms of `src/` that are pure: no IO, no clock, no async, no chance, no unordered maps, no log.
const PURE_ROOMS: &[&str] = &["engine", "job", "record", "sim"];

/// What pure code never names.
const IMPURE: &[&str] = &[
    "tokio",
    "tracing",
    "rand",
    "getrandom",
    "hyper",
    "libp2p",
    "sled",
    "futures",
    "std::fs",
    "std::thread",
    "std::env",
    "std::io",
    "std::process",
    "std::sync::Mutex",
    "HashMap",
    "HashSet",
];

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

#[test]
fn every_name_follows_the_table_of_arrows() {
    let mut wrong = Vec::new();
    for source in Source::all(&["src"]) {
        let room = source.room();
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == room) else {
            if room != "lib" {
                wrong.push(format!("{}: room {room:?} is not in the table of arrows", source.name));
            }
            continue;
        };
        for (name, line) in source.crate_names() {
            let Some(named) = name.first().cloned() else { continue };
            let is_inside = named == room || room == "lib";
            let is_allowed = allowed.iter().any(|entry| {
                let wanted: Vec<&str> = entry.split("::").collect();
                wanted.iter().zip(&name).all(|(wanted, found)| wanted == found) && wanted.len() <= name.len()
            });
            if !is_inside && !is_allowed {
                wrong.push(format!("{}:{line}: {room} may not name {}", source.name, name.join("::")));
            }
        }
    }
    report("arrows against the table", &wrong);
}

#[test]
fn each_foreign_crate_stays_in_its_room() {
    let mut wrong = Vec::new();
    for source in Source::all(&["src"]) {
        let room = source.room();
        for (path, line) in &source.outside_tests().paths {
            let Some(first) = path.first() else { continue };
            for (kept, rooms) in KEPT_CRATES {
                if first == kept && !rooms.contains(&room.as_str()) {
                    wrong.push(format!("{}:{line}: {kept} belongs to {}", source.name, rooms.join(", ")));
                }
            }
        }
    }
    report("crates outside their room", &wrong);
}

#[test]
fn the_brain_and_the_protocol_are_pure() {
    let mut wrong = Vec::new();
    for source in Source::all(&["src", "peer-proto/src", "simnet/src"]) {
        if source.name.starts_with("src/") && !PURE_ROOMS.contains(&source.room().as_str()) {
            continue;
        }
        let facts = source.outside_tests();
        for (path, line) in &facts.paths {
            let name = path.join("::");
            let is_impure = IMPURE.iter().any(|banned| {
                name == *banned
                    || name.starts_with(&format!("{banned}::"))
                    || (!banned.contains("::")
                        && path.iter().any(|part| part == banned)
                        && banned.starts_with('H'))
            });
            if is_impure {
                wrong.push(format!("{}:{line}: pure code names {name}", source.name));
            }
        }
        wrong.extend(facts.casts.iter().map(|line| format!("{}:{line}: an `as` cast", source.name)));
        wrong
            .extend(facts.async_fns.iter().map(|line| format!("{}:{line}: async in pure code", source.name)));
    }
    report("impurities", &wrong);
}

#[test]
fn only_the_clock_reads_clocks_and_no_channel_is_unbounded() {
    let mut wrong = Vec::new();
    for source in Source::all(&["src", "peer-proto/src", "simnet/src"]) {
        for (path, line) in &source.outside_tests().paths {
            let ends =
                |tail: &[&str]| path.ends_with(&tail.iter().map(ToString::to_string).collect::<Vec<_>>());
            if source.name != "src/clock.rs" && (ends(&["Instant", "now"]) || ends(&["SystemTime", "now"])) {
                wrong.push(format!("{}:{line}: reads a clock; only src/clock.rs may", source.name));
            }
            if ends(&["unbounded_channel"])
                || ends(&["mpsc", "unbounded"])
                || ends(&["std", "sync", "mpsc", "channel"])
            {
                wrong.push(format!("{}:{line}: an unbounded channel", source.name));
            }
        }
    }
    report("clocks and channels", &wrong);
}

#[test]
fn files_and_functions_fit_their_limits() {
    let mut wrong = Vec::new();
    for source in Source::all(&["src", "peer-proto", "simnet", "tests", "benches", "examples"]) {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            wrong.push(format!("{}: {lines} lines, the limit is {FILE_LINES_MAX}", source.name));
        }
        for (function, line, len) in &source.all_code().functions {
            if *len > FUNCTION_LINES_MAX {
                wrong.push(format!(
                    "{}:{line}: fn {function} has {len} lines, the limit is {FUNCTION_LINES_MAX}",
                    source.name
                ));
            }
        }
    }
    let main = fs::read_to_string(root().join("src/main.rs")).expect("src/main.rs is there");
    if main.lines().count() >= 60 {
        wrong.push("src/main.rs: what main does, no test does; keep it under 60 lines".into());
    }
    report("sizes", &wrong);
}

#[test]
fn every_module_says_what_it_knows() {
    let wrong: Vec<String> =
        Source::all(&["src", "peer-proto/src", "simnet/src", "tests", "benches", "examples"])
            .into_iter()
            .filter(|source| !source.text.trim_start().starts_with("//!"))
            .map(|source| format!("{}: does not start with //!", source.name))
            .collect();
    report("modules without a word", &wrong);
}

#[test]
fn tests_neither_sleep_nor_hide() {
    let mut wrong = Vec::new();
    for source in Source::all(&["src", "peer-proto", "simnet", "tests"]) {
        if source.name == "tests/tidy.rs" {
            continue;
        }
        for (index, line) in source.text.lines().enumerate() {
            for banned in ["#[ignore", "#[should_panic", "thread::sleep("] {
                if line.trim_start().starts_with(banned) || (banned.ends_with('(') && line.contains(banned)) {
                    wrong.push(format!("{}:{}: {banned}", source.name, index + 1));
                }
            }
        }
    }
    report("tests that hide or sleep", &wrong);
}

#[test]
fn every_key_of_the_config_is_documented() {
    let text = fs::read_to_string(root().join("docs/config.md")).expect("docs/config.md is there");
    let mut wrong = Vec::new();
    for source in Source::all(&["src/config"]) {
        for item in &source.file.items {
            let syn::Item::Struct(item) = item else { continue };
            let is_read = item.attrs.iter().any(|attr| quoted(attr).contains("Deserialize"));
            for field in item.fields.iter().filter(|_| is_read) {
                let Some(name) = &field.ident else { continue };
                let key = name.to_string().replace('_', "-");
                if !text.contains(&format!("`{key}`")) {
                    wrong.push(format!("{}: key `{key}` is not in docs/config.md", source.name));
                }
            }
        }
    }
    report("undocumented keys", &wrong);
}

#[test]
fn every_rule_that_a_document_calls_done_has_a_test_of_its_name() {
    let tests = test_names();
    let mut wrong = Vec::new();
    for (name, text) in documents() {
        for (index, line) in text.lines().enumerate() {
            let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
            if !line.trim_start().starts_with('|') || !cells.iter().skip(1).any(|cell| *cell == "done") {
                continue;
            }
            for id in rule_ids(cells.first().copied().unwrap_or_default()) {
                let wanted = id.to_lowercase().replace('-', "_");
                if !tests.iter().any(|test| leading_ids(test).contains(&wanted)) {
                    wrong.push(format!(
                        "{name}:{}: {id} is called done, no test begins with {wanted}_",
                        index + 1
                    ));
                }
            }
        }
    }
    report("promises without a test", &wrong);
}

/// The ids a test's name begins with: `d13_t17_endless_heads…` proves `d13` and `t17`, `trust_3_…` proves `trust_3`.
fn leading_ids(test: &str) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let mut words = test.split('_').peekable();
    while let Some(word) = words.next() {
        let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        if word.len() > 1 && word.is_char_boundary(1) && is_number(&word[1..]) {
            ids.insert(word.to_owned());
        } else if let Some(number) = words.next_if(|next| is_number(next)) {
            ids.insert(format!("{word}_{number}"));
        } else {
            break;
        }
    }
    ids
}

/// Ids such as `TRUST-3`, `D05` or `T14` in the text, each once, in order.
fn rule_ids(text: &str) -> BTreeSet<String> {
    text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '-'))
        .filter(|word| {
            let letters = word.chars().take_while(char::is_ascii_uppercase).count();
            let rest = &word[letters..];
            match rest.strip_prefix('-') {
                Some(number) => {
                    letters >= 2 && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
                }
                None => letters == 1 && !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()),
            }
        })
        .map(ToOwned::to_owned)
        .collect()
}

/// Names of all functions of the workspace, those inside `proptest!` included.
fn test_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for source in Source::all(&["src", "peer-proto", "simnet", "tests"]) {
        for line in source.text.lines() {
            let Some((_, rest)) = line.split_once("fn ") else { continue };
            names.insert(rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect());
        }
    }
    names
}

/// The documents that may call something done.
fn documents() -> BTreeMap<String, String> {
    let mut paths = vec![root().join("SECURITY.md"), root().join("README.md")];
    if let Ok(folder) = fs::read_dir(root().join("docs")) {
        paths.extend(folder.flatten().map(|entry| entry.path()));
    }
    paths.retain(|path| path.extension().is_some_and(|end| end == "md"));
    paths
        .into_iter()
        .filter_map(|path| {
            Some((path.strip_prefix(root()).ok()?.display().to_string(), fs::read_to_string(&path).ok()?))
        })
        .collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn report(what: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{what}:\n  {}\n", wrong.join("\n  "));
}

/// The tokens of an attribute, as text.
fn quoted(attr: &syn::Attribute) -> String {
    match &attr.meta {
        syn::Meta::Path(path) => path.segments.iter().map(|segment| segment.ident.to_string()).collect(),
        syn::Meta::List(list) => {
            let name: String = list.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            format!("{name}({})", list.tokens)
        }
        syn::Meta::NameValue(_) => String::new(),
    }
}

fn is_test_only(attrs: &[syn::Attribute]) -> bool {
    attrs.iter().any(|attr| {
        let text = quoted(attr).replace(' ', "");
        text == "test"
            || text == "cfg(test)"
            || text.starts_with("cfg(any(test")
            || text.starts_with("tokio") && text.ends_with("test")
    })
}

/// One source file, parsed.
struct Source {
    /// Its path from the root of the workspace.
    name: String,
    text: String,
    file: syn::File,
}

impl Source {
    /// Every `.rs` file under these folders, in order of name.
    fn all(folders: &[&str]) -> Vec<Self> {
        let mut paths = BTreeSet::new();
        for folder in folders {
            collect(&root().join(folder), &mut paths);
        }
        paths
            .into_iter()
            .map(|path| {
                let text = fs::read_to_string(&path).expect("a source file can be read");
                let name = path.strip_prefix(root()).expect("under the root").display().to_string();
                let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
                Self { name, text, file }
            })
            .collect()
    }

    /// The module path of the file inside its crate: `src/engine/io.rs` is `engine::io`.
    fn module(&self) -> Vec<String> {
        let inside = self.name.split_once("src/").map_or(self.name.as_str(), |(_, inside)| inside);
        let mut path: Vec<String> =
            inside.trim_end_matches(".rs").split('/').map(ToOwned::to_owned).collect();
        if path.last().is_some_and(|last| last == "mod") {
            path.pop();
        }
        path
    }

    /// The first step of that path: `main` and `lib` are rooms of their own.
    fn room(&self) -> String {
        self.module().into_iter().next().unwrap_or_default()
    }

    /// What the file says outside of its tests; nothing at all if the file is tests.
    fn outside_tests(&self) -> Facts {
        let is_tests = self.module().iter().any(|part| part == "tests" || part.ends_with("_tests"));
        let is_tests = is_tests || is_test_only(&self.file.attrs);
        if is_tests { Facts::default() } else { Facts::of(&self.file, Tests::Skip, self.module()) }
    }

    fn all_code(&self) -> Facts {
        Facts::of(&self.file, Tests::Visit, self.module())
    }

    /// Paths into this crate, from its root, outside of tests: `crate::`, `nearbits::` and `super::` resolved.
    fn crate_names(&self) -> Vec<(Vec<String>, usize)> {
        self.outside_tests().inside
    }
}

fn collect(folder: &Path, into: &mut BTreeSet<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect(&path, into);
        } else if path.extension().is_some_and(|end| end == "rs") {
            into.insert(path);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tests {
    Visit,
    Skip,
}

/// What a file names and how long its functions are.
struct Facts {
    tests: Tests,
    /// The module we are in, from the crate's root.
    module: Vec<String>,
    /// Every path as written, with its line.
    paths: Vec<(Vec<String>, usize)>,
    /// Paths that lead into this crate, from its root.
    inside: Vec<(Vec<String>, usize)>,
    functions: Vec<(String, usize, usize)>,
    casts: Vec<usize>,
    async_fns: Vec<usize>,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            tests: Tests::Skip,
            module: Vec::new(),
            paths: Vec::new(),
            inside: Vec::new(),
            functions: Vec::new(),
            casts: Vec::new(),
            async_fns: Vec::new(),
        }
    }
}

impl Facts {
    fn of(file: &syn::File, tests: Tests, module: Vec<String>) -> Self {
        let mut facts = Self { tests, module, ..Self::default() };
        facts.visit_file(file);
        facts
    }

    fn name(&mut self, path: Vec<String>, span: Span) {
        let line = span.start().line;
        let ups = path.iter().take_while(|part| *part == "super").count();
        let resolved = match path.first().map(String::as_str) {
            Some("crate" | "nearbits") => Some(path[1..].to_vec()),
            Some("super") if ups <= self.module.len() => {
                let above = &self.module[..self.module.len() - ups];
                Some(above.iter().chain(&path[ups..]).cloned().collect())
            }
            _ => None,
        };
        self.inside.extend(resolved.map(|path| (path, line)));
        self.paths.push((path, line));
    }

    fn walk_use(&mut self, tree: &syn::UseTree, before: &[String]) {
        match tree {
            syn::UseTree::Path(path) => {
                let mut longer = before.to_vec();
                longer.push(path.ident.to_string());
                self.walk_use(&path.tree, &longer);
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.walk_use(tree, before)),
            syn::UseTree::Name(name) => self.name([before, &[name.ident.to_string()]].concat(), name.span()),
            syn::UseTree::Rename(name) => {
                self.name([before, &[name.ident.to_string()]].concat(), name.span())
            }
            syn::UseTree::Glob(glob) => self.name(before.to_vec(), glob.span()),
        }
    }

    fn measure(&mut self, signature: &syn::Signature, whole: Span) {
        let (first, last) = (signature.fn_token.span().start().line, whole.end().line);
        self.functions.push((signature.ident.to_string(), first, (last + 1).saturating_sub(first)));
        if signature.asyncness.is_some() {
            self.async_fns.push(first);
        }
    }

    fn is_skipped(&self, attrs: &[syn::Attribute]) -> bool {
        self.tests == Tests::Skip && is_test_only(attrs)
    }
}

impl<'ast> Visit<'ast> for Facts {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !self.is_skipped(&item.attrs) {
            self.module.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !self.is_skipped(&item.attrs) {
            self.measure(&item.sig, item.span());
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !self.is_skipped(&item.attrs) {
            self.measure(&item.sig, item.span());
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if !self.is_skipped(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !self.is_skipped(&item.attrs) {
            self.walk_use(&item.tree, &[]);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.name(parts, path.span());
        visit::visit_path(self, path);
    }

    fn visit_expr_cast(&mut self, cast: &'ast syn::ExprCast) {
        self.casts.push(cast.span().start().line);
        visit::visit_expr_cast(self, cast);
    }
}
