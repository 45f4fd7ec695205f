"""What the manifests of the chart promise: chart_test.py RENDERED

RENDERED is a directory with one rendered file per example, and in variants/ what no example shows. Prints every broken promise, then fails.
"""

import json
import pathlib
import re
import sys
import tomllib

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHART = ROOT / "charts/oms"
PORTS = {"order": 7001, "inventory": 7002, "fulfillment": 7003, "shipping": 7004, "returns": 7005}
# Who connects to whom: calls and event feeds. Written down here once more, so that the chart cannot
# open an edge by mistake.
EDGES = {
    "order": {"inventory", "fulfillment", "shipping", "returns"},
    "inventory": {"shipping", "returns"},
    "fulfillment": {"order", "inventory", "shipping"},
    "shipping": {"order", "inventory", "fulfillment"},
    "returns": {"order", "shipping"},
}
# Keys that every service has, with defaults of their own (oms_service::Common).
COMMON = [
    "listen",
    "admin_listen",
    "database.url",
    "database.max_connections",
    "server.drain_delay_ms",
    "server.drain_timeout_ms",
    "telemetry.format",
    "telemetry.filter",
    "telemetry.otlp_endpoint",
]
# Sections that every service has beside (oms_service): identity and certificates.
COMMON_SECTIONS = ("tls.", "auth.")
# Keys without a default, which stand in no defaults.toml.
OPTIONAL = {"server.connections_per_address_max"}
COMPONENT = "app.kubernetes.io/component"
RELEASE = {"app.kubernetes.io/name": "oms", "app.kubernetes.io/instance": "oms"}
BARMAN = "barman-cloud.cloudnative-pg.io"
# No webhook goes there: networks that are nobody's or everybody's own.
PRIVATE = ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")

broken: list[str] = []


def check(holds: bool, what: str) -> None:
    if not holds:
        broken.append(what)


class Manifests:
    def __init__(self, path: pathlib.Path) -> None:
        self.example = path.stem
        self.all = [one for one in yaml.safe_load_all(path.read_text()) if one]

    def of(self, kind: str) -> dict[str, dict]:
        return {one["metadata"]["name"]: one for one in self.all if one["kind"] == kind}

    def container(self, service: str) -> dict:
        return self.of("Deployment")[f"oms-{service}"]["spec"]["template"]["spec"]["containers"][0]

    def config(self, service: str) -> dict[str, str]:
        """The configuration of a service that is no secret: it stands in the template of its pods."""
        return {one["name"]: one["value"] for one in self.container(service)["env"] if "value" in one}

    def pods(self):
        for one in self.all:
            if one["kind"] in ("Deployment", "StatefulSet", "Job"):
                template = one["spec"]["template"]
                yield f"{self.example}: {one['kind']} {one['metadata']['name']}", one, template
            elif one["kind"] == "Pod":
                yield f"{self.example}: Pod {one['metadata']['name']}", {"spec": {}}, one


def check_pods(manifests: Manifests) -> None:
    for name, one, template in manifests.pods():
        spec = template["spec"]
        security = spec["securityContext"]
        check(security["runAsNonRoot"] is True and security["runAsUser"] > 0, f"{name}: not root")
        check(security["seccompProfile"] == {"type": "RuntimeDefault"}, f"{name}: seccomp")
        check(spec["automountServiceAccountToken"] is False, f"{name}: no token of the Kubernetes API")
        for container in spec["containers"] + spec.get("initContainers", []):
            where = f"{name}/{container['name']}"
            of = container["securityContext"]
            check(of["readOnlyRootFilesystem"] is True, f"{where}: read-only root")
            check(of["allowPrivilegeEscalation"] is False, f"{where}: no escalation")
            check(of["capabilities"] == {"drop": ["ALL"]}, f"{where}: no capabilities")
            check("memory" in container["resources"]["limits"], f"{where}: memory limit")
            check({"cpu", "memory"} <= set(container["resources"]["requests"]), f"{where}: requests")
            tag = container["image"].rpartition(":")[2]
            check(tag not in ("", "latest") and "/" not in tag, f"{where}: pinned image")
        if "selector" in one["spec"]:
            selector = one["spec"]["selector"]["matchLabels"]
            check(selector.items() <= template["metadata"]["labels"].items(), f"{name}: selects its own pods")


def has_tls(manifests: Manifests) -> bool:
    return bool(manifests.of("Certificate"))


def check_readiness(manifests: Manifests, where: str, port: int, probe: dict) -> None:
    """By gRPC; the kubelet speaks no TLS to it, so by HTTP then."""
    if has_tls(manifests):
        check(probe["httpGet"] == {"path": "/readyz", "port": "admin"}, f"{where}: readiness by HTTP")
    else:
        check(probe["grpc"]["port"] == port, f"{where}: readiness by gRPC")


def check_services(manifests: Manifests) -> None:
    deployments, services = manifests.of("Deployment"), manifests.of("Service")
    accounts, budgets = manifests.of("ServiceAccount"), manifests.of("PodDisruptionBudget")
    if "oms-verify" in deployments:
        probe = manifests.container("verify")["livenessProbe"]
        check(probe["tcpSocket"] == {"port": "admin"}, f"{manifests.example}: verify is restarted when it hangs")
    for service, port in PORTS.items():
        name = f"oms-{service}"
        where = f"{manifests.example}: {service}"
        pod = deployments[name]["spec"]["template"]
        container = pod["spec"]["containers"][0]
        ports = {one["name"]: one["containerPort"] for one in container["ports"]}
        check(ports == {"grpc": port, "admin": port + 1000}, f"{where}: ports")
        check_readiness(manifests, where, port, container["readinessProbe"])
        check(container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "admin"}, f"{where}: liveness")
        check(services[name]["spec"]["clusterIP"] == "None", f"{where}: headless")
        check({one["port"] for one in services[name]["spec"]["ports"]} == {port, port + 1000}, f"{where}: service ports")
        check(pod["spec"]["serviceAccountName"] == name and name in accounts, f"{where}: its own account")
        for other in (services[name]["spec"]["selector"], budgets[name]["spec"]["selector"]["matchLabels"]):
            check(other.items() <= pod["metadata"]["labels"].items(), f"{where}: selected by all")
        secrets = {one["name"] for one in container["env"] if "valueFrom" in one}
        expected = {f"OMS_{service.upper()}__DATABASE__URL"}
        if service == "inventory":
            expected.add("OMS_INVENTORY__LEASE__REDIS_URL")
        if service == "order" and manifests.example != "dev":
            expected.add("OMS_ORDER__PRIVACY__MASTER_KEYS")
            expected |= {f"OMS_ORDER__PAYMENTS__STRIPE__{name}" for name in ("API_KEY", "WEBHOOK_SECRET")}
        if service == "shipping" and manifests.example == "production":
            expected.add("OMS_SHIPPING__CARRIERS__TABLE_RATE__WEBHOOK_SECRETS")
        check(secrets == expected, f"{where}: environment from Secrets is {sorted(secrets)}")
        # A ConfigMap that keeps its name would give old pods new keys, and undo nothing when they are undone.
        check("envFrom" not in container and name not in manifests.of("ConfigMap"), f"{where}: pods keep their configuration")
        check(f"OMS_{service.upper()}__LISTEN" in manifests.config(service), f"{where}: listens outside of its pod")
        check_defaults(manifests, service, secrets | manifests.config(service).keys())
        check(budgets[name]["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow", f"{where}: who is not ready may be evicted")


def check_defaults(manifests: Manifests, service: str, variables: set[str]) -> None:
    """The chart says what the service's embedded defaults know: its ports, its peers, its keys."""
    where = f"{manifests.example}: {service}"
    path = ROOT / f"services/{service}/src/defaults.toml"
    defaults = tomllib.loads(path.read_text())
    check(defaults["listen"].endswith(f":{PORTS[service]}"), f"{where}: port in {path.name}")
    check(set(defaults.get("peers", {})) == EDGES[service], f"{where}: peers in {path.name} are {sorted(defaults.get('peers', {}))}")
    known = set(COMMON) | OPTIONAL | set(keys(defaults))
    for variable in variables:
        key = variable.removeprefix(f"OMS_{service.upper()}__").lower().replace("__", ".")
        is_common = key.startswith(("peers.", *COMMON_SECTIONS))
        check(key in known or is_common, f"{where}: {path.name} does not know {key}, which {variable} sets")


def keys(table: dict, prefix: str = ""):
    for key, value in table.items():
        if isinstance(value, dict):
            yield from keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def check_edges(manifests: Manifests) -> None:
    policies = manifests.of("NetworkPolicy")
    deny = policies["oms-deny"]["spec"]
    check(set(deny["policyTypes"]) == {"Ingress", "Egress"}, f"{manifests.example}: denies by default")
    check("ingress" not in deny and "egress" not in deny, f"{manifests.example}: denies all")
    for service, peers in EDGES.items():
        where = f"{manifests.example}: {service}"
        variable = re.compile(rf"OMS_{service.upper()}__PEERS__(\w+)__URL")
        addressed = {found[1].lower() for key in manifests.config(service) if (found := variable.fullmatch(key))}
        check(addressed == peers, f"{where}: knows the addresses of {sorted(addressed)}")
        spec = policies[f"oms-{service}"]["spec"]
        reached = components(rule.get("to", []) for rule in spec["egress"]) & PORTS.keys()
        check(reached == peers, f"{where}: may connect to {sorted(reached)}")
        callers = {caller for caller, of in EDGES.items() if service in of}
        allowed = components(rule.get("from", []) for rule in spec["ingress"]) & PORTS.keys()
        check(allowed == callers, f"{where}: may be called by {sorted(allowed)}")
        for rule in spec["ingress"]:
            check(bool(rule.get("from")), f"{where}: no rule lets everybody in")


def check_test(manifests: Manifests) -> None:
    """The pod of `helm test` reaches the five services and nothing else, proves who it is, and is let in."""
    where, policies = manifests.example, manifests.of("NetworkPolicy")
    # By this label k8s/README.md leaves it out.
    labels = [one["metadata"]["labels"].get(COMPONENT) for one in manifests.all if one["metadata"]["name"] == "oms-test"]
    check(set(labels) == {"test"}, f"{where}: what is for the test says so")
    for name, pod in manifests.of("Pod").items():
        check(pod["metadata"]["annotations"]["helm.sh/hook"] == "test", f"{where}: {name}: only by helm test")
        spec = policies[name]["spec"]
        check("ingress" not in spec, f"{where}: {name}: is called by nobody")
        reached = components(rule.get("to", []) for rule in spec["egress"]) - {""}
        check(reached == PORTS.keys(), f"{where}: {name}: may connect to {sorted(reached)}")
        args = pod["spec"]["containers"][0]["args"]
        by_token = any(arg.startswith("--token-file=") for arg in args)
        by_certificate = any(arg.startswith("--cert=") for arg in args)
        check(by_token != by_certificate, f"{where}: {name}: a token or a certificate")
        check(("--allow-plain" in args) != has_tls(manifests), f"{where}: {name}: plain only where a mesh encrypts")
        for service, port in PORTS.items():
            scheme = "https" if has_tls(manifests) else "http"
            check(f"--{service}={scheme}://oms-{service}:{port}" in args, f"{where}: {name}: address of {service}")
            callers = components(rule.get("from", []) for rule in policies[f"oms-{service}"]["spec"]["ingress"])
            check("test" in callers, f"{where}: {service}: lets {name} in")
            listed = f"OMS_{service.upper()}__AUTH__CALLERS__TEST__{service.upper()}"
            check((listed in manifests.config(service)) == by_certificate, f"{where}: {service}: lists the calls of {name}")


def check_provider(manifests: Manifests) -> None:
    """Whoever brings the sandbox payment provider lets order alone reach it."""
    name = "oms-sandbox-psp"
    policies, orders = manifests.of("NetworkPolicy"), manifests.config("order")
    url = orders["OMS_ORDER__PAYMENTS__SANDBOX__URL"]
    if name not in manifests.of("Deployment"):
        check(url == "", f"{manifests.example}: order knows no sandbox payment provider")
        return
    check(url == f"http://{name}:7090", f"{manifests.example}: order knows {name} as {url}")
    callers = components(rule["from"] for rule in policies[name]["spec"]["ingress"])
    check(callers == {"order"}, f"{manifests.example}: {name} may be called by {sorted(callers)}")
    reached = components(rule.get("to", []) for rule in policies["oms-order"]["spec"]["egress"])
    check("sandbox-psp" in reached, f"{manifests.example}: order may connect to {name}")


def check_ingress(manifests: Manifests) -> None:
    """Whoever is let in is named: no rule without callers, none for everybody."""
    for name, policy in manifests.of("NetworkPolicy").items():
        for rule in policy["spec"].get("ingress", []):
            where = f"{manifests.example}: NetworkPolicy {name}"
            check(bool(rule.get("from")) and bool(rule.get("ports")), f"{where}: no rule without callers and ports")
            for caller in rule.get("from") or []:
                check(all(caller.values()), f"{where}: no selector that everybody meets")
                check(caller.get("ipBlock", {}).get("cidr") not in ("0.0.0.0/0", "::/0"), f"{where}: not from everywhere")
    for name, service in manifests.of("Service").items():
        check(service["spec"].get("type", "ClusterIP") == "ClusterIP", f"{manifests.example}: Service {name}: not open to outside")


def components(rules) -> set[str]:
    selectors = (peer.get("podSelector", {}) for peers in rules for peer in peers)
    return {selector.get("matchLabels", {}).get(COMPONENT, "") for selector in selectors}


def check_migrations(manifests: Manifests) -> None:
    jobs, deployments = manifests.of("Job"), manifests.of("Deployment")
    for service in PORTS:
        where = f"{manifests.example}: {service}"
        first = deployments[f"oms-{service}"]["spec"]["template"]["spec"].get("initContainers", [])
        in_pod = [container["args"] for container in first] == [["migrate"]]
        job = jobs.get(f"oms-{service}-migrate")
        hook = job is not None and job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
        check(in_pod != hook, f"{where}: migrated once, by a hook or by its pods")


def check_tls(manifests: Manifests) -> None:
    """Who has a certificate shows it, under the names by which peers call it."""
    certificates = manifests.of("Certificate")
    pods = {name: one["spec"]["template"]["spec"] for name, one in manifests.of("Deployment").items()}
    pods |= {name: one["spec"] for name, one in manifests.of("Pod").items()}
    for service, one in certificates.items():
        where = f"{manifests.example}: {service}"
        spec, pod = one["spec"], pods[service]
        mounted = [volume["secret"]["secretName"] for volume in pod["volumes"] if volume["name"] == "tls"]
        check(mounted == [spec["secretName"]], f"{where}: mounts its certificate")
        check(service in spec["dnsNames"], f"{where}: certificate for the name of its Service")
        check(spec["uris"] == [f"spiffe://cluster.local/ns/oms/sa/{pod['serviceAccountName']}"], f"{where}: id of its account")
        check({"server auth", "client auth"} <= set(spec["usages"]), f"{where}: certificate for both sides")
    for service in PORTS:
        for key, value in manifests.config(service).items():
            if key.endswith("__URL") and "__PEERS__" in key:
                scheme = "https" if certificates else "http"
                check(value.startswith(f"{scheme}://"), f"{manifests.example}: {service}: {key} is {scheme}")


def check_custom(manifests: Manifests) -> None:
    """What refers to something of the release finds it. Kubernetes' own schemas do not know these kinds."""
    where, services, deployments = manifests.example, manifests.of("Service"), manifests.of("Deployment")
    for kind in ("GRPCRoute", "HTTPRoute"):
        for name, route in manifests.of(kind).items():
            check(bool(route["spec"]["parentRefs"] and route["spec"]["hostnames"]), f"{where}: {kind} {name}: parents and names")
            for rule in route["spec"]["rules"]:
                for backend in rule["backendRefs"]:
                    ports = [port["port"] for port in services[backend["name"]]["spec"]["ports"] if port["name"] == "grpc"]
                    check(ports == [backend["port"]], f"{where}: {kind} {name}: leads to a port")
    for name, policy in manifests.of("BackendTLSPolicy").items():
        check(all(ref["name"] in services for ref in policy["spec"]["targetRefs"]), f"{where}: {name}: a Service of the release")
    for name, scaler in manifests.of("HorizontalPodAutoscaler").items():
        check(scaler["spec"]["scaleTargetRef"]["name"] in deployments, f"{where}: {name}: scales a Deployment")
        check("replicas" not in deployments[name]["spec"], f"{where}: {name}: the number of pods is the scaler's")
    for name, monitor in manifests.of("ServiceMonitor").items():
        ports = {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]}
        values = set(monitor["spec"]["selector"]["matchExpressions"][0]["values"])
        selected = [one for one in services.values() if one["metadata"]["labels"][COMPONENT] in values]
        check(len(selected) >= len(PORTS), f"{where}: {name}: selects every service")
        for one in selected:
            check(ports <= {port["name"] for port in one["spec"]["ports"]}, f"{where}: {one['metadata']['name']}: has the port")
    for name, rule in manifests.of("PrometheusRule").items():
        rules = [one for group in rule["spec"]["groups"] for one in group["rules"]]
        plain = yaml.safe_load((CHART / "rules/oms.yaml").read_text())
        check(len(rules) == sum(len(group["rules"]) for group in plain["groups"]), f"{where}: {name}: all rules")
        links = [one["annotations"]["runbook_url"] for one in rules if "alert" in one]
        check(all(link.startswith("https://") for link in links), f"{where}: {name}: links lead to the runbooks")


def check_ways_out(manifests: Manifests) -> None:
    """Whatever a service must reach outside is open, for those that need it."""
    for service in PORTS:
        where = f"{manifests.example}: {service}"
        rules = manifests.of("NetworkPolicy")[f"oms-{service}"]["spec"]["egress"]
        ways = [rule for rule in rules if [port["port"] for port in rule["ports"]] == [443]]
        peers = [peer for rule in ways for peer in rule["to"]]
        public = [peer["ipBlock"] for peer in peers if peer.get("ipBlock", {}).get("cidr") == "0.0.0.0/0"]
        sends = service == "order" and manifests.example != "platform"
        check(bool(public) == sends, f"{where}: order alone sends webhooks, unless the values are emptied")
        for block in public:
            check(set(PRIVATE) <= set(block["except"]), f"{where}: webhooks do not go into private networks")
        if f"OMS_{service.upper()}__AUTH__JWT__JWKS_URL" in manifests.config(service):
            check(len(peers) > len(public), f"{where}: may fetch the keys of tokens")


def check_mesh(manifests: Manifests) -> None:
    """What the values say of all pods holds for Jobs and the test too."""
    if manifests.example not in ("existing-databases", "platform"):
        return
    policy = manifests.of("NetworkPolicy")["oms-egress"]["spec"]
    check(policy["podSelector"]["matchLabels"] == RELEASE, f"{manifests.example}: the way out is open for every pod")
    for name, one, template in manifests.pods():
        metadata = template["metadata"]
        check(metadata["annotations"].get("sidecar.istio.io/nativeSidecar") == "true", f"{name}: annotated")
        check(RELEASE.items() <= metadata["labels"].items(), f"{name}: selected by the policy")
        without = metadata["labels"].get("sidecar.istio.io/inject") == "false"
        check(without == (one.get("kind") == "Job"), f"{name}: Jobs alone have no sidecar")


def check_authorities(manifests: Manifests) -> None:
    """Who checks a server's certificate has the file that says by whom it is signed."""
    if manifests.example not in ("existing-databases", "platform"):
        return
    for name, _, template in manifests.pods():
        spec = template["spec"]
        volumes = {one["name"]: one.get("secret") for one in spec.get("volumes", [])}
        for container in spec["containers"] + spec.get("initContainers", []):
            mounts = {one["mountPath"]: one for one in container.get("volumeMounts", [])}
            variables = {one["name"] for one in container.get("env", [])}
            for suffix, path in (("__DATABASE__URL", "/etc/oms/database-ca"), ("__LEASE__REDIS_URL", "/etc/oms/redis-ca")):
                needs = any(variable.endswith(suffix) for variable in variables)
                check((path in mounts) == needs, f"{name}/{container['name']}: {path}")
                if needs and path in mounts:
                    items = volumes[mounts[path]["name"]]["items"]
                    check([item["path"] for item in items] == ["ca.crt"], f"{name}: {path}/ca.crt alone")
    file = manifests.config("inventory").get("OMS_INVENTORY__LEASE__REDIS_CA_FILE")
    check(file == "/etc/oms/redis-ca/ca.crt", f"{manifests.example}: inventory knows the file")


def check_clusters(manifests: Manifests) -> None:
    """No commit is lost with an instance, none is refused for want of connections, and all are archived."""
    clusters, stores, schedules = (manifests.of(kind) for kind in ("Cluster", "ObjectStore", "ScheduledBackup"))
    elsewhere = manifests.example in ("dev", "existing-databases", "platform")
    check(len(clusters) == (0 if elsewhere else len(PORTS)), f"{manifests.example}: Clusters")
    for service in PORTS if clusters else ():
        where = f"{manifests.example}: Cluster of {service}"
        env = manifests.container(service)["env"]
        used = [one["valueFrom"]["secretKeyRef"]["name"] for one in env if one["name"].endswith("__DATABASE__URL")]
        name = used[0].removesuffix("-app")
        check(len(used) == 1 and name in clusters, f"{where}: {used} is its Secret")
        spec = clusters[name]["spec"]
        settings = spec["postgresql"]
        synchronous = {"method": "any", "number": 1, "dataDurability": "required"} if spec["instances"] > 1 else None
        check(settings.get("synchronous") == synchronous, f"{where}: commits wait for a standby where there is one")
        most, needed = int(settings["parameters"]["max_connections"]), connections(manifests, service)
        check(most >= needed, f"{where}: {most} connections, and {needed} may be opened")
        begins = [(how["database"], how["owner"]) for how in spec["bootstrap"].values()]
        check(begins == [(f"oms_{service}", "oms")], f"{where}: database and owner")
        archivers = [one["parameters"]["barmanObjectName"] for one in spec.get("plugins", []) if one["isWALArchiver"]]
        check(archivers == list(stores), f"{where}: archives where the backups are")
        if manifests.example == "production":
            check(len(stores) == 1, f"{where}: there are backups")
            check(schedules[name]["spec"]["cluster"]["name"] == name, f"{where}: base backups of this Cluster")
            check(schedules[name]["spec"]["pluginConfiguration"]["name"] == BARMAN, f"{where}: base backups by the plugin")


def connections(manifests: Manifests, service: str) -> int:
    """What all pods of a service may open at a rollout, with one connection each beside the pool."""
    scaler = manifests.of("HorizontalPodAutoscaler").get(f"oms-{service}")
    deployment = manifests.of("Deployment")[f"oms-{service}"]["spec"]
    pods = scaler["spec"]["maxReplicas"] if scaler else deployment["replicas"]
    pool = int(manifests.config(service)[f"OMS_{service.upper()}__DATABASE__MAX_CONNECTIONS"])
    return (pods + deployment["strategy"]["rollingUpdate"]["maxSurge"]) * (pool + 1) + 20


def check_restored(manifests: Manifests) -> None:
    """A restore makes a new Cluster that reads the old one's archive and leaves it alone."""
    clusters = manifests.of("Cluster")
    order = ("order", "oms-order-db-r1", "oms-order-db", {"targetTime": "2026-03-01T10:20:30Z"})
    for service, name, source, target in (order, ("returns", "oms-returns-db-r2", "oms-returns-db-r1", None)):
        spec = clusters[name]["spec"]
        recovery = spec["bootstrap"]["recovery"]
        external = {one["name"]: one["plugin"] for one in spec["externalClusters"]}
        read = external[recovery["source"]]
        check(read["name"] == BARMAN and read["parameters"]["serverName"] == source, f"restored: {name} reads {read}")
        check(read["parameters"]["barmanObjectName"] in manifests.of("ObjectStore"), f"restored: {name}: there is that store")
        check(recovery.get("recoveryTarget") == target, f"restored: {name} until {target}")
        check("serverName" not in spec["plugins"][0]["parameters"], f"restored: {name} archives under its own name")
        check(f"oms-{service}-db" not in clusters, f"restored: {service} has one Cluster")
        check(f"cnpg.io/cluster': '{name}'" in str(manifests.of("NetworkPolicy")[f"oms-{service}"]), f"restored: the way to {name}")
    check("initdb" in clusters["oms-shipping-db"]["spec"]["bootstrap"], "restored: shipping is as before")
    check(not manifests.of("ScheduledBackup"), "restored: no schedule, no ScheduledBackup")
    stopped = manifests.of("Deployment")["oms-order"]["spec"]["replicas"] == 0
    check(stopped and "oms-order" not in manifests.of("HorizontalPodAutoscaler"), "restored: order is stopped")


def check_platform(manifests: Manifests) -> None:
    """What a platform wants otherwise."""
    for name, _, template in manifests.pods():
        security = template["spec"]["securityContext"]
        check("runAsUser" not in security and "runAsGroup" not in security, f"{name}: the platform chooses the user")
        check(security["runAsNonRoot"] is True and security["fsGroup"] == 1000680000, f"{name}: not root, and a group that was given")
        check(template["metadata"]["labels"]["team"] == "shop", f"{name}: labeled")
        own = {"platform: Deployment oms-order": "order"}.get(name, "all")
        check(template["metadata"]["annotations"]["own"] == own, f"{name}: what a service says itself goes before")
    for policy, one in manifests.of("NetworkPolicy").items():
        ports = {port["port"] for rule in one["spec"].get("egress", []) for port in rule["ports"]}
        check(53 not in ports and (policy in ("oms-deny", "oms-egress") or 5353 in ports), f"platform: {policy}: asks resolvers on 5353")
    for kind, name in (("Deployment", "oms-order"), ("Job", "oms-order-migrate")):
        spec = manifests.of(kind)[name]["spec"]["template"]["spec"]
        check(spec["containers"][0]["image"].endswith("/oms-order:0.1.0@sha256:" + 62 * "0" + "aa"), f"platform: {name}: its digest")
        check(spec["priorityClassName"] == "shop" and "podAntiAffinity" in spec["affinity"], f"platform: {name}: placed")
    check("@" not in manifests.container("inventory")["image"], "platform: inventory: no digest was given")
    check(manifests.container("verify")["image"].endswith("/oms:0.1.0@sha256:" + 62 * "0" + "bb"), "platform: verify: its digest")
    check(manifests.config("order")["OMS_ORDER__WEBHOOKS__NOTE"] == "$$(HOSTNAME)", "platform: configuration is taken as it is written")


def check_monitoring_of(manifests: Manifests) -> None:
    """Dashboards arrive as they are in the repository."""
    for name, config in manifests.of("ConfigMap").items():
        if not name.endswith("-dashboards"):
            continue
        files = {path.name: json.loads(path.read_text()) for path in (CHART / "dashboards").glob("*.json")}
        found = {key: json.loads(value) for key, value in config["data"].items()}
        check(found == files, f"{manifests.example}: {name}: the dashboards of the repository")


def check_chart() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    manifest = (ROOT / "Cargo.toml").read_text()
    workspace = re.search(r'^\[workspace\.package\]\nversion = "(.+)"', manifest, re.MULTILINE)
    check(workspace is not None and chart["version"] == chart["appVersion"] == workspace[1], "chart, images and workspace have one version")
    readme = (CHART / "README.md").read_text()
    for key in leaves(yaml.safe_load((CHART / "values.yaml").read_text())):
        check(f"`{key}`" in readme, f"README.md of the chart does not list {key}")


def leaves(values: dict, prefix: str = ""):
    for key, value in values.items():
        path = f"{prefix}{key}"
        if prefix == "services.":
            # The five have the same values.
            path = "services.*"
        if isinstance(value, dict) and value and key not in ("resources", "labels"):
            yield from leaves(value, f"{path}.")
        else:
            yield path


for path in sorted(pathlib.Path(sys.argv[1]).glob("*.yaml")):
    manifests = Manifests(path)
    check_pods(manifests)
    check_services(manifests)
    check_edges(manifests)
    check_test(manifests)
    check_provider(manifests)
    check_migrations(manifests)
    check_ingress(manifests)
    check_tls(manifests)
    check_custom(manifests)
    check_ways_out(manifests)
    check_mesh(manifests)
    check_authorities(manifests)
    check_clusters(manifests)
    check_monitoring_of(manifests)
variants = {path.stem: Manifests(path) for path in (pathlib.Path(sys.argv[1]) / "variants").glob("*.yaml")}
for variant in variants.values():
    check_ways_out(variant)
    check_mesh(variant)
    check_authorities(variant)
    check_clusters(variant)
check_restored(variants["restored"])
check_platform(variants["platform"])
check_chart()
if broken:
    sys.exit("\n".join(["broken promises of the chart:", *sorted(set(broken))]))
print("pods, ports, edges, the test, certificates, routes and migrations are as promised", file=sys.stderr)
