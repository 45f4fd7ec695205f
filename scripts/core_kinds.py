"""Prints the manifests of a file that are of Kubernetes' own kinds: core_kinds.py FILE"""

import sys

import yaml

# How the groups of Kubernetes itself end; those without a dot (apps, batch) and the core are its own too.
OWN = (".k8s.io",)
NOT_OWN = ("gateway.networking.k8s.io",)

with open(sys.argv[1]) as file:
    manifests = [one for one in yaml.safe_load_all(file) if one]
groups = [one["apiVersion"].rpartition("/")[0] for one in manifests]
own = [
    one
    for one, group in zip(manifests, groups)
    if group not in NOT_OWN and ("." not in group or group.endswith(OWN))
]
yaml.safe_dump_all(own, sys.stdout)
