"""Watching where new versions of a network appear, and judging each by the one before."""

from wwopt.watching.versions import AliasSource, FolderSource, Source, Version, open_source
from wwopt.watching.watch import Report, Watch, follow
from wwopt.watching.webhook import Webhook

__all__ = ["AliasSource", "FolderSource", "Report", "Source", "Version", "Watch", "Webhook", "follow", "open_source"]
