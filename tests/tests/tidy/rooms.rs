//! The rooms of a service and who may import whom.

use std::collections::BTreeSet;

use crate::repo::{Finding, Repo, SERVICES};
use crate::rust::{code, find_word, is_word, leading_word, line_of, matching};

/// Room, and the rooms it may import. Engine rooms stand below commands: they know rows and rules,
/// and nothing of the API.
const ROOMS: [(&str, &[&str]); 16] = [
    ("domain", &[]),
    ("store", &["domain"]),
    ("clients", &["domain"]),
    ("messages", &["domain"]), // the domain as messages of the contract
    ("queries", &["store", "domain", "messages", "privacy"]),
    // Engine rooms.
    ("lanes", &["store", "domain", "messages"]),
    ("changes", &["store", "domain", "messages"]),
    ("carriers", &["store", "domain"]),
    ("payments", &["store", "domain", "messages", "changes"]),
    ("privacy", &["store", "domain", "messages"]),
    ("webhooks", &["store", "domain", "messages"]),
    (
        "saga",
        &[
            "store", "domain", "clients", "messages", "changes", "payments",
        ],
    ),
    (
        "commands",
        &[
            "store", "domain", "clients", "messages", "lanes", "changes", "carriers", "payments",
            "saga", "privacy", "webhooks",
        ],
    ),
    (
        "tasks",
        &[
            "commands", "store", "domain", "clients", "messages", "lanes", "changes", "carriers",
            "payments", "saga",
        ],
    ),
    // The store for rows of their own: copies of a peer's facts with the peer's version. The tasks that
    // an event causes. The orders of a batch, which are read and written once for all of its events.
    (
        "consumers",
        &[
            "commands", "changes", "store", "domain", "messages", "tasks",
        ],
    ),
    ("api", &["commands", "queries", "domain", "messages"]),
];

/// Files beside the rooms, which say what every use case works with, and the rooms they may import.
/// `domain/` and `store/` do not import them.
const SHARED: [(&str, &[&str]); 3] = [
    (
        "ctx",
        &[
            "domain", "store", "clients", "carriers", "payments", "lanes", "webhooks",
        ],
    ),
    ("error", &["domain", "store"]),
    // Engine rooms name their own settings.
    (
        "config",
        &[
            "domain", "lanes", "saga", "carriers", "payments", "privacy", "webhooks",
        ],
    ),
];

/// Files beside the rooms that see everything, because they put it together.
const ROOTS: [&str; 3] = ["lib", "main", "app"];

/// What every service has, below its directory.
const PRESENT: [&str; 10] = [
    "migrations/0001_",
    "src/main.rs",
    "src/lib.rs",
    "src/app.rs",
    "src/config.rs",
    "src/domain/",
    "src/commands/",
    "src/queries/",
    "src/store/",
    "src/api/",
];

/// What `domain/` never says, and why not.
const IMPURE: [(&str, &str); 24] = [
    ("tonic", "is gRPC"),
    ("prost", "is the wire format"),
    ("prost_types", "is the wire format"),
    ("sqlx", "is the database"),
    ("redis", "is Redis"),
    ("tokio", "is async"),
    ("futures", "is async"),
    ("async", "is async"),
    ("tracing", "is output"),
    ("metrics", "is output"),
    ("println!", "is output"),
    ("rand", "is randomness"),
    ("new_v4", "is randomness"),
    ("now_v7", "is a clock and randomness"),
    ("now_utc", "is a clock"),
    ("SystemTime", "is a clock"),
    ("Instant", "is a clock"),
    ("Clock", "is a clock: take the instant"),
    ("IdSource", "is randomness: take the id"),
    ("std::env", "is the environment"),
    ("std::fs", "is I/O"),
    ("std::net", "is I/O"),
    ("std::thread", "is concurrency"),
    ("config", "is configuration: take the value"),
];

/// Every import of a room by a room that may not have it.
pub(crate) fn imports(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for service in SERVICES {
        let src = format!("services/{service}/src");
        let rooms = rooms_of(repo, &src);
        for file in repo.sources_of(&src) {
            let module = module_path(&file.path, &src);
            let Some(from) = module
                .first()
                .filter(|first| !ROOTS.contains(&first.as_str()))
            else {
                continue;
            };
            let code = code(&file.text);
            for (at, to) in crate_paths(&code, &module) {
                let is_shared = SHARED.iter().any(|(shared, _)| *shared == to);
                if to == *from || !(rooms.contains(&to) || is_shared) {
                    continue;
                }
                if let Err(message) = may_import(from, &to) {
                    findings.push(Finding::new(&file.path, line_of(&code, at), message));
                }
            }
        }
    }
    findings
}

fn may_import(from: &str, to: &str) -> Result<(), String> {
    let is_shared = SHARED.iter().any(|(shared, _)| *shared == to);
    if is_shared && !matches!(from, "domain" | "store") {
        return Ok(());
    }
    let Some((_, allowed)) = ROOMS.iter().chain(&SHARED).find(|(room, _)| *room == from) else {
        // A small file beside the rooms.
        return if to == "domain" {
            Ok(())
        } else {
            Err(format!(
                "{from} is in no table of tests/tidy/rooms.rs; it may import domain, not {to}"
            ))
        };
    };
    if allowed.contains(&to) {
        return Ok(());
    }
    let allowed = if allowed.is_empty() {
        "nothing".to_owned()
    } else {
        allowed.join(", ")
    };
    Err(format!("{from} imports {to}, may import {allowed}"))
}

/// What of the common layout a service lacks, and rooms nobody knows.
pub(crate) fn present(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for service in SERVICES {
        let dir = format!("services/{service}");
        for wanted in PRESENT {
            let path = format!("{dir}/{wanted}");
            if !repo.all().any(|file| file.path.starts_with(&path)) {
                findings.push(Finding::new(&dir, 0, format!("has no {wanted}")));
            }
        }
        if !repo
            .all()
            .any(|file| file.path.starts_with(&format!("{dir}/tests/it/")))
        {
            findings.push(Finding::new(&dir, 0, "has no tests/it/"));
        }
        let src = format!("{dir}/src");
        for room in rooms_of(repo, &src) {
            if !ROOMS.iter().any(|(known, _)| *known == room) {
                findings.push(Finding::new(
                    &format!("{src}/{room}"),
                    0,
                    "is no room of ARCHITECTURE.md (and of the table in tests/tidy/rooms.rs)",
                ));
            }
        }
        if let Some(main) = repo.get(&format!("{src}/main.rs")) {
            let lines = main.text.lines().count();
            if lines > 20 {
                findings.push(Finding::new(
                    &main.path,
                    0,
                    format!("has {lines} lines, at most 20"),
                ));
            }
        }
    }
    findings
}

/// What `domain/` uses that is not pure.
pub(crate) fn pure_domain(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for service in SERVICES {
        for file in repo.sources_of(&format!("services/{service}/src/domain")) {
            let code = code(&file.text);
            for (word, why) in IMPURE {
                for at in find_word(&code, word).filter(|at| is_path_or_word(&code, *at, word)) {
                    findings.push(Finding::new(
                        &file.path,
                        line_of(&code, at),
                        format!("{word} {why}"),
                    ));
                }
            }
            for (at, _) in code.match_indices("oms_") {
                let before = code.get(..at).and_then(|code| code.chars().next_back());
                let name = leading_word(code.get(at..).unwrap_or_default());
                if !before.is_some_and(is_word) && name != "oms_core" {
                    let message = format!("{name} is not oms_core");
                    findings.push(Finding::new(&file.path, line_of(&code, at), message));
                }
            }
        }
    }
    findings
}

/// Lower-case names are crates or modules only in front of `::`; a field may be called `metrics`.
fn is_path_or_word(code: &str, at: usize, word: &str) -> bool {
    let is_name = word.chars().all(|c| c.is_lowercase() || c == '_');
    if !is_name || word == "async" || word.contains("now_") {
        return true;
    }
    let before = code.get(..at).unwrap_or_default().trim_end();
    code.get(at + word.len()..)
        .is_some_and(|after| after.starts_with("::"))
        && (word != "config" || before.ends_with("crate::"))
}

/// Directories directly below `src`, and files named like a room.
fn rooms_of(repo: &Repo, src: &str) -> BTreeSet<String> {
    repo.below(src, "rs")
        .filter_map(|file| {
            let rest = file.path.get(src.len() + 1..)?;
            if let Some((room, _)) = rest.split_once('/') {
                return Some(room.to_owned());
            }
            let name = rest.strip_suffix(".rs")?;
            let is_room = ROOMS.iter().any(|(room, _)| *room == name);
            is_room.then(|| name.to_owned())
        })
        .collect()
}

/// `services/order/src/store/orders.rs` is `["store", "orders"]`, `store/mod.rs` is `["store"]`.
fn module_path(path: &str, src: &str) -> Vec<String> {
    let rest = path.get(src.len() + 1..).unwrap_or_default();
    let rest = rest.strip_suffix(".rs").unwrap_or(rest);
    let mut parts: Vec<String> = rest.split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

/// First names of paths that begin at the crate: `crate::store::x`, `crate::{store::x, domain}`, and
/// `super::super::store` where that leads to the crate.
fn crate_paths(code: &str, module: &[String]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in find_word(code, "crate") {
        let path = code.get(at + "crate".len()..).unwrap_or_default();
        names_after(code, at + "crate".len(), path, &mut found);
    }
    for at in find_word(code, "super") {
        let before = code.get(..at).unwrap_or_default();
        if before.ends_with("super::") {
            continue;
        }
        let mut end = at;
        let mut ups = 0;
        while code
            .get(end..)
            .is_some_and(|rest| rest.starts_with("super::"))
        {
            ups += 1;
            end += "super::".len();
        }
        if ups == module.len() && ups > 0 {
            let path = end - 2;
            names_after(code, path, code.get(path..).unwrap_or_default(), &mut found);
        }
    }
    found
}

fn names_after(code: &str, at: usize, path: &str, found: &mut Vec<(usize, String)>) {
    let Some(rest) = path.strip_prefix("::") else {
        return;
    };
    if !rest.starts_with('{') {
        found.push((at, leading_word(rest).to_owned()));
        return;
    }
    let open = at + 2;
    let Some(close) = matching(code, open) else {
        return;
    };
    // Only the first names of the group count, not those of groups inside it.
    let mut start = open + 1;
    while start < close {
        let item = code.get(start..close).unwrap_or_default();
        let name = leading_word(item.trim_start());
        found.push((start, name.to_owned()));
        start += end_of_item(item) + 1;
    }
}

fn end_of_item(item: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in item.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => return at,
            _ => {}
        }
    }
    item.len()
}

#[test]
fn paths_are_followed() {
    let module = vec!["store".to_owned(), "orders".to_owned()];
    let code = "use crate::{domain::{a, b}, store}; super::super::saga::x; super::y; crate::api::z";
    let names: Vec<String> = crate_paths(code, &module)
        .into_iter()
        .map(|(_, name)| name)
        .collect();
    assert_eq!(names, ["domain", "store", "api", "saga"]);
}
