"""The example of a Collector's configuration fits together, and with what services emit."""

import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONFIG = ROOT / "docs/operations/otel-collector.yaml"
# What only its own kind of signal has a component for.
OF_TRACES, OF_METRICS = {"otlp", "tail_sampling"}, {"prometheus", "transform"}

broken: list[str] = []


def check(holds: bool, what: str) -> None:
    if not holds:
        broken.append(what)


def check_pipelines(config: dict) -> None:
    """Every component is defined once, used, and in a pipeline of its kind."""
    for kind in ("receivers", "processors", "exporters"):
        pipelines = config["service"]["pipelines"]
        used = {name for pipeline in pipelines.values() for name in pipeline[kind]}
        check(used == set(config[kind]), f"{kind} that are defined or used only: {sorted(used ^ set(config[kind]))}")
        for signal, other in (("traces", OF_METRICS), ("metrics", OF_TRACES)):
            if kind != "exporters":
                wrong = {name for name in pipelines[signal][kind] if name.split("/")[0] in other}
                check(not wrong, f"not for {signal}: {sorted(wrong)}")
    for pipeline in config["service"]["pipelines"].values():
        order = pipeline["processors"]
        check(order[0] == "memory_limiter" and order[-1] == "batch", f"memory_limiter first, batch last: {order}")


def check_sampling(sampling: dict) -> None:
    """Each policy has the fields of its type; what it looks for is emitted."""
    registry = (ROOT / "docs/telemetry.md").read_text()
    sources = "".join(path.read_text() for path in (ROOT / "services/order/src").rglob("*.rs"))
    kinds = []
    for policy in sampling["policies"]:
        kind = policy["type"]
        kinds.append(kind)
        check(set(policy) == {"name", "type", kind}, f"{policy['name']}: a policy has name, type and {kind}")
        if kind != "string_attribute":
            continue
        key, values = policy[kind]["key"], policy[kind]["values"]
        check(f"| `{key}` |" in registry, f"no span has {key}")
        if key == "oms.order.action":
            unknown = [value for value in values if f'"{value}"' not in sources]
            check(not unknown, f"nobody does {unknown}")
    check(kinds.count("probabilistic") == 1 and kinds[-1] == "probabilistic", "of the rest a share is kept, last")
    check({"status_code", "latency"} <= set(kinds), "failed and slow traces are kept")
    wait = int(re.fullmatch(r"(\d+)s", sampling["decision_wait"])[1])
    check(wait > 15, "PlaceOrder may take 15 s before its trace is whole")


def check_scrape(scrape: dict) -> None:
    chart = (ROOT / "charts/oms/templates/deployments.yaml").read_text()
    keep = [one["regex"] for one in scrape["relabel_configs"] if one.get("action") == "keep"]
    check(all(f"name: {port}" in chart for port in keep) and keep, f"the chart names no port {keep}")
    check(scrape["honor_labels"] is True, "metrics say their service themselves where they can")
    targets = {one["target_label"] for one in scrape["relabel_configs"] if "target_label" in one}
    check({"namespace", "pod", "service"} <= targets, "rules and dashboards need namespace, pod and service")


def main() -> None:
    config = yaml.safe_load(CONFIG.read_text())
    check_pipelines(config)
    check_sampling(config["processors"]["tail_sampling"])
    for scrape in config["receivers"]["prometheus"]["config"]["scrape_configs"]:
        check_scrape(scrape)
    if broken:
        sys.exit("\n".join([f"{CONFIG.relative_to(ROOT)}:", *broken]))
    print("the Collector's configuration fits together, and with what services emit", file=sys.stderr)


main()
