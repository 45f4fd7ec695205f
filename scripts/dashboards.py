"""Grafana dashboards of the chart: dashboards.py update|check

Written here as rows of panels; charts/oms/dashboards holds what Grafana reads.
"""

import json
import pathlib
import re
import sys

TARGET = pathlib.Path(__file__).resolve().parent.parent / "charts/oms/dashboards"
SERVICES = ["order", "inventory", "fulfillment", "shipping", "returns"]
WIDTH, HEIGHT = 24, 8

# A panel: title, unit (Grafana's name), and its curves: legend and expression. [$r] is the window of a rate.
Panel = tuple[str, str, list[tuple[str, str]]]


def quantiles(metric: str, selector: str = "", by: str = "") -> list[tuple[str, str]]:
    groups = f"{by}, le" if by else "le"
    legend = f"{{{{{by}}}}} " if by else ""
    return [
        (f"{legend}p{int(q * 100)}", f"histogram_quantile({q}, sum by ({groups}) (rate({metric}_bucket{{{selector}}}[$r])))")
        for q in (0.5, 0.99)
    ]


def events(service: str, kind: str) -> str:
    return f'sum(rate(oms_relay_events{{service="{service}",type="{kind}"}}[$r]))'


def stage(measure: str, legend: str = "{{stage}}") -> tuple[str, str]:
    # Every replica of order tells the same.
    return legend, f"max by (stage) (oms_order_stage_{measure})"


def funnel() -> list[list[Panel]]:
    steps = [
        ("placed", "order", "OrderPlaced"),
        ("confirmed", "order", "OrderConfirmed"),
        ("released", "order", "OrderReleased"),
        ("picked", "fulfillment", "FulfillmentOrderPicked"),
        ("packed", "fulfillment", "FulfillmentOrderPacked"),
        ("shipped", "shipping", "ShipmentShipped"),
        ("invoiced", "order", "InvoiceIssued"),
        ("delivered", "shipping", "ShipmentDelivered"),
        ("returned", "returns", "ReturnReceived"),
    ]
    curves = [(name, events(service, kind)) for name, service, kind in steps]
    today = [(name, expr.replace("rate(", "increase(").replace("[$r]", "[24h]")) for name, expr in curves]
    late = 'sum(rate(oms_order_release_seconds_bucket{waited="false",le=~"60([.]0)?"}[$r])) / sum(rate(oms_order_release_seconds_count{waited="false"}[$r]))'
    return [
        [("Order to cash, last 24 h", "short", today), ("Order to cash, per second", "ops", curves)],
        [
            ("Backlog: open orders by what they wait for", "short", [stage("backlog")]),
            ("At risk, late", "short", [stage("at_risk", "{{stage}} at risk"), stage("late", "{{stage}} late")]),
            ("Waits longest", "s", [stage("oldest_age_seconds")]),
        ],
        [
            ("With fulfillment within 60 s", "percentunit", [("share", late)]),
            ("From placing to fulfillment", "s", quantiles("oms_order_release_seconds", 'waited="false"')),
        ],
        [
            ("Ended before cash, per second", "ops", [("rejected, canceled, expired", events("order", "OrderEnded"))]),
            ("Error budget burned, last hour (1 = on plan)", "short", [
                ("place order", 'oms:slo_errors:ratio_rate1h{slo="place_order"} / 0.001'),
                ("reserve", 'oms:slo_errors:ratio_rate1h{slo="reserve"} / 0.0005'),
                ("release", 'oms:slo_errors:ratio_rate1h{slo="release"} / 0.01'),
            ]),
        ],
        [
            ("Violated invariants", "short", [("{{invariant}}", "max by (invariant) (oms_invariant_violations) > 0")]),
            ("Stock levels that disagree with the ledger", "short", [("drift", "max(oms_inventory_stock_drift)")]),
        ],
    ]


def reservations() -> list[list[Panel]]:
    reserve = 'method="ReservationService/Reserve"'
    return [
        [
            ("Reserve, per second", "ops", [("{{code}}", f"sum by (code) (rate(oms_rpc_server_duration_seconds_count{{{reserve}}}[$r]))")]),
            ("Reserve, duration", "s", quantiles("oms_rpc_server_duration_seconds", reserve)),
        ],
        [
            ("Commands per transaction", "short", quantiles("oms_inventory_lane_batch_size")),
            ("Wait for the lane", "s", quantiles("oms_inventory_lane_wait_seconds")),
            ("Waiting commands", "short", [("{{pod}}", "sum by (pod) (oms_inventory_lane_queue_depth)")]),
        ],
        [
            ("Commands by lease", "ops", [("{{lease}}", "sum by (lease) (rate(oms_inventory_lane_commands[$r]))")]),
            ("Without a lease, by reason", "ops", [("{{reason}}", "sum by (reason) (rate(oms_inventory_lease_bypass_total[$r]))")]),
            ("Fenced off, gone first", "ops", [
                ("fenced", "sum(rate(oms_inventory_lease_fenced_total[$r]))"),
                ("yields", "sum(rate(oms_inventory_lease_yields_total[$r]))"),
            ]),
        ],
        [
            ("Calls for leases", "ops", [("{{outcome}}", "sum by (outcome) (rate(oms_lock_acquisitions_total[$r]))")]),
            ("Redis servers that fail", "short", [("{{part}}", "max by (part) (oms_lock_failing)")]),
            ("Waiting for another holder, counters begun anew", "ops", [
                ("waited for", "sum(rate(oms_lock_waited_for_total[$r]))"),
                ("generations", "sum(rate(oms_lock_generations_total[$r]))"),
            ]),
        ],
    ]


def saga() -> list[list[Panel]]:
    return [
        [
            ("Open sagas by step", "short", [("{{step}} {{state}}", 'max by (step, state) (oms_order_sagas{state!="STUCK"}) > 0')]),
            ("Oldest, running", "s", [("{{step}}", 'max by (step) (oms_order_saga_oldest_age_seconds{state="RUNNING"}) > 0')]),
            ("Overdue", "s", [("overdue", "max(oms_order_saga_overdue_seconds)")]),
        ],
        [
            ("Duration of a step, p99", "s", quantiles("oms_order_saga_step_seconds", 'undo="false"', "step")[1:]),
            ("Undone steps, per second", "ops", [("{{step}}", 'sum by (step) (rate(oms_order_saga_step_seconds_count{undo="true"}[$r]))')]),
            ("Sagas in work", "short", [("{{pod}}", "sum by (pod) (oms_order_sagas_running)")]),
        ],
        [
            ("Exceptions: wait for a person", "short", [
                ("sagas", 'sum(max by (step) (oms_order_sagas{state="STUCK"}))'),
                ("tasks of {{service}}", "max by (service) (oms_tasks_stuck) > 0"),
                ("events of {{service}}", "max by (service) (oms_parked_events) > 0"),
            ]),
            ("Given up, per hour", "short", [
                ("sagas", "sum(increase(oms_order_sagas_stuck[1h]))"),
                ("{{kind}}", "sum by (kind) (increase(oms_task_stuck[1h])) > 0"),
            ]),
            ("Taken up, leases lost", "ops", [
                ("claimed", "sum(rate(oms_order_sagas_claimed[$r]))"),
                ("leases lost", "sum(rate(oms_order_saga_leases_lost[$r]))"),
            ]),
        ],
        [
            ("Effects that are not settled", "short", [("{{service}} {{state}}", "max by (service, state) (oms_effects_open)")]),
            ("Oldest effect without an answer", "s", [("{{service}}", 'max by (service) (oms_effects_oldest_age_seconds{state=~"SENT|IN_DOUBT"})')]),
            ("Answers of carriers", "ops", [("{{kind}} {{state}}", "sum by (kind, state) (rate(oms_shipping_effects_answered[$r]))")]),
        ],
    ]


def edge() -> list[list[Panel]]:
    return [
        [
            ("Wrong tokens, keys and signatures, per second", "ops", [("{{door}} {{outcome}}", "sum by (door, outcome) (rate(oms_auth_failures[$r]))")]),
            ("Fetches of keys that check tokens, last hour", "short", [("{{service}} {{outcome}}", "sum by (service, outcome) (increase(oms_auth_jwks_fetches[1h]))")]),
            ("Changed certificates and lists of keys, last day", "short", [
                ("{{service}} {{outcome}}", "sum by (service, outcome) (increase(oms_auth_files_reloaded[1d]))"),
            ]),
        ],
        [
            ("Replicas that are ready", "short", [("{{service}}", "sum by (service) (oms_ready)")]),
            ("Calls shed, share", "percentunit", [
                ("{{service}}", "sum by (service) (rate(oms_rpc_server_shed[$r])) / sum by (service) (rate(oms_rpc_server_duration_seconds_count[$r]))"),
            ]),
            ("TLS not agreed on, connections refused", "ops", [
                ("{{service}} {{outcome}}", "sum by (service, outcome) (rate(oms_rpc_server_handshakes_failed[$r])) > 0"),
                ("{{service}} refused", "sum by (service) (rate(oms_rpc_server_connections_refused[$r])) > 0"),
            ]),
        ],
        [
            ("Webhooks: attempts", "ops", [("{{outcome}}", "sum by (outcome) (rate(oms_webhook_attempts[$r]))")]),
            ("Webhooks: oldest that is due", "s", [("oldest", "max(oms_webhook_oldest_due_seconds)")]),
            ("Webhooks: how long endpoints take", "s", quantiles("oms_webhook_request_duration_seconds")),
        ],
        [
            ("Webhooks made, per second; under way", "short", [
                ("{{cause}}", "sum by (cause) (rate(oms_webhook_deliveries_created[$r]))"),
                ("under way", "sum(oms_webhook_requests_under_way)"),
            ]),
            ("Endpoints disabled, last day", "short", [("{{reason}}", "sum by (reason) (increase(oms_webhook_endpoints_disabled[1d]))")]),
            ("Webhooks of carriers", "ops", [("{{outcome}}", "sum by (outcome) (rate(oms_shipping_carrier_webhooks[$r]))")]),
        ],
        [
            ("Audit: waits to be chained", "short", [("{{service}}", "max by (service) (oms_audit_pending)")]),
            ("Audit: rows, per second", "ops", [("{{service}}", "sum by (service) (rate(oms_audit_rows[$r]))")]),
        ],
    ]


def service(name: str) -> list[list[Panel]]:
    own = f'service="{name}"'
    return [
        [
            ("Calls, per second", "ops", [("{{method}}", f"sum by (method) (rate(oms_rpc_server_duration_seconds_count{{{own}}}[$r]))")]),
            ("Errors, per second", "ops", [("{{reason}}", f"sum by (reason) (rate(oms_rpc_server_errors{{{own}}}[$r]))")]),
            ("Duration, p99", "s", quantiles("oms_rpc_server_duration_seconds", own, "method")[1:]),
        ],
        [
            ("In work, shed", "short", [
                ("in work", f"sum(oms_rpc_server_in_flight{{{own}}})"),
                ("shed per second", f"sum(rate(oms_rpc_server_shed{{{own}}}[$r]))"),
            ]),
            ("Calls of peers, p99", "s", quantiles("oms_rpc_client_duration_seconds", own, "method")[1:]),
            ("Connections", "short", [
                ("open", f"sum(oms_rpc_server_connections{{{own}}})"),
                ("refused per second", f"sum(rate(oms_rpc_server_connections_refused{{{own}}}[$r]))"),
            ]),
        ],
        [
            ("Transactions, per second", "ops", [("{{name}} {{outcome}}", f"sum by (name, outcome) (rate(oms_tx_duration_seconds_count{{{own}}}[$r]))")]),
            ("Transactions, p99; retries per second", "s", [
                *quantiles("oms_tx_duration_seconds", own, "name")[1:],
                ("retries of {{name}}", f"sum by (name) (rate(oms_tx_retries{{{own}}}[$r])) > 0"),
            ]),
            ("Database connections; wait for one, p99", "short", [
                ("{{state}}", f"sum by (state) (oms_pool_connections{{{own}}})"),
                ("most", f"sum(oms_pool_connections_max{{{own}}})"),
                *quantiles("oms_tx_pool_wait_seconds", own)[1:],
            ]),
        ],
        [
            ("Events by type, per second", "ops", [("{{type}}", f"sum by (type) (rate(oms_relay_events{{{own}}}[$r]))")]),
            ("Outbox", "short", [
                ("events", f"max(oms_outbox_depth{{{own}}})"),
                ("oldest, s", f"max(oms_outbox_oldest_age_seconds{{{own}}})"),
            ]),
            ("Behind the feeds of peers", "short", [
                ("{{source}}", f"oms:feed_behind:events{{{own}}}"),
                ("{{source}} stopped", f"max by (source) (oms_feed_stopped{{{own}}}) > 0"),
            ]),
        ],
        [
            ("Tasks, per second", "ops", [("{{kind}} {{outcome}}", f"sum by (kind, outcome) (rate(oms_task_duration_seconds_count{{{own}}}[$r]))")]),
            ("Tasks that are due, stuck", "short", [
                ("due", f"max(oms_tasks_ready{{{own}}})"),
                ("stuck", f"max(oms_tasks_stuck{{{own}}})"),
                ("oldest, s", f"max(oms_tasks_oldest_due_age_seconds{{{own}}})"),
            ]),
            ("Peers left alone, calls not sent", "short", [
                ("{{peer}} left alone", f"max by (peer) (oms_rpc_client_tripped{{{own}}})"),
                ("{{peer}} {{reason}} per second", f"sum by (peer, reason) (rate(oms_rpc_client_refused{{{own}}}[$r]))"),
            ]),
        ],
    ]


def of_namespace(expression: str) -> str:
    """The expression, for the chosen namespaces only."""

    def narrowed(found: re.Match) -> str:
        selectors = ['namespace=~"$namespace"', *([found[2]] if found[2] else [])]
        return found[1] + "{" + ",".join(selectors) + "}"

    narrow = re.sub(r"\b(oms[_:][\w:]+)(?:\{([^}]*)\})?", narrowed, expression)
    return narrow.replace("[$r]", "[$__rate_interval]")


def target(at: int, legend: str, expression: str) -> dict:
    curve = {"refId": chr(ord("A") + at), "legendFormat": legend, "expr": of_namespace(expression)}
    # Durations show traces as points, which lead into the trace store that the data source names.
    return curve | ({"exemplar": True} if "_seconds_bucket" in expression else {})


def dashboard(name: str, title: str, rows: list[list[Panel]]) -> dict:
    source = {"type": "prometheus", "uid": "${datasource}"}
    panels = []
    for row, of_row in enumerate(rows):
        width = WIDTH // len(of_row)
        for column, (heading, unit, curves) in enumerate(of_row):
            panels.append({
                "id": len(panels) + 1,
                "type": "timeseries",
                "title": heading,
                "datasource": source,
                "gridPos": {"x": column * width, "y": row * HEIGHT, "w": width, "h": HEIGHT},
                "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
                "targets": [target(at, legend, expression) for at, (legend, expression) in enumerate(curves)],
            })
    namespace = {
        "name": "namespace",
        "type": "query",
        "datasource": source,
        "query": "label_values(oms_pool_connections_max, namespace)",
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
    }
    return {
        "uid": name,
        "title": title,
        "tags": ["oms"],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "links": [{"title": "oms", "type": "dashboards", "tags": ["oms"], "asDropdown": True}],
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}, namespace]},
        "panels": panels,
    }


def main() -> None:
    every = {
        "oms-funnel": ("OMS: order to cash", funnel()),
        "oms-reservations": ("OMS: reservations", reservations()),
        "oms-saga": ("OMS: saga and exceptions", saga()),
        "oms-edge": ("OMS: callers, webhooks, audit", edge()),
        **{f"oms-{name}": (f"OMS: {name}", service(name)) for name in SERVICES},
    }
    files = {f"{name}.json": json.dumps(dashboard(name, *of), indent=1) + "\n" for name, of in every.items()}
    if sys.argv[1:] == ["update"]:
        TARGET.mkdir(exist_ok=True)
        for path in TARGET.glob("*.json"):
            path.unlink()
        for name, text in files.items():
            (TARGET / name).write_text(text)
        return
    found = {path.name: path.read_text() for path in TARGET.glob("*.json")}
    if found != files:
        sys.exit("charts/oms/dashboards is not what scripts/dashboards.py writes: run 'make chart-update' and commit it")


main()
