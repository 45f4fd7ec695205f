//! The list of callers is what the clients of the services do: no call that would be refused, nothing allowed that
//! nobody does.

use std::collections::BTreeSet;

use crate::contract::{rpcs, snake_case};
use crate::repo::{Finding, Repo, SERVICES};
use crate::rust::code;

const LIST: &str = "crates/service/src/auth/callers.toml";

/// Differences between the list and the calls in `clients/`. Feeds are followed by other means.
pub(crate) fn listed(repo: &Repo) -> Vec<Finding> {
    let Some(list) = repo.get(LIST) else {
        return vec![Finding::new(LIST, 1, "is missing")];
    };
    let (mut caller, mut named) = ("", BTreeSet::new());
    for (_, line) in list.lines() {
        if let Some(section) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            caller = section;
        }
        let methods = line.split('"').filter_map(|text| text.split_once('/'));
        named.extend(methods.map(|(_, rpc)| (caller.to_owned(), rpc.to_owned())));
    }
    named.retain(|(_, rpc)| rpc != "*");
    let called = called(repo);
    let missing = called.difference(&named).map(|(caller, rpc)| {
        let message = format!("{caller} calls {rpc}, which is not listed");
        Finding::new(LIST, 1, message)
    });
    let unused = named.difference(&called).map(|(caller, rpc)| {
        let message = format!("{caller} is listed with {rpc}, which its clients do not call");
        Finding::new(LIST, 1, message)
    });
    missing.chain(unused).collect()
}

/// Caller and RPC of every call in `clients/`.
fn called(repo: &Repo) -> BTreeSet<(String, String)> {
    let mut called = BTreeSet::new();
    let rpcs: BTreeSet<&str> = repo
        .below("proto/oms", "proto")
        .flat_map(rpcs)
        .map(|(_, rpc)| rpc)
        .collect();
    for service in SERVICES {
        for file in repo.below(&format!("services/{service}/src/clients"), "rs") {
            let code = code(&file.text);
            // With a request; without anything it is a function of the client itself.
            let is_call = |rpc: &str| {
                let call = format!(".{}(", snake_case(rpc));
                code.split(&call).skip(1).any(|rest| !rest.starts_with(')'))
            };
            let calls = |rpc: &&&str| is_call(rpc);
            called.extend(
                rpcs.iter()
                    .filter(calls)
                    .map(|rpc| (service.to_owned(), (*rpc).to_owned())),
            );
        }
    }
    called
}

#[test]
fn a_difference_is_found() {
    let proto = "service A {\n  rpc GetOrder(GetOrderRequest) returns (GetOrderResponse) {}\n}";
    let client = "fn f() { self.client.get_order(request).await }";
    let list = "[order]\nreturns = [\n    \"A/CancelOrder\",\n    \"EventFeedService/*\",\n]";
    let repo = Repo::of(&[
        ("proto/oms/order/v1/order.proto", proto),
        ("services/returns/src/clients/order.rs", client),
        (LIST, list),
    ]);
    let found: Vec<String> = listed(&repo).iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 2, "{found:?}");
}
