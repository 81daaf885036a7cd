"""``python -m wwopt_trackers JOURNAL``: the courier's process; trackers start it, `wwopt sync` is for people."""

import sys
from pathlib import Path

from wwopt_trackers.delivery.process import attend

attend(Path(sys.argv[1]))
