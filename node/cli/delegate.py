"""`ainur delegate`: the same command as `ainur gov delegate`."""

from node.cli.gov import delegate

command = delegate
