"""``python -m wwopt_trackers JOURNAL``: the sender's process, started by a tracker; `wwopt sync` is for people."""

import sys
from pathlib import Path

from wwopt_trackers.delivery.process import deliver_while_owned

if __name__ == "__main__":
    deliver_while_owned(Path(sys.argv[1]))
