"""Counting instead of timing: the instructions in user space that a message costs, which do not depend on what else the machine
does. What the system does for a request is not in them; valgrind's callgrind counts."""

import re
import shutil
import subprocess
import sys

from formats import WithSources

MESSAGES = 300
# Before it is counted: buffers grow, and what is said once is said.
BEFORE = 40


class Counted(WithSources):
    """The server under callgrind, some fifty times slower."""

    def command(self):
        if not shutil.which("callgrind_control"):
            sys.exit("valgrind is missing: install it and run this again")
        return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={self.folder / 'callgrind.out'}", *super().command()]

    def control(self, *what):
        subprocess.run(["callgrind_control", *what, str(self.process.pid)], check=True, capture_output=True)

    def dumped(self):
        """The instructions since the last dump."""
        before = set(self.folder.glob("callgrind.out.*"))
        self.control("--dump")
        (file,) = set(self.folder.glob("callgrind.out.*")) - before
        return int(re.search(r"^(?:summary|totals): (\d+)", file.read_text(), re.MULTILINE)[1])


def instructions(bench, server, options):
    """Thousands of instructions for a message."""
    options |= {"conns": 1, "settle": 0}
    bench.load(server, **options, total=BEFORE)
    server.control("--zero")
    bench.load(server, **options, total=MESSAGES)
    return server.dumped() / MESSAGES / 1_000
