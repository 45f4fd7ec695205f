"""Writes CycloneDX 1.5 lists of parts: cargo metadata .. | sbom.py Cargo.lock DIRECTORY PACKAGE..

A part is a crate that is built into the program; what only builds or tests it is left out. Checksums are those of
Cargo.lock. The same lock file makes the same bytes.
"""

import hashlib
import json
import pathlib
import sys
import tomllib
import uuid

lock_path, into, *packages = sys.argv[1:]
lock_bytes = pathlib.Path(lock_path).read_bytes()
checksums = {
    (package["name"], package["version"]): package.get("checksum")
    for package in tomllib.loads(lock_bytes.decode())["package"]
}
metadata = json.load(sys.stdin)
by_id = {package["id"]: package for package in metadata["packages"]}
edges = {
    node["id"]: sorted(
        dep["pkg"]
        for dep in node["deps"]
        if any(kind["kind"] is None for kind in dep["dep_kinds"])
        and not is_macro(by_id[dep["pkg"]])
    )
    for is_macro in [
        lambda package: any("proc-macro" in target["kind"] for target in package["targets"])
    ]
    for node in metadata["resolve"]["nodes"]
}


def purl(package: dict) -> str:
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package: dict, kind: str) -> dict:
    part = {
        "type": kind,
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "purl": purl(package),
    }
    if package.get("license"):
        # Older crates write "MIT/Apache-2.0" for OR.
        expression = package["license"].replace("/", " OR ")
        part["licenses"] = [{"expression": expression}]
    checksum = checksums.get((package["name"], package["version"]))
    if checksum:
        part["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return part


def parts_of(root: str) -> list[str]:
    found, open_ids = {root}, [root]
    while open_ids:
        for part in edges[open_ids.pop()]:
            if part not in found:
                found.add(part)
                open_ids.append(part)
    return sorted(found - {root}, key=lambda part: purl(by_id[part]))


for name in packages:
    (root,) = [i for i in metadata["workspace_members"] if by_id[i]["name"] == name]
    parts = parts_of(root)
    digest = hashlib.sha256(lock_bytes + name.encode()).digest()
    bom = {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=digest[:16], version=5)}",
        "version": 1,
        "metadata": {"component": component(by_id[root], "application")},
        "components": [component(by_id[part], "library") for part in parts],
        "dependencies": [
            {"ref": purl(by_id[part]), "dependsOn": sorted(purl(by_id[dep]) for dep in edges[part])}
            for part in [root, *parts]
        ],
    }
    path = pathlib.Path(into) / f"{name}.cdx.json"
    path.write_text(json.dumps(bom, indent=2) + "\n")
    print(f"{path}: {len(parts)} parts")
