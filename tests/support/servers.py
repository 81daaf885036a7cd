"""Real parts for drills, benchmarks and tests: an MLflow server that can be killed, and a proxy that fails in style."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import suppress

from tests.support.waiting import wait_for

ENVIRONMENT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
DELAY = 0.05  # seconds


class Server:
    """``mlflow server`` on loopback, in a process of its own; ``low_priority`` as if it ran on another machine."""

    def __init__(self, store, artifacts, *, low_priority=False):
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._command = [
            *(["nice", "-n", "19"] if low_priority else []),
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--port",
            str(self.port),
            "--workers",
            "1",
        ]
        self._command += ["--backend-store-uri", store, "--artifacts-destination", str(artifacts)]

    def start(self):
        """Start, and wait until it answers."""
        self._process = subprocess.Popen(
            self._command,
            env={**os.environ, **ENVIRONMENT},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,  # a session of its own would have a priority of its own
        )
        try:
            wait_for(lambda: self._answers() or self._process.poll() is not None, "the server")
            assert self._process.poll() is None, "the server has ended"
        except BaseException:
            self.kill()
            raise

    def kill(self):
        """Kill it and its workers, which are the group that it leads."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _answers(self):
        with suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=1):
            return True
        return False

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()


class Proxy:
    """A TCP proxy.

    Its ``mode`` is ``pass``, ``hang``, ``reset``, ``delay``, a moment before each answer, or ``auth``, which
    refuses whoever has no password.
    """

    def __init__(self, port, user="", password=""):
        self._target = ("127.0.0.1", port)
        self._secret = b"Basic " + base64.b64encode(f"{user}:{password}".encode())
        self.mode = "pass"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.uri = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def set(self, mode):
        """Change the mode; connections that stand feel it too."""
        self.mode = mode
        if mode not in ("pass", "delay"):
            for end in self._open:
                reset(end)
            self._open.clear()

    def close(self):
        """Reset all connections, and take no more."""
        self.set("reset")
        self._listener.close()

    def _accept(self):
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                if self.mode == "reset":
                    reset(client)
                elif self.mode != "hang":
                    threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with suppress(OSError):
            first = client.recv(65536)
            if self.mode == "auth" and self._secret not in first and b"/health" not in first:
                client.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                client.close()
                return
            server = socket.create_connection(self._target)
            self._open.append(server)
            server.sendall(first)
            threading.Thread(target=self._pump, args=(server, client, DELAY), daemon=True).start()
            self._pump(client, server, 0.0)

    def _pump(self, source, target, delay):
        with suppress(OSError):
            while data := source.recv(65536):
                time.sleep(delay if self.mode == "delay" else 0.0)
                target.sendall(data)
        for end in (source, target):
            end.close()


def reset(connection):
    """Close a connection so that the other end sees an error and not an end."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
