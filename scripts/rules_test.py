"""Alerts, their tests, their runbooks, dashboards and the telemetry registry fit together."""

import json
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHART = ROOT / "charts/oms"
HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
# Labels of what is scraped, as the chart's ServiceMonitor sets them. `service` stands on metrics that do not say it themselves.
TARGET_LABELS = {"namespace", "pod", "instance", "service"}
SUFFIXES = ("_bucket", "_count", "_sum")

broken: list[str] = []


def check(holds: bool, what: str) -> None:
    if not holds:
        broken.append(what)


def rules() -> list[dict]:
    groups = yaml.safe_load((CHART / "rules/oms.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def registry() -> dict[str, tuple[str, set[str]]]:
    """Kind and labels of every metric, by the names under which Prometheus keeps it."""
    text = (ROOT / "docs/telemetry.md").read_text()
    section = text.split("\n## Metrics\n")[1].split("\n## ")[0]
    found = {}
    for row in re.findall(r"^\| `(oms_\w+)` \|(.*)", section, re.MULTILINE):
        kind, _, labels = (cell.strip() for cell in row[1].split("|")[:3])
        names = [row[0] + suffix for suffix in SUFFIXES] if kind == "histogram" else [row[0]]
        found |= {name: set(re.findall(r"`(\w+)`", labels)) for name in names}
    return found


def dashboards() -> dict[str, list[str]]:
    """The expressions of every dashboard."""
    return {
        path.name: expressions(json.loads(path.read_text()))
        for path in sorted((CHART / "dashboards").glob("*.json"))
    }


def expressions(node) -> list[str]:
    if isinstance(node, dict):
        own = [node["expr"]] if "expr" in node else []
        return own + [one for value in node.values() for one in expressions(value)]
    if isinstance(node, list):
        return [one for value in node for one in expressions(value)]
    return []


def check_alerts(alerts: list[dict]) -> None:
    names = {alert["alert"] for alert in alerts}
    tests = yaml.safe_load((CHART / "rules/tests.yaml").read_text())["tests"]
    cases = [case for test in tests for case in test.get("alert_rule_test", [])]
    fired = {case["alertname"] for case in cases if case["exp_alerts"]}
    check(names == fired, f"alerts without a test that fires, or the other way round: {sorted(names ^ fired)}")
    for alert in alerts:
        name = alert["alert"]
        check(alert["labels"].get("severity") in ("page", "ticket"), f"{name}: severity is page or ticket")
        page = f"docs/runbooks/{name}.md"
        check(alert["annotations"].get("runbook_url") == page, f"{name}: runbook_url is {page}")
    pages = {path.stem: path.read_text() for path in (ROOT / "docs/runbooks").glob("Oms*.md")}
    check(names == pages.keys(), f"alerts without a runbook, or the other way round: {sorted(names ^ pages.keys())}")
    for name, text in pages.items():
        check(text.startswith(f"# {name}\n"), f"{name}.md begins with its name")
        check(re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS, f"{name}.md has the headings {HEADINGS}")
        sections = re.split(r"^## .+$", text, flags=re.MULTILINE)[1:]
        check(all(section.strip() for section in sections), f"{name}.md has an empty section")


def check_words(metrics: dict, recorded: set[str]) -> None:
    """What runbooks tell people to look at is there."""
    whole = {name.removesuffix(suffix) for name in metrics for suffix in ("", *SUFFIXES)}
    for path in (ROOT / "docs/runbooks").glob("Oms*.md"):
        for name in re.findall(r"\boms[_:]\w[\w:]*", path.read_text()):
            check(name in whole | metrics.keys() | recorded, f"{path.name}: {name} is not in docs/telemetry.md")


def check_expression(where: str, expression: str, metrics: dict, recorded: set[str]) -> None:
    bare = re.sub(r'"[^"]*"', '""', expression)
    for name, selector in re.findall(r"\b(oms[_:][\w:]+)(\{[^}]*\})?", bare):
        if name in recorded:
            continue
        if name not in metrics:
            check(False, f"{where}: {name} is not in docs/telemetry.md")
            continue
        allowed = metrics[name] | TARGET_LABELS | {"le"}
        unknown = set(re.findall(r"(\w+)\s*[=!]", selector)) - allowed
        check(not unknown, f"{where}: {name} has no label {sorted(unknown)}")


def main() -> None:
    every, metrics = rules(), registry()
    alerts = [rule for rule in every if "alert" in rule]
    recorded = {rule["record"] for rule in every if "record" in rule}
    check_alerts(alerts)
    check_words(metrics, recorded)
    used = {name: [rule["expr"]] for rule in every for name in [rule.get("alert") or rule["record"]]}
    boards = dashboards()
    for where, all_of in [*used.items(), *boards.items()]:
        for expression in all_of:
            check_expression(where, expression, metrics, recorded)
    if broken:
        sys.exit("\n".join(["rules, runbooks and dashboards:", *sorted(set(broken))]))
    print(f"{len(alerts)} alert rules have tests and runbooks; they and {len(boards)} dashboards name known metrics", file=sys.stderr)


if __name__ == "__main__":
    main()
