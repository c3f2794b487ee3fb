"""What is measured: each row's work, done on either server, and what the row may cost."""

import contextlib
import json
import os
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass

from servers import Alertmanager, NotOffered, Quell, Setup

CPU = "CPU s/M"
LOADGEN_WITHIN_S = 600
# How often latency is measured without and beside a backtest.
BACKTEST_TURNS = 3


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
    Row("new_10000_rules", "new alerts with 10,000 rules that do not match", CPU, 14.0),
    Row("new_1000_inhibitions", "new alerts with 1,000 inhibition rules", CPU, 12.0),
    Row("new_1000_silences", "new alerts with 1,000 silences that do not match", CPU, 12.0),
    Row("repeats_10000_rules", "repeats with 10,000 rules that do not match", CPU, 2.0),
    Row("memory", "resident memory with 500,000 active alerts", "MiB", 488.0),
    Row("memory_each", "resident memory for each of them", "KiB", 1.0),
    Row("beside_backtest_p50", "POST of one new alert beside a backtest, p50, to without", "×", 1.1, has_peer=False),
    Row("beside_backtest_p99", "POST of one new alert beside a backtest, p99, to without", "×", 1.1, has_peer=False),
    Row("restart", "ready again after kill -9 with 500,000 active alerts", "s", 3.0, has_peer=False),
]

# What servers are burdened with, and the row that it makes.
BURDENS = [
    (Setup(rules=1_000), "new_1000_rules"),
    (Setup(rules=10_000), "new_10000_rules"),
    (Setup(inhibitions=1_000), "new_1000_inhibitions"),
    (Setup(silences=1_000), "new_1000_silences"),
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
        figures |= self.with_server(kind, f"{run}-repeats", Setup(), lambda server: self.repeats(server, is_quell))
        figures |= self.with_server(kind, f"{run}-new", Setup(), lambda server: self.new(server, is_quell))
        for setup, row in BURDENS:
            # The peer takes a minute of processor time for 100,000 alerts under 10,000 rules.
            count = self.count(100_000 if is_quell or setup.rules < 10_000 else 20_000)
            try:
                figures |= self.with_server(kind, f"{run}-{row}", setup, lambda server: self.burdened(server, row, count, is_quell))
            except NotOffered as missing:
                self.say(f"{row}: {missing}; the row has no figure of it")
        if is_quell:
            figures |= self.with_server(kind, f"{run}-backtest", Setup(), self.beside_backtest)
        return figures

    def with_server(self, kind, name, setup, work):
        server = kind(self.folder / f"{kind.name.lower()}-{name}", setup)
        self.servers.append(server)
        # What the servers before have left to be written back would be written beside this one.
        os.sync()
        try:
            server.start()
            server.set_silences()
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

    def burdened(self, server, row, count, many):
        """New alerts with much to look through, and with 10,000 rules repeats as well."""
        new = self.load(server, total=count, distinct=count)
        server.expect_active(count)
        figures = {row: cpu(new)}
        if server.setup.rules == 10_000:
            same = self.load(server, total=count, distinct=count, passes=10 if many else 1)
            server.expect_active(count)
            figures["repeats_10000_rules"] = cpu(same)
        return figures

    def beside_backtest(self, server):
        """What one POST takes while other rules are tried on the daemon's own log, as a share of what it takes without."""
        known, posts = self.count(100_000), self.count(4_000)
        self.load(server, total=known, distinct=known)
        server.expect_active(known)
        shares = {"p50": [], "p99": []}
        # In turns, so that a slow minute meets both.
        for turn in range(BACKTEST_TURNS):
            begin = known + 2 * turn * posts
            without = self.load(server, total=posts, distinct=posts, start=begin, batch=1, conns=1)
            with backtests(server):
                beside = self.load(server, total=posts, distinct=posts, start=begin + posts, batch=1, conns=1)
            for part, found in shares.items():
                found.append(beside[f"{part}_us"] / without[f"{part}_us"])
        return {f"beside_backtest_{part}": statistics.median(found) for part, found in shares.items()}

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


@contextlib.contextmanager
def backtests(server):
    """Runs one backtest of a server's log after the other, in the way that the manual advises."""
    over = threading.Event()
    command = ["nice", "-n", "10", os.fspath(server.binary), "backtest", "--since", "1h", "--json"]
    command += ["--data", os.fspath(server.folder / "data"), "--rules", os.fspath(server.folder / "rules")]
    failures, running = [], []

    def run():
        while not over.is_set():
            with subprocess.Popen(command, cwd=server.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as one:
                running[:] = [one]
                said = one.communicate()[1]
            if one.returncode != 0 and not over.is_set():
                failures.append(said)
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        for one in running:
            one.terminate()
        thread.join()
    if failures:
        raise RuntimeError(f"quell backtest failed: {failures[0]}")


def cpu(measured):
    return measured["server_cpu_s_per_million"]


KINDS = {"quell": Quell, "alertmanager": Alertmanager}
