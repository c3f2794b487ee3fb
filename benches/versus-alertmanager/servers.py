"""The two servers that are compared: how each is configured, started, watched and stopped."""

import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

READY_WITHIN_S = 60
STOPPED_WITHIN_S = 15

# Services of rules that shall match nothing begin at 200: those of the load generator's alerts end at 199.
TEAMS = ["payments", "checkout", "search", "identity", "platform", "data", "mobile", "edge"]


@dataclass(frozen=True)
class Setup:
    """What a server has to look through for each alert. Both servers get the same."""

    # Rules that match no alert: Quell's correlate rules, Alertmanager's routes.
    rules: int = 0
    # Half of the inhibition rules have sources and targets among the alerts, half only targets.
    inhibitions: int = 0
    # Silences that cover no alert.
    silences: int = 0


def idle_matchers(number):
    """Matchers that no alert satisfies, as name, operator and value. Every fifth list needs a regular expression."""
    team = TEAMS[number % len(TEAMS)]
    service = 200 + number
    if number % 5 == 0:
        matchers = [("namespace", "=", team), ("service", "=~", f"{team}-svc-({service}|{service + 1})")]
    else:
        severity = ["critical", "warning", "info"][number % 3]
        matchers = [("service", "=", f"{team}-svc-{service}"), ("severity", "=", severity)]
    if number % 7 == 0:
        matchers.append(("cluster", "!=", "eu-west-prod-99"))
    return matchers


def as_text(matchers):
    return [f'{name}{operator}"{value}"' for name, operator, value in matchers]


def idle_rule_matchers(number):
    """The matchers of one rule that never matches."""
    return as_text(idle_matchers(number))


def inhibition(number):
    """Source and target of one inhibition rule; both are to agree on cluster and namespace."""
    if number % 2 == 0:
        source = [("severity", "=", "critical"), ("alertname", "=", f"HighRequestLatency{number % 50:02}")]
        target = [("severity", "=", "info"), ("service", "=", f"payments-svc-{number % 400:03}")]
    else:
        source = [("alertname", "=", f"NodeDown{number:03}")]
        target = [("severity", "=~", "warning|info"), ("namespace", "=", TEAMS[number % len(TEAMS)])]
    return as_text(source), as_text(target)


INHIBITION_EQUAL = ["cluster", "namespace"]


def silence(number):
    """One silence that covers nothing, in the form of Alertmanager's API."""
    now = datetime.now(timezone.utc)
    matchers = [
        {"name": name, "value": value, "isRegex": operator == "=~", "isEqual": operator != "!="}
        for name, operator, value in idle_matchers(number)
    ]
    ends = now + timedelta(hours=8)
    return {"matchers": matchers, "startsAt": now.isoformat(), "endsAt": ends.isoformat(), "createdBy": "bench", "comment": "idle"}


class NotOffered(Exception):
    """A server does not have what a row is about."""


def free_port():
    """A loopback port that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server under measurement, with a folder of its own for configuration, data and log."""

    name = "?"
    # Finds the gauges in /metrics whose sum is the number of active alerts.
    active_metric = "?"

    def __init__(self, folder, setup=Setup()):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.addr = f"127.0.0.1:{free_port()}"
        # Nobody listens there: notifications wait for ten minutes, and no measurement takes so long.
        self.webhook = f"http://127.0.0.1:{free_port()}/"
        self.process = None
        self.setup = setup
        self.configure()

    def configure(self):
        raise NotImplementedError

    def command(self):
        raise NotImplementedError

    def start(self):
        """Starts the server; the seconds until it was ready."""
        begun = time.monotonic()
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(self.command(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while not self.is_ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with code {self.process.returncode}:\n{self.log_tail()}")
            if time.monotonic() - begun > READY_WITHIN_S:
                raise RuntimeError(f"{self.name} was not ready within {READY_WITHIN_S} s:\n{self.log_tail()}")
            time.sleep(0.005)
        return time.monotonic() - begun

    def is_ready(self):
        return self.get("/-/ready")[0] == 200

    def get(self, path):
        """Status and body; status 0 while nobody answers."""
        return self.request("GET", path)

    def request(self, method, path, body=None):
        """Status and body; status 0 while nobody answers. What is sent is JSON."""
        connection = http.client.HTTPConnection(self.addr, timeout=60)
        try:
            connection.request(method, path, body and json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
        except OSError:
            return 0, b""
        finally:
            connection.close()

    def set_silences(self):
        """Sets the silences of the setup, by the API that both servers have."""
        for number in range(self.setup.silences):
            status, body = self.request("POST", "/api/v2/silences", silence(number))
            if status in (404, 405):
                raise NotOffered(f"{self.name} has no POST /api/v2/silences")
            if status != 200:
                raise RuntimeError(f"{self.name} answered {status} to a silence: {body[:200]!r}")

    def active_alerts(self):
        """How many alerts the server says that it holds as active."""
        text = self.get("/metrics")[1].decode()
        return sum(int(float(value)) for value in re.findall(self.active_metric, text, re.MULTILINE))

    def expect_active(self, expected):
        """Fails unless the server holds so many alerts within a few seconds: figures of a server that drops alerts are worth nothing."""
        end = time.monotonic() + 20
        while (found := self.active_alerts()) != expected:
            if time.monotonic() > end:
                raise RuntimeError(f"{self.name} holds {found} active alerts, not {expected}:\n{self.log_tail()}")
            time.sleep(0.2)

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Ends the server, by force if it does not end by itself."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def log_tail(self):
        lines = (self.folder / "server.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-20:])


class Alertmanager(Server):
    """The peer, as Debian packages it."""

    name = "Alertmanager"
    # Until its group is flushed for the first time, an active alert is "unprocessed".
    active_metric = r"^alertmanager_alerts\{.*\} (\S+)$"
    binary = "prometheus-alertmanager"

    def configure(self):
        routes = [{"receiver": "hook", "matchers": idle_rule_matchers(number)} for number in range(self.setup.rules)]
        inhibit_rules = [
            {"source_matchers": source, "target_matchers": target, "equal": INHIBITION_EQUAL}
            for source, target in map(inhibition, range(self.setup.inhibitions))
        ]
        config = {
            "route": {
                "receiver": "hook",
                "group_by": ["alertname", "cluster"],
                "group_wait": "10m",
                "group_interval": "10m",
                "repeat_interval": "4h",
                "routes": routes,
            },
            "inhibit_rules": inhibit_rules,
            "receivers": [{"name": "hook", "webhook_configs": [{"url": self.webhook}]}],
        }
        # JSON is YAML.
        (self.folder / "alertmanager.yml").write_text(json.dumps(config))

    def command(self):
        return [
            self.binary,
            f"--config.file={self.folder / 'alertmanager.yml'}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address={self.addr}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]


class Quell(Server):
    """What is measured here; `binary` is set by whoever builds it."""

    name = "Quell"
    active_metric = r"^quell_alerts_firing (\S+)$"
    binary = None

    def configure(self):
        rules = self.folder / "rules"
        rules.mkdir()
        correlate = [
            {"name": f"idle-{number}", "match": idle_rule_matchers(number), "by": ["cluster"]}
            for number in range(self.setup.rules)
        ]
        suppress = [
            {"name": f"hides-{number}", "inhibit": {"source": source, "target": target, "equal": INHIBITION_EQUAL}}
            for number, (source, target) in enumerate(map(inhibition, range(self.setup.inhibitions)))
        ]
        correlate.append({"name": "by-alertname-and-cluster", "by": ["alertname", "cluster"]})
        escalate = [{"name": "hook-after-ten-minutes", "wait": "10m", "steps": [{"notify": ["hook"]}]}]
        sections = {"suppress": suppress, "correlate": correlate, "escalate": escalate}
        (rules / "bench.yaml").write_text(json.dumps(sections, indent=1))
        config = {
            "receivers": [{"name": "hook", "webhook": {"url": self.webhook}}],
            "limits": {"active_alerts": 2_000_000, "active_alerts_per_source": 2_000_000},
        }
        (self.folder / "quell.yaml").write_text(json.dumps(config, indent=1))

    def command(self):
        return [
            os.fspath(self.binary),
            "serve",
            "--config", os.fspath(self.folder / "quell.yaml"),
            "--rules", os.fspath(self.folder / "rules"),
            "--data", os.fspath(self.folder / "data"),
            "--listen", self.addr,
        ]
