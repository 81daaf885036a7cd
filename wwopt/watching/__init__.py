"""Watching where new versions of a network appear, and judging each by the one before."""

from wwopt.watching.judging import Report, Watch, follow
from wwopt.watching.sources import AliasSource, FolderSource, Source, Version, open_source
from wwopt.watching.webhook import Webhook

__all__ = ["AliasSource", "FolderSource", "Report", "Source", "Version", "Watch", "Webhook", "follow", "open_source"]
