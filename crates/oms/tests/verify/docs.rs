//! The page about the invariants is made of their list.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use oms::verify;

const PAGE: &str = "../../docs/invariants.md";

const HEAD: &str = "\
# Invariants

What must be true of the five databases. `oms verify` checks it with SQL of its own, which shares no code with the services;
the tests, the crash suite and `oms demo` end with it. Every line is proven by a defect that a test plants and the
verifier finds (`crates/oms/tests/verify`). This page is made of the list in `crates/oms/src/verify`:
`UPDATE_DOCS=1 cargo test -p oms --test verify docs` writes it.

The sandbox payment provider keeps a ledger of its own in the database `oms_sandbox_psp`, which `provider` compares with our payments. Where
there is no such database, those lines are skipped, and the verdict says so.

Five databases have no common moment. A line marked *settled*, and those between services, are judged only for orders that nothing has
changed for a minute, with no open task, no event on its way and none unread; `--at-rest` waits until nothing is under way and
then judges everything.

```
oms verify [--postgres-url URL | --dir .oms] [--at-rest] [--json]     # exit code 2 when something is violated
```
";

#[test]
fn docs_list_every_invariant() {
    let mut page = HEAD.to_owned();
    let mut group = "";
    for invariant in verify::invariants() {
        let (of, _) = invariant.name.split_once('.').unwrap();
        if of != group {
            group = of;
            write!(
                page,
                "\n## {group}\n\n| name | what must be true |\n|---|---|\n"
            )
            .unwrap();
        }
        let settled = if invariant.is_settled_only() {
            "*settled:* "
        } else {
            ""
        };
        writeln!(
            page,
            "| `{}` | {settled}{} |",
            invariant.name, invariant.says
        )
        .unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == page,
        "docs/invariants.md is not what the list says: UPDATE_DOCS=1 cargo test -p oms --test verify docs"
    );
}
