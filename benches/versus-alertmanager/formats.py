"""What a message of each tool's own form costs: repeats, one a request, as tools send them. Beside each, in the same run, a
message of Prometheus' with one alert that is as long: most of what a short message costs is its request, which says nothing of its
form. The messages are those of the golden tests."""

import json

from servers import Quell, Setup

# A message of another form may cost three times what one of Prometheus' costs that is as long.
BUDGET = 3.0
MESSAGES = 20_000
PROMETHEUS = ("/api/v2/alerts", {"Content-Type": "application/json", "User-Agent": "Prometheus/3.4.1"})
WORDS = "Requests fail more often than the objective allows, and have done so for five minutes now. "


def first_messages(payloads):
    """For each tool, its usual firing message: tool, file, headers."""
    found = {}
    for entry in json.loads((payloads / "manifest.json").read_text())["files"]:
        firing = any(alert.get("status") == "firing" for alert in entry.get("alerts", []))
        if entry["file"] == f"{entry['tool']}/firing.json" and firing:
            headers = {"Content-Type": entry.get("content_type") or "application/json", **(entry.get("headers") or {})}
            found[entry["tool"]] = (payloads / entry["file"], headers)
    return dict(sorted(found.items()))


def of_prometheus(size):
    """A message with one alert, of so many bytes; a little longer where nothing is left for its description."""

    def with_description(text):
        alert = {
            "labels": {"alertname": "HighErrorRate", "instance": "web-1:9100", "severity": "critical"},
            "annotations": {"description": text},
            "startsAt": "2026-05-14T09:38:51.000Z",
            "endsAt": "2036-05-14T09:38:51.000Z",
            "generatorURL": "http://prometheus.example:9090/graph",
        }
        return json.dumps([alert], separators=(",", ":"))

    missing = max(0, size - len(with_description("")))
    return with_description((WORDS * (missing // len(WORDS) + 1))[:missing])


def still_firing(file, copy):
    """Prometheus' message with ends that have not come: whose end has passed is no repeat, and costs more."""
    alerts = json.loads(file.read_text())
    copy.write_text(json.dumps([alert | {"endsAt": "2036-05-14T09:38:51.000Z"} for alert in alerts], indent=2))
    return copy


class WithSources(Quell):
    """Quell with a source for each tool."""

    tools = ()

    def configure(self):
        super().configure()
        path = self.folder / "quell.yaml"
        config = json.loads(path.read_text())
        config["sources"] = [{"name": tool, "format": tool} for tool in self.tools]
        path.write_text(json.dumps(config, indent=1))


def processor_time(bench, server, options):
    """CPU seconds for a million messages."""
    # The first one is news; what is measured are repeats.
    bench.load(server, **options, total=1)
    return bench.load(server, **options, total=bench.count(MESSAGES))["server_cpu_s_per_million"]


def measure(bench, payloads, kind=WithSources, cost=processor_time):
    """Lines of the table: tool, bytes of a message, its cost, that of a message of Prometheus' that is as long, the ratio, and the
    cost of a byte against a byte of Prometheus' usual message."""
    messages = first_messages(payloads)
    kind.tools = list(messages)
    kind.binary = Quell.binary

    def work(server):
        def cost_of(path, file, headers):
            text = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            return cost(bench, server, {"path": path, "body": file, "headers": text})

        lines = []
        for tool, (file, headers) in messages.items():
            path = f"/v1/ingest/{tool}"
            if tool == "prometheus":
                path, file = PROMETHEUS[0], still_firing(file, server.folder / "prometheus.json")
            size = file.stat().st_size
            as_long = server.folder / f"as-long-as-{tool}.json"
            as_long.write_text(of_prometheus(size))
            lines.append((tool, size, cost_of(path, file, headers), cost_of(PROMETHEUS[0], as_long, PROMETHEUS[1])))
        return lines

    lines = bench.with_server(kind, "formats", Setup(), work)
    byte = next(cost / size for tool, size, cost, _ in lines if tool == "prometheus")
    return [(tool, size, cost, peer, cost / peer, cost / size / byte) for tool, size, cost, peer in lines]


def report(lines, unit, budget, say_json):
    """Prints the table. What is over the budget is marked, where there is one."""
    if say_json:
        keys = ("tool", "bytes", "cost", "prometheus_as_long", "ratio", "per_byte_against_prometheus")
        print(json.dumps({"unit": unit, "forms": [dict(zip(keys, line)) for line in lines]}, indent=1))
        return
    print(f"\nRepeats, one message a request; {unit}.\n")
    print(f"| {'form':20} | bytes | a message | Prometheus, as long |    ratio | a byte, against Prometheus |")
    print(f"| {'-' * 20} | ----: | --------: | ------------------: | -------: | -------------------------: |")
    for tool, size, cost, peer, ratio, byte in lines:
        ratio_text = f"{ratio:.2f} ×{' !' if budget and ratio > budget else ''}"
        print(f"| {tool:20} | {size:5} | {cost:9.2f} | {peer:19.2f} | {ratio_text:>8} | {byte:24.2f} × |")
    if budget:
        missed = sum(line[4] > budget for line in lines)
        over = f"{missed} of {len(lines)} forms are over it" if missed else f"none of {len(lines)} forms is over it"
        print(f"\nThe ratio is the figure to judge: at most {budget:g}; {over}.")
