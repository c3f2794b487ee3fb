#!/usr/bin/env python3
"""How long each alert's condition has lasted when it fires, from recorded alerts alone: what a site can learn from its own history.

  benches/storm-quality/run --seeds 1..12 --storms STORMS          # makes the storms and keeps them
  benches/storm-quality/lags.py STORMS/*-[1-9] STORMS/*-1[0-2] > benches/storm/rules/lags.csv

Of each folder it reads the alerts (alerts.ndjson) and the inventory (topology.json), nothing else: neither labels nor incidents.

Two alerts that tell of one trouble fire at different times, because their rules wait and measure for different times. Of each two
names it takes the differences between their first firings on one thing or on two that are beside each other, no more than a quarter
of an hour apart. What has nothing to do with each other spreads over that time; what comes of one trouble stands out as a peak. From
the peaks, least squares give each name one lag. Only differences of lags can be seen in this way, so the smallest is 0.
"""
import collections
import json
import os
import re
import statistics
import sys
from datetime import datetime

# Firings farther apart have nothing to do with each other; after as long without one, a firing is a first one again.
APART = 15 * 60
# Width of a bin in which differences are counted, how far a peak is smoothed, and how far it reaches.
BIN, SMOOTH, REACH = 10, 30, 60
# A peak counts if so many more troubles are in it than the background has, and 3 of its standard deviations more.
LEAST = 20
# A difference that does not fit by more than this counts for less.
FITS = 10
# Lags are written in multiples of this.
GRAIN = 5


def thing(labels):
    """What an alert is about: a service in a cluster, or what is seen of it in a region, a rack, a host, a cluster."""
    get = lambda *names: next((labels[name] for name in names if labels.get(name)), "")
    cluster = get("cluster", "k8s_cluster")
    pod = re.fullmatch(r"(.+)-[0-9]+", get("pod", "kubernetes_pod_name"))
    probed = re.match(r"https://([^.]+)[.]", get("instance"))
    service = pod.group(1) if pod else get("service", "app")
    if probed:
        return f"{probed.group(1)}@{get('region')}"
    if service:
        return f"{service}@{cluster}"
    return get("rack", "node") or cluster


def first_firings(path):
    """The times at which a name fired on a thing where it had not for a while: {(name, thing): [time]}."""
    found = set()
    with open(path, encoding="utf-8") as lines:
        for alert in map(json.loads, lines):
            found.add((alert["startsAt"], alert["labels"]["alertname"], thing(alert["labels"])))
    times, last = collections.defaultdict(list), {}
    for starts_at, *key in sorted(found):
        at, key = datetime.fromisoformat(starts_at.replace("Z", "+00:00")).timestamp(), tuple(key)
        if at - last.get(key, -APART) >= APART:
            times[key].append(at)
        last[key] = at
    return times


def neighbours(inventory):
    """What is beside each thing: where it runs, what it calls, where it is seen from; both ways."""
    beside = collections.defaultdict(set)

    def join(one, other):
        beside[one].add(other)
        beside[other].add(one)

    clusters, services = inventory["clusters"], inventory["services"]
    for host, rack in inventory["racks"].items():
        join(host, rack)
    for cluster, it in clusters.items():
        for host in it["hosts"]:
            join(host, cluster)
    for name, service in services.items():
        for cluster in service["clusters"]:
            here = f"{name}@{cluster}"
            join(here, cluster)
            join(here, f"{name}@{clusters[cluster]['region']}")
            for pod in service["pods"].get(cluster, []):
                join(here, pod["host"])
            for called in (it["service"] for it in service["dependsOn"]):
                if cluster in services.get(called, {}).get("clusters", []):
                    join(here, f"{called}@{cluster}")
    return beside


def add_differences(times, beside, differences):
    """Adds how much later the second of two names fired than the first. All that is near one firing weighs 1 together."""
    by_thing = collections.defaultdict(list)
    for (name, where), found in times.items():
        by_thing[where] += [(at, name) for at in found]
    for where, mine in by_thing.items():
        near = [it for other in {where} | beside[where] for it in by_thing.get(other, [])]
        for at, name in mine:
            around = collections.defaultdict(list)
            for then, other in near:
                if other > name and abs(then - at) <= APART:
                    around[other].append(then - at)
            for other, found in around.items():
                differences[name, other] += [(difference, 1 / len(found)) for difference in found]


def peak(found):
    """The difference that stands out of the background, and the weight of what does; `None` if none does."""
    bins = collections.Counter()
    for difference, weight in sorted(found):
        bins[round(difference / BIN)] += weight
    span = range(-APART // BIN, APART // BIN + 1)
    around = range(-SMOOTH // BIN, SMOOTH // BIN + 1)
    top = max(span, key=lambda at: (sum(bins[at + by] for by in around), -abs(at)))
    near = sorted(it for it in found if abs(it[0] - top * BIN) <= REACH)
    total = sum(weight for _, weight in near)
    background = statistics.median(bins[at] for at in span) * (2 * REACH / BIN + 1)
    if total - background < LEAST + 3 * background ** .5:
        return None
    passed = 0
    for difference, weight in near:
        passed += weight
        if passed >= total / 2:
            return difference, total - background


def well_known(peaks):
    """Without names that have only one peak: nothing says whether that is chance."""
    while True:
        count = collections.Counter(name for pair in peaks for name in pair)
        kept = {pair: it for pair, it in peaks.items() if min(count[name] for name in pair) > 1}
        if len(kept) == len(peaks):
            return kept
        peaks = kept


def solve(peaks):
    """One lag for each name, by least squares over the differences; those that do not fit count for less and less."""
    lags = {name: 0.0 for name in sorted({name for pair in peaks for name in pair})}
    trust = {pair: 1.0 for pair in peaks}
    for _ in range(30):
        for _ in range(200):
            for name in lags:
                total = weights = 0.0
                for (one, other), (difference, size) in peaks.items():
                    if name in (one, other):
                        # A pair that is seen four times as often is known twice as well.
                        weight = trust[one, other] * size ** .5
                        total += weight * (lags[one] + difference if name == other else lags[other] - difference)
                        weights += weight
                lags[name] = total / weights
        off = {(one, other): abs(lags[other] - lags[one] - it[0]) for (one, other), it in peaks.items()}
        trust = {pair: FITS / max(FITS, off[pair]) for pair in peaks}
    least = min(lags.values())
    return {name: round((lag - least) / GRAIN) * GRAIN for name, lag in lags.items()}


def length(seconds):
    minutes, seconds = divmod(seconds, 60)
    return (f"{minutes}m" if minutes else "") + (f"{seconds}s" if seconds or not minutes else "")


def main(folders):
    if not folders:
        sys.exit(__doc__)
    differences = collections.defaultdict(list)
    for folder in folders:
        with open(os.path.join(folder, "topology.json"), encoding="utf-8") as file:
            beside = neighbours(json.load(file))
        add_differences(first_firings(os.path.join(folder, "alerts.ndjson")), beside, differences)
    peaks = {pair: peak(found) for pair, found in sorted(differences.items())}
    lags = solve(well_known({pair: it for pair, it in peaks.items() if it}))
    print("alertname,lag")
    for name, lag in sorted(lags.items(), key=lambda it: (it[1], it[0])):
        print(f"{name},{length(lag)}")


if __name__ == "__main__":
    main(sys.argv[1:])
