//! Documents against code: keys that are explained, promises that have a test.
//!
//! Knows: the tables of the documents, ids of rules in names of tests. Does not know: whether a test proves its rule.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::report;
use super::source::{Source, quoted, root};

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
#[expect(clippy::print_stdout, reason = "whoever asks with --nocapture is told how many")]
fn every_rule_that_a_document_calls_done_has_a_test_of_its_name() {
    let tests = test_names();
    let (mut wrong, mut shown) = (Vec::new(), BTreeSet::new());
    for (name, text) in documents() {
        for (index, line) in text.lines().enumerate() {
            let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
            if !line.trim_start().starts_with('|') || !cells.iter().skip(1).any(|cell| *cell == "done") {
                continue;
            }
            for id in rule_ids(cells.first().copied().unwrap_or_default()) {
                let wanted = id.to_lowercase().replace('-', "_");
                if tests.iter().any(|test| leading_ids(test).contains(&wanted)) {
                    shown.insert(id);
                } else {
                    wrong.push(format!(
                        "{name}:{}: {id} is called done, no test begins with {wanted}_",
                        index + 1
                    ));
                }
            }
        }
    }
    println!("{} rules are called done and have a test of their name", shown.len());
    report("promises without a test", &wrong);
}

/// The ids a test's name begins with: `d13_t17_endless_heads…` proves `d13` and `t17`, `trust_3_and_job_t8_…` proves
/// `trust_3` and `job_t8`.
fn leading_ids(test: &str) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let mut words = test.split('_').peekable();
    while let Some(word) = words.next() {
        let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        let is_row = |word: &str| word.strip_prefix('t').is_some_and(is_number);
        if word == "and" {
            continue;
        }
        if word.len() > 1 && word.is_char_boundary(1) && is_number(&word[1..]) {
            ids.insert(word.to_owned());
        } else if let Some(number) = words.next_if(|next| is_number(next) || (word == "job" && is_row(next)))
        {
            ids.insert(format!("{word}_{number}"));
        } else {
            break;
        }
    }
    ids
}

/// Ids such as `TRUST-3`, `JOB-T8`, `D05` or `T14` in the text, each once, in order.
fn rule_ids(text: &str) -> BTreeSet<String> {
    text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '-'))
        .filter(|word| {
            let letters = word.chars().take_while(char::is_ascii_uppercase).count();
            let rest = &word[letters..];
            match rest.strip_prefix('-') {
                Some(number) => {
                    let number =
                        if word.starts_with("JOB-") { number.trim_start_matches('T') } else { number };
                    letters >= 2 && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
                }
                None => letters == 1 && !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()),
            }
        })
        .map(ToOwned::to_owned)
        .collect()
}

/// Names of all functions of the workspace, those inside `proptest!` and those that are rows of a table included.
fn test_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for source in Source::all(&["src", "peer-proto", "simnet", "tests"]) {
        for line in source.text.lines() {
            let name = |rest: &str| -> String {
                rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
            };
            if let Some((_, rest)) = line.split_once("fn ") {
                names.insert(name(rest));
            } else if line.trim_start().starts_with("job_t") && line.contains(": ") {
                // A row of the table of `src/job/queue/state_tests.rs`, each a test of its own.
                names.insert(name(line.trim_start()));
            }
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
