"""The ways to download products and process them: what each runs, and what bounds them all."""

import heapq
import json
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
import venv
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from . import clients

HERE = Path(__file__).resolve().parent
PROCESSOR = HERE / "processor.sh"
BUCKET = "wan"
WORKERS = 4
MB = 1e6
#: The line, and its products: so many, of so many objects each.
RATE, RTT_MS = 125e6, 20
PRODUCTS, OBJECTS = 40, 5
#: Installed from PyPI where they are asked for: their names there, their versions.
SCHEDULERS = {"snakemake": "9.27.1", "dask": "2026.8.0", "distributed": "2026.8.0"}

#: What each way does.
WAYS = {
    "cotec": "cotec-coord --workers 4",
    "after": "s5cmd cp everything; then xargs -P 4 process",
    "piped": "for each product: s5cmd cp; names piped into xargs -P 4 process",
    "piped-2": "the same with two s5cmd at a time (xargs -P 2), which hides their start-up",
    "fused": "xargs -P 4 (s5cmd cp, then process)",
    "original": "registers all, downloads in 16 threads (boto3); 4 processes look once a second",
    "snakemake": "s5cmd cp and process as rules: four of the latter and two downloads at a time",
    "dask": "dask.distributed: 4 workers of one thread; boto3 in a fifth, of two threads",
}

JOBS = """\
[store]
endpoint = "{endpoint}"
bucket = "{bucket}"
anonymous = true

[products]
names = {names}

[[task]]
name = "result"
run = ["{processor}", "{sizes}", "{{product}}", "{{product_dir}}", "{{out}}"]
layout = "objects"
objects = ["**"]
output = "result"
"""


def product_names():
    return [f"product-{number:02}" for number in range(PRODUCTS)]


def wan_options():
    """What the line is told: sizes of objects vary from half to one and a half of their mean, and
    the means from 9 to 11 MB, so that products have 42 to 56 MB."""
    options = ["--rtt", f"{RTT_MS}ms", "--total", f"{RATE / 125e6:g}Gbit", "--seed", "1"]
    for number, name in enumerate(product_names()):
        mean = 9_000_000 + number * 7_919_317 % 2_000_001
        options += ["--list", f"{name}={OBJECTS}x{mean}~"]
    return options


class Line:
    """One tools/wan, for one measurement."""

    def __init__(self, release):
        self.child = subprocess.Popen([release / "examples" / "wan", *wan_options()], stdout=subprocess.PIPE, text=True)
        self.address = self.child.stdout.readline().strip()
        self.url = f"http://{self.address}"

    def sizes(self):
        """Bytes of all objects of each product, from the listing."""
        plain = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        found = {}
        for name in product_names():
            with plain.open(f"{self.url}/{BUCKET}/?list-type=2&prefix={name}%2F") as answer:
                listed = ElementTree.fromstring(answer.read())
            found[name] = [int(size.text) for size in listed.iter() if size.tag.endswith("}Size")]
        return found

    def close(self):
        """Ends it; what it saw."""
        self.child.terminate()
        said, _ = self.child.communicate()
        return json.loads(said.strip().splitlines()[-1])


def single_stream(address, size=100_000_000):
    """What one connection gets of the line: seconds to connect, seconds to the first byte of an
    answer, and bytes a second from the first to the last byte of a large object."""
    host, port = address.split(":")
    begun = time.monotonic()
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"GET /{BUCKET}/probe/{size}/0 HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
        buffer = bytearray(1 << 20)
        got = head = connection.recv_into(buffer)
        first = time.monotonic()
        while got < size:
            more = connection.recv_into(buffer)
            if more == 0:
                sys.exit("bench-pipeline: the line ended too early")
            got += more
        last = time.monotonic()
    return {"first_byte": first - begun, "bytes_per_second": (got - head) / (last - first)}


def bounds(sizes, ms_per_mb, rate, latency):
    """Lower bounds of the makespan in seconds, from what one connection got.

    formula: max(bytes / bandwidth, CPU / workers, first download + last processing).
    whole: as no product can be processed before all of its bytes are there: the line is busy until
    the last product is there, which must still be processed; and the workers cannot begin before
    the first, second, ... product is there. This is what the best of all schedules can reach."""
    products = sorted(sum(of) for of in sizes.values())
    processing = [size / MB * ms_per_mb / 1e3 for size in products]
    download = [size / rate for size in products]
    parts = {
        "bytes / bandwidth": sum(download),
        "CPU / workers": sum(processing) / WORKERS,
        "first download + last processing": latency + download[0] + processing[0],
    }
    begins = [sum(download[: count + 1]) for count in range(WORKERS)]
    whole = max(latency + sum(download) + processing[0], latency + (sum(begins) + sum(processing)) / WORKERS)
    return {"formula": max(parts.values()), "whole": whole, "parts": parts}


def one_line_at_a_time(sizes, ms_per_mb, rate, latency):
    """The makespan of the products one after the other in their order, without any loss."""
    free, there = [0.0] * WORKERS, latency
    for of in sizes.values():
        there += sum(of) / rate
        heapq.heappush(free, max(there, heapq.heappop(free)) + sum(of) / MB * ms_per_mb / 1e3)
    return max(free)


def home():
    """Where the schedulers of others are, named after their versions."""
    return clients.home().with_name("bench-schedulers-" + "-".join(SCHEDULERS.values()))


def install():
    """Installs them where they are not yet. The place keeps its name: programs in it know it."""
    clients.install()
    if (home() / "complete").exists():
        return
    print(f"bench-pipeline: installing {', '.join(SCHEDULERS)} into {home()}", file=sys.stderr)
    venv.create(home(), clear=True, with_pip=True)
    wanted = [f"{name}=={version}" for name, version in SCHEDULERS.items()] + [f"boto3=={clients.PEERS['boto3']}"]
    command = [home() / "bin" / "python", "-m", "pip", "install", "--quiet", *wanted]
    if subprocess.run(command, stdout=sys.stderr).returncode == 0:
        (home() / "complete").touch()


class Ways:
    """The ways that are possible on this machine."""

    def __init__(self, release):
        self.release = release
        self.versions = {}
        s5cmd = sorted(clients.home().glob("lib/*/site-packages/s5cmd/bin/s5cmd"))
        self.s5cmd = self._asked("s5cmd", s5cmd[0] if s5cmd else "s5cmd", "version")
        python = clients.home() / "bin" / "python"
        self.boto3 = self._asked("boto3", python, "-c", "import boto3; print(boto3.__version__)")
        self.snakemake = self._asked("snakemake", home() / "bin" / "snakemake", "--version")
        self.dask = self._asked("dask", home() / "bin" / "python", "-c", "import distributed; print(distributed.__version__)")
        needs = {"cotec": True, "original": self.boto3, "snakemake": self.snakemake and self.s5cmd, "dask": self.dask}
        self.present = [name for name in WAYS if needs.get(name, self.s5cmd)]

    def _asked(self, name, program, *arguments):
        try:
            said = subprocess.run([program, *arguments], capture_output=True, text=True)
        except OSError:
            return None
        if said.returncode != 0:
            return None
        self.versions[name] = said.stdout.split()[0]
        return program

    def command(self, way, url, directory, sizes):
        """The command of a way, in an empty directory; `sizes` is the processor's list."""
        objects, out = directory / "objects", directory / "out"
        objects.mkdir()
        out.mkdir()
        quoted = {name: shlex.quote(str(value)) for name, value in
                  {"objects": objects, "out": out, "sizes": sizes, "processor": PROCESSOR}.items()}
        process = "{processor} {sizes} {{}} {objects}/{{}} {out}/{{}}".format(**quoted)
        s5cmd = f"{shlex.quote(str(self.s5cmd))} --log error --endpoint-url {url} --no-sign-request cp"
        one = f"{s5cmd} 's3://{BUCKET}/{{}}/*' {quoted['objects']}/{{}}/"
        names = f"printf '%s\\n' {' '.join(product_names())}"
        xargs = f"xargs -P {WORKERS} -I{{}}"
        if way == "cotec":
            jobs = directory / "jobs.toml"
            jobs.write_text(JOBS.format(endpoint=url, bucket=BUCKET, names=json.dumps(product_names()), processor=PROCESSOR, sizes=sizes))
            return [self.release / "cotec-coord", "--workers", WORKERS, "--staging", objects, "--out", out, jobs]
        if way == "after":
            return ["sh", "-ec", f"{s5cmd} 's3://{BUCKET}/*' {quoted['objects']}/; {names} | {xargs} {process}"]
        if way == "piped":
            each = one.replace("{}", "$name")
            each = each.replace("'s3://", '"s3://').replace("/*'", '/*"')
            return ["sh", "-ec", f"{names} | while read -r name; do {each} </dev/null; echo $name; done | {xargs} {process}"]
        if way == "piped-2":
            return ["sh", "-ec", f"{names} | xargs -P 2 -I{{}} sh -ec {shlex.quote(one + '; echo {}')} | {xargs} {process}"]
        if way == "fused":
            return ["sh", "-ec", f"{names} | {xargs} sh -ec {shlex.quote(one + '; ' + process)}"]
        arguments = [url, BUCKET, objects, out, WORKERS, sizes, PROCESSOR, *product_names()]
        if way == "original":
            return [self.boto3, HERE / "peers" / "original.py", *arguments]
        if way == "dask":
            return [self.dask, HERE / "peers" / "dask_way.py", *arguments]
        snakefile = directory / "Snakefile"
        snakefile.write_text((HERE / "peers" / "Snakefile").read_text())
        settings = {"products": product_names(), "get": one.replace("{}", "{wildcards.product}"), "process": process.replace("{}", "{wildcards.product}")}
        (directory / "settings.json").write_text(json.dumps(settings))
        limits = ["--resources", f"processors={WORKERS}", "net=2"]
        return [self.snakemake, "--cores", WORKERS + 2, *limits, "--scheduler", "greedy", "--quiet", "all",
                "--snakefile", snakefile, "--directory", directory, "--configfile", directory / "settings.json"]
