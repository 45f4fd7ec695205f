//! Where SQL may stand, and how functions that hold it look.

use crate::repo::{Finding, Repo};
use crate::rust::{code, find_word, functions, line_of};

/// What makes a statement.
const STATEMENTS: [&str; 14] = [
    "query!",
    "query_as!",
    "query_scalar!",
    "query_file!",
    "query_file_as!",
    "query_file_scalar!",
    "query_unchecked!",
    "query_as_unchecked!",
    "sqlx::query",
    "sqlx::query_as",
    "sqlx::query_scalar",
    "sqlx::query_with",
    "sqlx::raw_sql",
    "QueryBuilder",
];

/// Crates that are about the database, and programs that look at it from outside with SQL of their own.
const FREE: [&str; 4] = [
    "crates/postgres/",
    "crates/testkit/",
    "crates/oms/src/verify",
    "crates/engines/",
];

/// Statements outside `store/`.
pub(crate) fn only_in_store(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repo.sources() {
        let in_store = file
            .path
            .split('/')
            .any(|part| part == "store" || part == "store.rs");
        if in_store || FREE.iter().any(|free| file.path.starts_with(free)) {
            continue;
        }
        let code = code(&file.text);
        for statement in STATEMENTS {
            for at in find_word(&code, statement) {
                findings.push(Finding::new(
                    &file.path,
                    line_of(&code, at),
                    format!("{statement} outside store/"),
                ));
            }
        }
    }
    findings
}

/// Functions of `store/` that run statements but do not take the connection first.
pub(crate) fn connection_first(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repo
        .sources_of("services")
        .filter(|file| file.path.contains("/src/store/"))
    {
        let code = code(&file.text);
        for function in functions(&code)
            .into_iter()
            .filter(|function| function.is_async)
        {
            let first = function
                .parameters
                .split(',')
                .next()
                .unwrap_or_default()
                .trim();
            if first.starts_with("conn:") && first.ends_with("&mut PgConnection") {
                continue;
            }
            findings.push(Finding::new(
                &file.path,
                line_of(&code, function.at),
                format!(
                    "{} takes `{first}` first, not `conn: &mut PgConnection`",
                    function.name
                ),
            ));
        }
    }
    findings
}
