"""What the benches build before they run."""

import json
import os
import pathlib
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


def say(message):
    print(message, file=sys.stderr, flush=True)
