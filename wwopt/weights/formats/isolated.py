"""Programs of their own for libraries in C, whose faults on damaged files this process survives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

__all__ = ["CrashError", "run_isolated"]

SECONDS = 300  # after which a program is ended; its own limit of processor time is far lower
ENVIRONMENT = {  # one thread, whose memory is limited, and no filters from other folders
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "HDF5_PLUGIN_PRELOAD": "::",
    "HDF5_USE_FILE_LOCKING": "FALSE",
}


class CrashError(Exception):
    """The program gave no answer: it crashed, or reached a limit."""


def run_isolated(program: Path, *arguments: str, most: int) -> bytes:
    """Run a program of Python's in a process of its own, and return what it writes.

    Parameters
    ----------
    program : Path
        A file that limits its own memory and time before it reads anything.
    arguments : str
        Its arguments.
    most : int
        Bytes of an answer beyond which it is refused.

    Raises
    ------
    CrashError
        It crashed, ran too long, or wrote more.
    """
    command = [sys.executable, "-P", str(program), *arguments]
    with subprocess.Popen(  # noqa: S603  (a program of ours)
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env=os.environ | ENVIRONMENT,
    ) as process:  # fmt: skip
        try:
            answer, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise CrashError(f"it was not read within {SECONDS} seconds") from error
        except BaseException:
            process.kill()
            raise
    if process.returncode < 0:
        name = signal.Signals(-process.returncode).name
        raise CrashError(f"it ends the library that reads it ({name})")
    if process.returncode:
        raise CrashError("it takes more memory or time than it may, or ends the library that reads it")
    if len(answer) > most:
        raise CrashError(f"its description takes {len(answer)} bytes")
    return answer
