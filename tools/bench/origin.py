"""An S3 server that costs little: nginx over files, with canned listings.

nginx answers ranges of the objects with sendfile, and a ListObjectsV2 of each set with a document
that was written beforehand, so that every S3 client can download from it. It checks no signature.
"""

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

BUCKET = "bench"
MIB = 1 << 20
#: The set that make_many makes.
MANY = "many"
PAGE = 1000
#: name of the set: how many objects, bytes of each
SETS = {"large": (8, 256 * MIB), "small": (2000, 256 << 10)}
START_SECONDS = 20
#: The objects' date; one second later for each, because nginx makes the ETag of date and length.
DATED = 1_600_000_000

CONFIG = """\
daemon off;
worker_processes auto;
pid {home}/nginx.pid;
error_log {home}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    open_file_cache max=10000 inactive=1h;
    open_file_cache_valid 1h;
    client_body_temp_path {home}/tmp;
    proxy_temp_path {home}/tmp;
    fastcgi_temp_path {home}/tmp;
    uwsgi_temp_path {home}/tmp;
    scgi_temp_path {home}/tmp;
    default_type application/octet-stream;
    map $args $listing {{
        default "none";
        "~(^|&)location" "location";
        "~(^|&)continuation-token=(?<page>[0-9]+)" "{many}-$page";
        "~(^|&)prefix={many}" "{many}-0";
{listings}
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location ~ ^/{bucket}/?$ {{
            default_type application/xml;
            root {home}/listings;
            try_files /$listing =404;
        }}
        location /{bucket}/ {{ alias {home}/objects/; }}
        # As many objects as are listed, all with the same bytes.
        location /{bucket}/{many}/ {{
            root {home}/objects;
            rewrite ^ /{many} break;
        }}
        location = /status {{ stub_status; }}
    }}
}}
"""

LISTING = """\
<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{bucket}</Name>\
<Prefix>{name}/</Prefix><KeyCount>{count}</KeyCount><MaxKeys>{count}</MaxKeys>\
<EncodingType>url</EncodingType>{more}{entries}</ListBucketResult>
"""

ENTRY = """\
<Contents><Key>{key}</Key><LastModified>{date}</LastModified><ETag>&quot;{etag}&quot;</ETag>\
<Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"""

LOCATION = '<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">us-east-1</LocationConstraint>'


def die_with_parent():
    """Called in a child: whatever becomes of the parent, the child does not outlive it."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def entry(key, date, size):
    """An object in a listing, with the ETag that nginx gives it."""
    shown = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(date))
    return ENTRY.format(key=key, date=shown, etag=f"{date:x}-{size:x}", size=size)


class Origin:
    """nginx and what it serves, in a directory of its own; both are gone after close()."""

    def __init__(self, home, sets):
        self.home = Path(home)
        self.server = None
        self.objects = {}
        for directory in ("objects", "listings", "tmp"):
            (self.home / directory).mkdir(parents=True)
        for name in sets:
            self.objects[name] = self._make(name, *SETS[name])
        (self.home / "listings" / "location").write_text(LOCATION)

    def make_many(self, count, size):
        """A listing of many objects, page by page, which are all the same; the bytes of each."""
        content = os.urandom(size)
        path = self.home / "objects" / MANY
        path.write_bytes(content)
        os.utime(path, (DATED, DATED))
        pages = -(-count // PAGE)
        for page in range(pages):
            numbers = range(page * PAGE, min(count, (page + 1) * PAGE))
            entries = [entry(f"{MANY}/{page:05}/{number:08}", DATED, size) for number in numbers]
            self._list(f"{MANY}-{page}", MANY, entries, page + 1 if page + 1 < pages else None)
        return content

    def _list(self, file, name, entries, following=None):
        """Writes one page of a listing."""
        more = "<IsTruncated>false</IsTruncated>" if following is None else (
            f"<IsTruncated>true</IsTruncated><NextContinuationToken>{following}</NextContinuationToken>")
        page = LISTING.format(bucket=BUCKET, name=name, count=len(entries), more=more, entries="".join(entries))
        (self.home / "listings" / file).write_text(page)

    def requests(self):
        """How many requests nginx has answered."""
        with self.plain.open(f"{self.url}/status", timeout=10) as answer:
            return int(answer.read().split()[9])

    def _make(self, name, count, size):
        """Random objects, their listing, and a plan for the bare client; what is served."""
        directory = self.home / "objects" / name
        directory.mkdir()
        entries, plan, made = [], [], []
        for number in range(count):
            path = directory / f"{number:06}"
            with open(path, "wb") as file:
                for at in range(0, size, 16 * MIB):
                    file.write(os.urandom(min(16 * MIB, size - at)))
            date = DATED + number
            os.utime(path, (date, date))
            key = f"{name}/{path.name}"
            entries.append(entry(key, date, size))
            plan.append(f"{size} /{BUCKET}/{urllib.parse.quote(key)}\n")
            made.append((path.name, path))
        self._list(name, name, entries)
        (self.home / f"{name}.plan").write_text("".join(plan))
        return made

    def start(self):
        """Starts nginx, as nobody where this is root."""
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")
        if program is None:
            sys.exit("bench-download: nginx is not there; install Debian's package `nginx-light` or `nginx`")
        self.version = subprocess.run([program, "-v"], capture_output=True, text=True).stderr.strip()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        listings = "".join(f'        "~(^|&)prefix={name}" "{name}";\n' for name in self.objects)
        config = self.home / "nginx.conf"
        config.write_text(CONFIG.format(home=self.home, port=self.port, bucket=BUCKET, many=MANY,
                                        listings=listings))
        identity = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(self.home, nobody.pw_uid, nobody.pw_gid)
            os.chown(self.home / "tmp", nobody.pw_uid, nobody.pw_gid)
        os.chmod(self.home, 0o755)
        command = [program, "-p", str(self.home), "-c", str(config)]
        self.server = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, stderr=subprocess.PIPE,
                                       preexec_fn=die_with_parent, **identity)
        self.url = f"http://127.0.0.1:{self.port}"
        self.plain = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                self.requests()
                return
            except OSError as error:
                if self.server.poll() is not None or time.monotonic() > end:
                    said = self.server.stderr.read().decode(errors="replace") if self.server.poll() is not None else error
                    sys.exit(f"bench-download: nginx did not start: {said}")
            time.sleep(0.05)

    def close(self):
        # Nothing may interrupt this: it would leave gigabytes behind.
        for interruption in (signal.SIGINT, signal.SIGTERM):
            signal.signal(interruption, signal.SIG_IGN)
        if self.server is not None and self.server.poll() is None:
            self.server.terminate()
            try:
                self.server.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.server.pid, signal.SIGKILL)
                self.server.wait()
        shutil.rmtree(self.home, ignore_errors=True)
