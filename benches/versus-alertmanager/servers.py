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

READY_WITHIN_S = 60
STOPPED_WITHIN_S = 15

# Rules that match none of the load generator's alerts: its services end at 199. Every fifth needs a regular expression.
TEAMS = ["payments", "checkout", "search", "identity", "platform", "data", "mobile", "edge"]


def idle_rule_matchers(number):
    """The matchers of one rule that never matches; both servers get the same ones."""
    team = TEAMS[number % len(TEAMS)]
    service = 200 + number
    if number % 5 == 0:
        matchers = [f'namespace="{team}"', f'service=~"{team}-svc-({service}|{service + 1})"']
    else:
        severity = ["critical", "warning", "info"][number % 3]
        matchers = [f'service="{team}-svc-{service}"', f'severity="{severity}"']
    if number % 7 == 0:
        matchers.append('cluster!="eu-west-prod-99"')
    return matchers


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

    def __init__(self, folder, idle_rules=0):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.addr = f"127.0.0.1:{free_port()}"
        # Nobody listens there: notifications wait for ten minutes, and no measurement takes so long.
        self.webhook = f"http://127.0.0.1:{free_port()}/"
        self.process = None
        self.configure(idle_rules)

    def configure(self, idle_rules):
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
        connection = http.client.HTTPConnection(self.addr, timeout=60)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        except OSError:
            return 0, b""
        finally:
            connection.close()

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

    def configure(self, idle_rules):
        routes = [{"receiver": "hook", "matchers": idle_rule_matchers(number)} for number in range(idle_rules)]
        config = {
            "route": {
                "receiver": "hook",
                "group_by": ["alertname", "cluster"],
                "group_wait": "10m",
                "group_interval": "10m",
                "repeat_interval": "4h",
                "routes": routes,
            },
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

    def configure(self, idle_rules):
        rules = self.folder / "rules"
        rules.mkdir()
        correlate = [
            {"name": f"idle-{number}", "match": idle_rule_matchers(number), "by": ["cluster"]} for number in range(idle_rules)
        ]
        correlate.append({"name": "by-alertname-and-cluster", "by": ["alertname", "cluster"]})
        escalate = [{"name": "hook-after-ten-minutes", "wait": "10m", "steps": [{"notify": ["hook"]}]}]
        (rules / "bench.yaml").write_text(json.dumps({"correlate": correlate, "escalate": escalate}, indent=1))
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
