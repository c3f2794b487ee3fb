"""What is measured: each row's work, done on either server, and what the row may cost."""

import json
import subprocess
import time
from dataclasses import dataclass

from servers import Alertmanager, Quell

CPU = "CPU s/M"
LOADGEN_WITHIN_S = 600


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    key: str
    title: str
    unit: str
    # What Quell may cost, in the row's unit.
    budget: float
    # Whether the peer does this at all.
    has_peer: bool = True


ROWS = [
    Row("repeats", "repeats, 64 a request", CPU, 2.0),
    Row("repeats_varied", "repeats with changed annotations", CPU, 2.5),
    Row("repeats_single", "repeats, one a request", CPU, 20.0),
    Row("new", "new alerts (Quell: on disk, Alertmanager: in memory)", CPU, 8.0),
    Row("new_1000_rules", "new alerts with 1,000 rules that do not match", CPU, 9.0),
    Row("memory", "resident memory with 500,000 active alerts", "MiB", 488.0),
    Row("memory_each", "resident memory for each of them", "KiB", 1.0),
    Row("restart", "ready again after kill -9 with 500,000 active alerts", "s", 3.0, has_peer=False),
]


class Bench:
    """Runs the rows. `scale` shrinks all counts for a quick look; the budgets hold for 1."""

    def __init__(self, loadgen, folder, scale, say):
        self.loadgen = loadgen
        self.folder = folder
        self.scale = scale
        self.say = say
        self.servers = []
        # Repeats have the startsAt of the first sending, as Prometheus sends them; only endsAt moves.
        self.starts_at = int(time.time()) - 300

    def measure(self, kind, run):
        """All rows on one kind of server; figures by row."""
        figures = {}
        # Where the server costs little, more alerts are sent, so that the clock's ticks do not count.
        is_quell = kind is Quell
        figures |= self.with_server(kind, f"{run}-repeats", 0, lambda server: self.repeats(server, is_quell))
        figures |= self.with_server(kind, f"{run}-new", 0, lambda server: self.new(server, is_quell))
        figures |= self.with_server(kind, f"{run}-rules", 1_000, self.new_with_rules)
        return figures

    def with_server(self, kind, name, idle_rules, work):
        server = kind(self.folder / f"{kind.name.lower()}-{name}", idle_rules)
        self.servers.append(server)
        try:
            server.start()
            return work(server)
        finally:
            server.stop()

    def stop(self):
        """Ends whatever still runs."""
        for server in self.servers:
            server.stop()

    def repeats(self, server, many):
        known, few = self.count(100_000), self.count(20_000)
        self.load(server, total=known, distinct=known)
        server.expect_active(known)
        same = self.load(server, total=known, distinct=known, passes=10 if many else 1)
        varied = self.load(server, total=known * (3 if many else 1), distinct=known, vary=1)
        single = self.load(server, total=few, distinct=known, batch=1, passes=5 if many else 1)
        server.expect_active(known)
        return {"repeats": cpu(same), "repeats_varied": cpu(varied), "repeats_single": cpu(single)}

    def new(self, server, restarts):
        first, all_of_them = self.count(200_000), self.count(500_000)
        new = self.load(server, total=first, distinct=first)
        rest = self.load(server, total=all_of_them - first, distinct=all_of_them - first, start=first)
        server.expect_active(all_of_them)
        figures = {"new": cpu(new), "memory": rest["rss_kib"] / 1024, "memory_each": rest["rss_kib"] / all_of_them}
        if restarts:
            server.kill()
            figures["restart"] = server.start()
            server.expect_active(all_of_them)
        return figures

    def new_with_rules(self, server):
        count = self.count(100_000)
        new = self.load(server, total=count, distinct=count)
        server.expect_active(count)
        return {"new_1000_rules": cpu(new)}

    def load(self, server, **options):
        """Runs the load generator; what it measured."""
        options |= {"addr": server.addr, "pid": server.process.pid, "starts-at": self.starts_at, "json": "yes"}
        command = [self.loadgen, "load"]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        self.say(f"{server.name}: {' '.join(command[1:])}")
        done = subprocess.run(command, capture_output=True, text=True, timeout=LOADGEN_WITHIN_S, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"the load generator failed: {done.stderr}\n{server.log_tail()}")
        measured = json.loads(done.stdout)
        if measured["failed"]:
            raise RuntimeError(f"{server.name} refused {measured['failed']} of {measured['requests']} requests:\n{server.log_tail()}")
        return measured

    def count(self, full):
        return max(1, round(full * self.scale))


def cpu(measured):
    return measured["server_cpu_s_per_million"]


KINDS = {"quell": Quell, "alertmanager": Alertmanager}
