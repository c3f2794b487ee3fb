#!/usr/bin/env python3
"""Turns ITBench's fault scenarios into one labelled alert stream, in the five files that make_storm.py writes.

  itbench_to_alerts.py --scenarios scenarios.ndjson --out DIR

The scenarios say which alerts a fault raises, on what, and which object is the root; not when. So the alerts of one come at the
same moment, and the next scenario two hours later. The root is scored as a service: the one that the root object belongs to,
or the first that the fault reaches, where the root is none (a network partition, a quota). Scenarios in which no service comes
up are left out. The catalogue is what the demo shops' own documents say of who calls whom, and not from the scenarios.
"""
import argparse
import collections
import json
import os
import re
import sys
from datetime import datetime, timedelta, timezone

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "storm-quality"))
from make_storm import fingerprint as fingerprint_of

CALLS = {
    "load-generator": ["frontend-proxy"],
    "frontend-proxy": ["frontend", "image-provider", "flagd"],
    "frontend": ["ad", "cart", "checkout", "currency", "product-catalog", "recommendation", "shipping"],
    "checkout": ["cart", "currency", "email", "payment", "product-catalog", "shipping", "kafka"],
    "recommendation": ["product-catalog", "flagd"],
    "shipping": ["quote"],
    "cart": ["valkey", "flagd"],
    "ad": ["flagd"],
    "payment": ["flagd"],
    "email": ["flagd"],
    "product-catalog": ["postgresql", "flagd"],
    "accounting": ["kafka", "postgresql"],
    "fraud-detection": ["kafka", "flagd"],
    "bookinfo-gateway": ["productpage"],
    "productpage": ["details", "reviews"],
    "reviews": ["ratings"],
}
SERVICES = sorted(set(CALLS) | {callee for callees in CALLS.values() for callee in callees})
BEGIN = datetime(2026, 1, 5, tzinfo=timezone.utc)


def service(name):
    """The service that an object's name begins with, whatever its kind and number."""
    plain = re.sub(r"^otel-demo-", "", name or "").replace("productcatalog", "product-catalog")
    plain = plain.replace("frontendproxy", "frontend-proxy")
    fits = [s for s in SERVICES if plain == s or re.match(re.escape(s) + r"(-|service\b|service-)", plain)]
    return max(fits, key=len, default=None)


def root_service(scenario):
    """The service of the root, else the nearest one that the fault reaches."""
    leads = collections.defaultdict(list)
    for step in scenario["propagations"]:
        leads[step["source"]].append(step["target"])
    names = list(scenario["roots"])
    is_service_like = lambda n: not re.search(r"(partition|stress|chaos|loss|delay|tamper|quota|block|jvm|namespace|autoscaler)", n)
    for name in names:
        if is_service_like(name) and service(name):
            return service(name)
    seen, queue = set(names), list(names)
    while queue:
        for target in leads[queue.pop(0)]:
            if service(target):
                return service(target)
            if target not in seen:
                seen.add(target)
                queue.append(target)
    return None


def iso(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenarios", required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    alerts, labelled, incidents, at = [], [], [], BEGIN
    for line in open(args.scenarios):
        scenario = json.loads(line)
        root = root_service(scenario)
        raised = {(a["alertname"] or "Unnamed", service(a["group"])) for a in scenario["alerts"]}
        raised = sorted(pair for pair in raised if pair[1])
        if not root or not raised:
            continue
        name = f"scenario-{scenario['scenario']}"
        for alertname, of in raised:
            labels = {"alertname": alertname, "cluster": "demo", "service": of, "severity": "critical"}
            fingerprint = fingerprint_of(labels)
            # A resolve ends each long before the next scenario.
            for moment in (at, at + timedelta(minutes=20)):
                alerts.append({"annotations": {}, "endsAt": iso(at + timedelta(minutes=20)), "fingerprint": fingerprint,
                               "labels": labels, "startsAt": iso(at), "updatedAt": iso(moment),
                               "receivers": [], "status": {"state": "active"}})
            labelled.append({"alertname": alertname, "entity": f"service/{of}", "fingerprint": fingerprint,
                             "firstArrival": iso(at), "incident": name, "occurrence": f"{name}-{len(labelled)}",
                             "role": "symptom", "root": of == root, "severity": "critical", "startsAt": iso(at)})
        incidents.append({"incident": name, "fault": (scenario["fault_categories"] or ["unknown"])[0], "faultAt": iso(at),
                          "firstArrival": iso(at), "cleared": iso(at + timedelta(minutes=20)), "occurrences": len(raised),
                          "entities": len({of for _, of in raised}), "root_entity": f"service/{root}",
                          "root_alerted": any(of == root for _, of in raised)})
        at += timedelta(hours=2)
    depends = lambda s: [{"service": callee, "hard": True} for callee in CALLS.get(s, [])]
    topology = {"maintenance": [], "racks": {},
                "services": {s: {"clusters": ["demo"], "dependsOn": depends(s), "pods": {}} for s in SERVICES}}
    alerts.sort(key=lambda alert: alert["updatedAt"])
    for name, rows in [("alerts", alerts), ("labels", labelled), ("incidents", incidents), ("changes", [])]:
        with open(os.path.join(args.out, name + ".ndjson"), "w") as out:
            out.writelines(json.dumps(row, sort_keys=True) + "\n" for row in rows)
    with open(os.path.join(args.out, "topology.json"), "w") as out:
        json.dump(topology, out, indent=1, sort_keys=True)


if __name__ == "__main__":
    main()
