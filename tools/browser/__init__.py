"""A headless Chromium, driven over HTTP by its own driver: for tools that look at what cotec makes.

Needs Chromium and its driver (Debian: chromium, chromium-driver) and Python 3, nothing else. They
are looked for on the PATH; CHROMIUM and CHROMEDRIVER name others.
"""

import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request


def found():
    """The paths of Chromium and its driver; ends the program where there are none."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chrome")
    driver = os.environ.get("CHROMEDRIVER") or shutil.which("chromedriver")
    if not chromium or not driver:
        raise SystemExit("chromium and chromedriver are needed (Debian: chromium chromium-driver)")
    return chromium, driver


class Browser:
    """A Chromium of its own, with its profile in a directory that the caller removes."""

    def __init__(self, directory):
        chromium, driver = found()
        self.process = subprocess.Popen(
            [driver, "--port=0", f"--log-path={directory}/driver.log"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        port = None
        for line in self.process.stdout:
            match = re.search(r"successfully on port (\d+)", line)
            if match:
                port = match.group(1)
                break
        if port is None:
            raise SystemExit("the driver did not start")
        self.base = f"http://127.0.0.1:{port}"
        arguments = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", "--hide-scrollbars", f"--user-data-dir={directory}/profile",
        ]
        options = {"binary": chromium, "args": arguments}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options,
                  "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        try:
            answer = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
            self.session = f"/session/{answer['sessionId']}"
            self.tell("/timeouts", script=300_000, pageLoad=300_000)
        except BaseException:
            self.close()
            raise

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.base + path, data, {"Content-Type": "application/json"}, method=method)
        # No proxy of the environment between this and the driver.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=320) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            said = json.load(error)["value"]
            raise SystemExit(f"the browser: {path}: {said['message']}") from None

    def tell(self, path, **body):
        return self.ask("POST", self.session + path, body)

    def devtools(self, command, **parameters):
        return self.tell("/goog/cdp/execute", cmd=command, params=parameters)

    def run(self, script, *arguments):
        """Runs the body of an async function with `args`, and gives what it returns."""
        script = ("const args = [...arguments], done = args.pop(); (async () => {" + script +
                  "})().then(value => done({value}), e => done({error: String(e)}));")
        answer = self.tell("/execute/async", script=script, args=list(arguments))
        if "error" in answer:
            raise SystemExit(f"the page: {answer['error']}")
        return answer.get("value")

    def log(self, kind):
        return self.tell("/se/log", type=kind)

    def screenshot(self):
        """The window as base64 of a PNG."""
        return self.ask("GET", self.session + "/screenshot")

    def close(self):
        try:
            if hasattr(self, "session"):
                self.ask("DELETE", self.session)
        finally:
            self.process.terminate()
            self.process.wait(20)
