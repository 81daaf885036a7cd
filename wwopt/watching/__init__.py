"""Watching a folder or a registry for new versions of a network, and comparing each with the one before."""

from wwopt.watching.versions import AliasSource, FolderSource, Version, VersionSource, open_versions
from wwopt.watching.watch import VersionReport, Watch, follow
from wwopt.watching.webhook import Webhook

__all__ = [
    "AliasSource",
    "FolderSource",
    "Version",
    "VersionReport",
    "VersionSource",
    "Watch",
    "Webhook",
    "follow",
    "open_versions",
]
