"""Counting instead of timing: the instructions in user space that a message costs, which do not depend on what else the machine
does. What the system does for a request is not in them; valgrind's callgrind counts."""

import re
import shutil
import subprocess
import sys
import time

from formats import WithSources

MESSAGES = 300
# Before it is counted: buffers grow, and what is said once is said.
BEFORE = 40
IDLE_SECONDS = 3


class Counted(WithSources):
    """The server under callgrind, some fifty times slower."""

    idle = None

    def command(self):
        if not shutil.which("callgrind_control"):
            sys.exit("valgrind is missing: install it and run this again")
        return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={self.folder / 'callgrind.out'}", *super().command()]

    def control(self, *what):
        subprocess.run(["callgrind_control", *what, str(self.process.pid)], check=True, capture_output=True)

    def count(self, work):
        """The instructions of some work, without those that the server spends on watching the time go by."""
        if self.idle is None:
            self.idle = 0
            self.idle = self.count(lambda: time.sleep(IDLE_SECONDS)) / IDLE_SECONDS
        before = set(self.folder.glob("callgrind.out.*"))
        self.control("--zero")
        begun = time.monotonic()
        work()
        self.control("--dump")
        seconds = time.monotonic() - begun
        (file,) = set(self.folder.glob("callgrind.out.*")) - before
        all_of_them = int(re.search(r"^(?:summary|totals): (\d+)", file.read_text(), re.MULTILINE)[1])
        return all_of_them - self.idle * seconds


def instructions(bench, server, options):
    """Thousands of instructions for a message."""
    options |= {"conns": 1, "settle": 0}
    bench.load(server, **options, total=BEFORE)
    return server.count(lambda: bench.load(server, **options, total=MESSAGES)) / MESSAGES / 1_000
