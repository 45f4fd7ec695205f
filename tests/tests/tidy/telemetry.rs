//! `docs/telemetry.md` lists what the code emits: every metric with its kind, unit and labels, every span,
//! every attribute. Nothing more, nothing less.

use std::collections::{BTreeMap, BTreeSet};

use crate::repo::{File, Finding, Repo};
use crate::rust::{code_with_strings, find_word, line_of, matching};

const REGISTRY: &str = "docs/telemetry.md";
const KINDS: [&str; 3] = ["counter", "gauge", "histogram"];
/// How attributes begin.
const NAMESPACES: [&str; 3] = ["oms.", "rpc.", "server."];
/// Set on spans through functions, not where spans are made.
const SET_BY_FUNCTION: [&str; 2] = ["oms.order.action", "oms.order.id"];

/// A macro call that makes or describes a metric.
struct Use {
    path: String,
    line: usize,
    kind: &'static str,
    is_description: bool,
    /// As Prometheus reads it.
    name: String,
    /// Everything between the parentheses.
    arguments: String,
}

/// A row of the registry.
struct Row {
    line: usize,
    cells: Vec<String>,
}

impl Row {
    fn cell(&self, at: usize) -> &str {
        self.cells.get(at).map_or("", String::as_str)
    }
}

/// Metrics: the registry, the descriptions in the code and what is recorded name the same.
pub(crate) fn metrics(repo: &Repo) -> Vec<Finding> {
    let rows = rows(repo, "Metrics");
    let mut findings = Vec::new();
    let mut described: BTreeMap<String, Use> = BTreeMap::new();
    let mut recorded: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let (descriptions, records): (Vec<Use>, Vec<Use>) =
        uses(repo).into_iter().partition(|one| one.is_description);
    for one in descriptions {
        described.entry(one.name.clone()).or_insert(one);
    }
    for one in records {
        if !described.contains_key(&one.name) {
            let message = format!("{} has no describe_{}!", one.name, one.kind);
            findings.push(Finding::new(&one.path, one.line, message));
        }
        recorded
            .entry(one.name)
            .or_default()
            .extend(labels(&one.arguments));
    }
    for (name, one) in &described {
        let Some(row) = rows.get(name) else {
            let message = format!("{name} is not in {REGISTRY}");
            findings.push(Finding::new(&one.path, one.line, message));
            continue;
        };
        let mut differs = |what: &str, code: &str, registry: &str| {
            if code != registry {
                let message = format!("{what} of {name} is `{code}` in the code, not `{registry}`");
                findings.push(Finding::new(REGISTRY, row.line, message));
            }
        };
        differs("kind", one.kind, row.cell(1));
        let unit = if one.arguments.contains("Unit::Seconds") {
            "s"
        } else {
            ""
        };
        differs("unit", unit, row.cell(2));
        if let Some(labels) = recorded.get(name) {
            let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
            differs("labels", &labels.join(" "), row.cell(3));
        }
    }
    findings.extend(gone(&rows, |name| described.contains_key(name)));
    findings
}

/// Spans and their attributes: the registry and the code name the same.
pub(crate) fn spans(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut names = BTreeSet::new();
    let mut attributes: BTreeSet<String> = SET_BY_FUNCTION.map(str::to_owned).into();
    let (span_rows, attribute_rows) = (rows(repo, "Spans"), rows(repo, "Attributes"));
    for file in repo.sources() {
        let code = code_with_strings(&file.text);
        for (at, arguments) in span_macros(&code) {
            let name = arguments.split('"').nth(1).unwrap_or_default().to_owned();
            let own = fields(arguments);
            let mut missing = |what: &str, name: &str, rows: &BTreeMap<String, Row>| {
                if !rows.keys().any(|row| covers(row, name)) {
                    let message = format!("{what} {name} is not in {REGISTRY}");
                    findings.push(Finding::new(&file.path, line_of(&code, at), message));
                }
            };
            missing("span", &name, &span_rows);
            for field in &own {
                missing("attribute", field, &attribute_rows);
            }
            names.insert(name);
            attributes.extend(own);
        }
    }
    let is_made = |row: &str| names.iter().any(|name| covers(row, name));
    findings.extend(gone(&span_rows, is_made));
    findings.extend(gone(&attribute_rows, |name| attributes.contains(name)));
    findings
}

/// Whether a row is about this name: `shipping.*` is about all that begin so.
fn covers(row: &str, name: &str) -> bool {
    row == name
        || row
            .strip_suffix('*')
            .is_some_and(|start| name.starts_with(start))
}

/// Rows of which the code knows nothing.
fn gone(rows: &BTreeMap<String, Row>, known: impl Fn(&str) -> bool) -> Vec<Finding> {
    rows.iter()
        .filter(|(name, _)| !known(name))
        .map(|(name, row)| Finding::new(REGISTRY, row.line, format!("no code emits {name}")))
        .collect()
}

/// The rows of the table below a heading, by what their first cell names.
fn rows(repo: &Repo, heading: &str) -> BTreeMap<String, Row> {
    let Some(registry) = repo.get(REGISTRY) else {
        return BTreeMap::new();
    };
    let mut below = "";
    let mut rows = BTreeMap::new();
    for (line, text) in registry.lines() {
        if let Some(heading) = text.strip_prefix("## ") {
            below = heading;
        }
        let Some(row) = text.strip_prefix("| `").filter(|_| below == heading) else {
            continue;
        };
        let cells: Vec<String> = row.split('|').map(|cell| cell.trim().to_owned()).collect();
        let name = cells.first().map_or("", |cell| cell.trim_matches('`'));
        rows.insert(name.to_owned(), Row { line, cells });
    }
    rows
}

fn uses(repo: &Repo) -> Vec<Use> {
    let constants = constants(repo);
    let mut uses = Vec::new();
    for file in repo.sources() {
        let code = code_with_strings(&file.text);
        for kind in KINDS {
            for (prefix, is_description) in [("", false), ("describe_", true)] {
                let word = format!("{prefix}{kind}!(");
                for at in find_word(&code, &word) {
                    let open = at + word.len() - 1;
                    let Some(arguments) =
                        matching(&code, open).and_then(|end| code.get(open + 1..end))
                    else {
                        continue;
                    };
                    let made = |name: &String| Use {
                        path: file.path.clone(),
                        line: line_of(&code, at),
                        kind,
                        is_description,
                        name: name.replace('.', "_"),
                        arguments: arguments.to_owned(),
                    };
                    uses.extend(metric_names(arguments, file, &constants).iter().map(made));
                }
            }
        }
    }
    uses
}

/// Values of all text constants, by crate and name. Two modules may use one name for different metrics.
fn constants(repo: &Repo) -> BTreeMap<(String, String), Vec<(String, String)>> {
    let mut constants: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for file in repo.sources() {
        let code = code_with_strings(&file.text);
        for declared in code.split("const ").skip(1) {
            if let Some((name, value)) = declared.split_once(": &str = \"")
                && let Some((value, _)) = value.split_once('"')
            {
                let key = (crate_of(file), name.to_owned());
                let here = (file.path.clone(), value.to_owned());
                constants.entry(key).or_default().push(here);
            }
        }
    }
    constants
}

fn crate_of(file: &File) -> String {
    file.path.split('/').take(2).collect::<Vec<_>>().join("/")
}

/// The metrics that the first argument may name: a text, a constant of the crate (of the same file, if it is there), or
/// a variable, which is left out: it holds a described constant.
fn metric_names(
    arguments: &str,
    file: &File,
    constants: &BTreeMap<(String, String), Vec<(String, String)>>,
) -> Vec<String> {
    let first = arguments.split(',').next().unwrap_or_default().trim();
    if let Some(text) = first.strip_prefix('"') {
        return vec![text.trim_end_matches('"').to_owned()];
    }
    let constant = first.rsplit("::").next().unwrap_or_default();
    let Some(found) = constants.get(&(crate_of(file), constant.to_owned())) else {
        return Vec::new();
    };
    let here: Vec<String> = found
        .iter()
        .filter(|(path, _)| *path == file.path && !first.contains("::"))
        .map(|(_, value)| value.clone())
        .collect();
    if here.is_empty() {
        return found.iter().map(|(_, value)| value.clone()).collect();
    }
    here
}

/// The labels of a recorded metric.
fn labels(arguments: &str) -> Vec<String> {
    arguments
        .match_indices("=>")
        .filter_map(|(at, _)| {
            let before = arguments.get(..at)?.trim_end();
            let (_, label) = before.strip_suffix('"')?.rsplit_once('"')?;
            Some(label.to_owned())
        })
        .collect()
}

/// Where spans are made, and the arguments that name them and their attributes.
fn span_macros(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for word in ["info_span!(", "debug_span!(", "instrument("] {
        for at in find_word(code, word) {
            let open = at + word.len() - 1;
            let Some(arguments) = matching(code, open).and_then(|end| code.get(open + 1..end))
            else {
                continue;
            };
            // `.instrument(span)` uses a span and makes none.
            if arguments.contains('"') && (word != "instrument(" || arguments.contains("name =")) {
                found.push((at, arguments));
            }
        }
    }
    found
}

/// The attributes among the arguments. `otel.name` and its like are no attributes: they set what a span is.
fn fields(arguments: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
    let is_ours = |name: &str| NAMESPACES.iter().any(|space| name.starts_with(space));
    arguments
        .split([',', '(', ')'])
        .filter_map(|field| {
            let name = field.split('=').next()?.trim();
            let is_field = is_ours(name) && name.chars().all(is_part);
            is_field.then(|| name.to_owned())
        })
        .collect()
}
