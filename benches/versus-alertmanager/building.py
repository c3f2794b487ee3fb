"""What must be there before the benches run: built, or installed."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent


def target_folder():
    """Where cargo builds."""
    command = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
    done = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    folder = pathlib.Path(json.loads(done.stdout)["target_directory"])
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def build_quell():
    """The binary as it is shipped."""
    command = [os.fspath(REPOSITORY / "dist" / "build")]
    return pathlib.Path(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


def build_loadgen():
    """The load generator."""
    say("building the load generator")
    folder = target_folder() / "loadgen"
    command = ["cargo", "build", "--locked", "--release", "--target-dir", os.fspath(folder)]
    subprocess.run(command, cwd=HERE / "loadgen", check=True, stdout=sys.stderr)
    return os.fspath(folder / "release" / "loadgen")


def install(package, found, instead=""):
    """What `found` finds, behind installing Debian's package where it finds nothing and that is possible. `instead` says what else
    would do."""
    if (there := found()) is not None:
        return there
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(f"{package} is missing: install Debian's package of that name (as root: apt-get install {package}) and run this again{instead}")
    say(f"installing Debian's package {package}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package]):
        subprocess.run(command, check=True, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    if (there := found()) is None:
        sys.exit(f"{package} is installed and brought nothing that can be used here")
    return there


def say(message):
    print(message, file=sys.stderr, flush=True)
