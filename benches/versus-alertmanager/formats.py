"""What a message of each tool's own form costs: repeats, one a request, as tools send them, beside Prometheus' own path in the
same run. The messages are those of the golden tests."""

import json

from rows import CPU
from servers import Quell, Setup

# A byte of another form may cost three times what one of Prometheus' does.
BUDGET = 3.0
MESSAGES = 20_000


def first_messages(payloads):
    """For each tool, its usual firing message: tool, file, headers."""
    found = {}
    for entry in json.loads((payloads / "manifest.json").read_text())["files"]:
        firing = any(alert.get("status") == "firing" for alert in entry.get("alerts", []))
        if entry["file"] == f"{entry['tool']}/firing.json" and firing:
            headers = {"Content-Type": entry.get("content_type") or "application/json", **(entry.get("headers") or {})}
            found[entry["tool"]] = (payloads / entry["file"], headers)
    return dict(sorted(found.items()))


class WithSources(Quell):
    """Quell with a source for each tool."""

    tools = ()

    def configure(self):
        super().configure()
        path = self.folder / "quell.yaml"
        config = json.loads(path.read_text())
        config["sources"] = [{"name": tool, "format": tool} for tool in self.tools]
        path.write_text(json.dumps(config, indent=1))


def measure(bench, payloads):
    """Lines of the table: tool, bytes of a message, CPU s/M messages, cost of a byte against Prometheus'."""
    messages = first_messages(payloads)
    WithSources.tools = list(messages)
    WithSources.binary = Quell.binary

    def work(server):
        lines = []
        for tool, (file, headers) in messages.items():
            path = "/api/v2/alerts" if tool == "prometheus" else f"/v1/ingest/{tool}"
            text = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            options = {"path": path, "body": file, "headers": text}
            # The first one is news; what is measured are repeats.
            bench.load(server, **options, total=1)
            seen = bench.load(server, **options, total=bench.count(MESSAGES))
            lines.append((tool, file.stat().st_size, seen["server_cpu_s_per_million"]))
        return lines

    lines = bench.with_server(WithSources, "formats", Setup(), work)
    base = next(cost / size for tool, size, cost in lines if tool == "prometheus")
    return [(tool, size, cost, cost / size / base) for tool, size, cost in lines]


def report(lines, say_json):
    if say_json:
        keys = ("tool", "bytes", "cpu_s_per_million", "per_byte_against_prometheus")
        print(json.dumps([dict(zip(keys, line)) for line in lines], indent=1))
        return
    print(f"\n{'repeats, one message a request':34}{'bytes':>8}{CPU:>10}{'a byte, against Prometheus':>28}   (budget {BUDGET:g})")
    for tool, size, cost, ratio in lines:
        missed = "" if ratio <= BUDGET else "   missed"
        print(f"{tool:34}{size:8}{cost:10.2f}{ratio:27.2f}x{missed}")
