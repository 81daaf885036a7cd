"""A headless Chromium over the WebDriver protocol, as much of it as a test needs."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import urllib.request
from contextlib import contextmanager

from tests.support.waiting import DEADLINE, wait_for

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
MISSING = shutil.which("chromium") is None or shutil.which("chromedriver") is None


class Browser:
    """A page and what can be done with it."""

    def __init__(self, port, profile):
        self.url = f"http://127.0.0.1:{port}/session"
        options = {"args": [*FLAGS, f"--user-data-dir={profile}"], "binary": shutil.which("chromium")}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self.url += "/" + self.ask("", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def ask(self, path, body=None, method=None):
        """Ask the driver; without a body by GET."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
            return json.load(answer)["value"]

    def open(self, path, *, width=1280, height=900, dark=False):
        """Open a file in a window of a size."""
        self.tell(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.tell("Emulation.setEmulatedMedia", features=[scheme])
        self.ask("/url", {"url": path.resolve().as_uri()})

    def tell(self, command, **parameters):
        """Send a command of Chromium's own protocol."""
        return self.ask("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def run(self, script, *arguments):
        """Run a script in the page and return what it returns."""
        return self.ask("/execute/sync", {"script": script, "args": list(arguments)})

    def press(self, keys):
        """Press keys one after the other."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.ask("/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def complaints(self):
        """What the page wrote into the console: errors, and what its policy refused."""
        return self.ask("/se/log", {"type": "browser"})

    def picture(self, path, *, whole=True):
        """Save a screenshot."""
        answer = self.tell("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))


def answers(port):
    """Tell whether somebody listens at a port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE).close()
    except OSError:
        return False
    return True


@contextmanager
def chromium(profile):
    """Start a browser with an empty profile, and end it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    driver = subprocess.Popen(
        [shutil.which("chromedriver"), f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: answers(port), "chromedriver")
        browser = Browser(port, profile)
        try:
            yield browser
        finally:
            browser.ask("", method="DELETE")
    finally:
        driver.terminate()
        driver.wait(timeout=DEADLINE)
