//! Every service accepts the configuration that the chart gives it, as rendered in `k8s/`.

#![allow(clippy::unwrap_used, reason = "helpers of a test may panic")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use oms_service::{AnyProgram, Layers};

/// What stands in Secrets: key and a value of its kind. Every service takes the first.
const SECRETS: [(&str, &str); 6] = [
    ("DATABASE__URL", "postgres://oms:secret@db:5432/oms"),
    ("LEASE__REDIS_URL", "redis://redis:6379"),
    ("PAYMENTS__STRIPE__API_KEY", "sk_test_1"),
    ("PAYMENTS__STRIPE__WEBHOOK_SECRET", "whsec_1"),
    (
        "CARRIERS__TABLE_RATE__WEBHOOK_SECRETS",
        "whsec_b21zLWRldmVsb3BtZW50LWtleS1vbmx5LTAxMjM0NTY=",
    ),
    (
        "PRIVACY__MASTER_KEYS",
        "k1:b21zLWRldmVsb3BtZW50LWtleS1vbmx5LTAxMjM0NTY=",
    ),
];

#[test]
fn services_accept_what_the_chart_sets() {
    let mut refused = Vec::new();
    let mut accepted = 0;
    for path in rendered() {
        let manifests = fs::read_to_string(&path).unwrap();
        for program in programs() {
            let layers = Layers::of_text(as_toml(program.name(), &manifests));
            match program.check_config(&layers) {
                Ok(common) => {
                    assert_eq!(
                        common.listen.ip().to_string(),
                        "0.0.0.0",
                        "{}",
                        path.display()
                    );
                    assert_eq!(common.database.url, SECRETS[0].1);
                    assert!(!common.insecure_dev && !common.peers.is_empty());
                    accepted += 1;
                }
                Err(error) => {
                    refused.push(format!("{} {}: {error}", path.display(), program.name()));
                }
            }
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert_eq!(accepted, 3 * programs().len());
}

/// A value of YAML, in quotes or not.
fn scalar(value: &str) -> String {
    serde_json::from_str(value).unwrap_or_else(|_| value.to_owned())
}

/// The variables of a service, from the environment of its containers.
fn as_toml(service: &str, manifests: &str) -> String {
    let prefix = format!("- name: OMS_{}__", service.to_uppercase());
    let mut toml = String::new();
    let mut lines = manifests.lines().map(str::trim_start).peekable();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix(prefix.as_str()) else {
            continue;
        };
        // What is no secret stands in the next line.
        let value = match lines.peek().and_then(|next| next.strip_prefix("value: ")) {
            Some(value) => scalar(value),
            None => secret(name).to_owned(),
        };
        let key = format!("{} = ", name.to_lowercase().replace("__", "."));
        // The same variable stands in several manifests, always with the same value.
        if toml.lines().any(|line| line.starts_with(&key)) {
            continue;
        }
        // As the environment does: text, of which the configuration makes numbers, or a list.
        if value.starts_with('[') {
            writeln!(toml, "{key}{value}").unwrap();
        } else {
            writeln!(toml, "{key}{value:?}").unwrap();
        }
    }
    toml
}

fn secret(name: &str) -> &'static str {
    let known = SECRETS.iter().find(|(secret, _)| *secret == name);
    known.unwrap().1
}

fn rendered() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../k8s");
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect()
}

fn programs() -> [&'static dyn AnyProgram; 5] {
    [
        &oms_order::Order,
        &oms_inventory::Inventory,
        &oms_fulfillment::Fulfillment,
        &oms_shipping::Shipping,
        &oms_returns::Returns,
    ]
}
