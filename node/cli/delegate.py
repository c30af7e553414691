"""`ainur delegate`: the same command as `ainur gov delegate`."""

from node.cli.gov_vote import delegate

command = delegate
