//! Every rule finds a planted defect, and leaves its fixed form alone. A rule that finds nothing any
//! more is worse than none.

use crate::repo::{Finding, Repo};
use crate::{contract, crates, docs, migrations, rooms, sizes, sql, telemetry, words};

struct Case {
    rule: fn(&Repo) -> Vec<Finding>,
    path: &'static str,
    defect: &'static str,
    /// Part of what is said about it.
    says: &'static str,
    fixed: &'static str,
}

const STORE: &str = "services/order/src/store/orders.rs";
const DOMAIN: &str = "services/order/src/domain/order.rs";
const MIGRATION: &str = "services/order/migrations/0001_orders.sql";
const MANIFEST: &str = "crates/lock/Cargo.toml";

#[test]
fn every_rule_finds_a_planted_defect() {
    for case in cases() {
        let found = |text| {
            let findings = (case.rule)(&Repo::of(&[(case.path, text)]));
            findings
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n")
        };
        let defect = found(case.defect);
        assert!(
            defect.contains(case.says),
            "in `{}` found `{defect}`, not `{}`",
            case.defect,
            case.says
        );
        let fixed = found(case.fixed);
        assert!(
            !fixed.contains(case.says),
            "in `{}` found `{fixed}`",
            case.fixed
        );
    }
}

fn cases() -> Vec<Case> {
    [of_rust(), of_sql(), of_words()]
        .into_iter()
        .flatten()
        .collect()
}

fn case(
    rule: fn(&Repo) -> Vec<Finding>,
    path: &'static str,
    defect: &'static str,
    says: &'static str,
    fixed: &'static str,
) -> Case {
    Case {
        rule,
        path,
        defect,
        says,
        fixed,
    }
}

fn of_rust() -> Vec<Case> {
    vec![
        case(
            rooms::imports,
            DOMAIN,
            "use crate::error::Error;",
            "order.rs:1: domain imports error",
            "#[cfg(test)]\nmod tests { use crate::error::Error; } // crate::error",
        ),
        case(
            rooms::pure_domain,
            DOMAIN,
            "use tokio::sync;",
            "tokio is async",
            "let text = \"tokio::sync\";",
        ),
        case(
            rooms::pure_domain,
            DOMAIN,
            "\noms_proto::x",
            "order.rs:2: oms_proto",
            "oms_core::x",
        ),
        case(
            sql::only_in_store,
            "services/order/src/commands/place_order.rs",
            "fn f() {\n sqlx::query!(\"\") }",
            "place_order.rs:2: query!",
            "fn f() { my_query!() }",
        ),
        case(
            sql::connection_first,
            STORE,
            "pub(crate) async fn get(id: Uuid, conn: &mut PgConnection) -> [u8; 2] { 1 }",
            "get takes `id: Uuid` first",
            "async fn get<F: Fn(u8) -> u8>(\n conn: &mut PgConnection,\n id: Uuid) {}",
        ),
        case(
            contract::rpc_files,
            "proto/oms/order/v1/order_service.proto",
            "  rpc PlaceOrder(PlaceOrderRequest) returns (PlaceOrderResponse) {",
            "commands/place_order.rs",
            "  // rpc PlaceOrder(",
        ),
        case(
            crates::arrows,
            MANIFEST,
            "name = \"oms-lock\"\n[dependencies]\noms-postgres.workspace = true",
            "Cargo.toml:3: oms-lock depends on oms-postgres",
            "name = \"oms-lock\"\n[dev-dependencies]\noms-testkit.workspace = true",
        ),
        case(
            crates::inherited,
            MANIFEST,
            "[dependencies]\ntokio = \"1\"",
            "write `tokio.workspace = true`",
            "[dependencies]\ntokio.workspace = true",
        ),
        case(
            crates::inherited,
            MANIFEST,
            "[dependencies]\ntokio = { workspace = true, features = [\"test-util\"] }",
            "write `tokio.workspace = true`",
            "[dev-dependencies]\ntokio = { workspace = true, features = [\"test-util\"] }",
        ),
    ]
}

fn of_sql() -> Vec<Case> {
    let named = "-- x\ncreate table a (b int constraint a_b_positive check (b > 0))";
    vec![
        case(
            migrations::all,
            MIGRATION,
            "-- x\na int,\ncheck (a > 0)",
            "sql:3: CHECK without",
            named,
        ),
        case(
            migrations::all,
            MIGRATION,
            "-- x\na int references b (a)",
            "REFERENCES without",
            "-- 'references'",
        ),
        case(
            migrations::all,
            MIGRATION,
            "-- x\nforeign key (a) references b",
            "FOREIGN without",
            "-- x\nconstraint a_b_fkey foreign key (a) references b (a)",
        ),
        case(
            migrations::all,
            MIGRATION,
            "-- x\nunique (a)",
            "UNIQUE without",
            "-- x\ncreate unique index a_b on a (b)",
        ),
        case(
            migrations::all,
            MIGRATION,
            "-- x\ncreate index on a (b)",
            "INDEX without",
            named,
        ),
        case(
            migrations::all,
            MIGRATION,
            "select",
            "begins with no comment",
            named,
        ),
    ]
}

fn of_words() -> Vec<Case> {
    vec![
        case(
            words::unfinished,
            "a.md",
            concat!("TO", "DO later"),
            "without an issue",
            concat!("TO", "DO(#3) later"),
        ),
        case(
            words::forbidden,
            "a.md",
            concat!("\nsee pypi", ".org"),
            "a.md:2: says",
            "see the package",
        ),
        case(
            words::log_messages,
            STORE,
            "info!(%id, \"Order was placed\")",
            "begins in upper case",
            "info!(%id, \"order was placed\")",
        ),
        case(
            words::log_messages,
            STORE,
            "warn!(\"it failed.\")",
            "full stop",
            "warn!(\"Redis is gone\")",
        ),
        case(
            telemetry::metrics,
            STORE,
            "fn f() { counter!(\"oms.a\", \"b\" => c).increment(1); }",
            "oms_a has no describe_counter!",
            "fn f() { describe_counter!(\"oms.a\", \"what\"); counter!(\"oms.a\").increment(1); }",
        ),
        case(
            telemetry::metrics,
            "docs/telemetry.md",
            "## Metrics\n| `oms_gone` | counter |  |  | what |\n",
            "no code emits oms_gone",
            "## Other\n| `oms_gone` | counter |  |  | what |\n",
        ),
        case(
            telemetry::spans,
            STORE,
            "fn f() { info_span!(\"look\", oms.order.id = 1); }",
            "attribute oms.order.id is not in",
            "fn f() { info_span!(\"look\", order = 1); }",
        ),
        case(
            docs::links,
            "docs/a.md",
            "[b](b.md)",
            "leads nowhere: b.md",
            "[a](../docs/a.md#top)",
        ),
    ]
}

#[test]
fn long_files_and_functions_are_found() {
    let body = "\nlet a = 1;".repeat(71);
    let function = format!("fn long() {{{body}}}");
    let file = function.replace("fn", "// \n fn").repeat(8);
    let tests = format!("#[cfg(test)]\nmod tests {{ {file} }}");
    let found =
        |rule: fn(&Repo) -> Vec<Finding>, text: &str| rule(&Repo::of(&[(STORE, text)])).len();
    assert_eq!(found(sizes::functions, &function), 1);
    assert_eq!(found(sizes::files, &file), 1);
    assert_eq!(found(sizes::functions, &tests), 0);
    assert_eq!(found(sizes::files, &tests), 0);
}
