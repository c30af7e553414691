"""What the scheduler raises.

SchedulerError
├── SpecError        our caller's mistake: a job file with a wrong field
└── ManifestError    a stranger's manifest, Programs or data that do not make a job
"""


class SchedulerError(Exception):
    """The root of every error that the scheduler raises on purpose."""


class SpecError(SchedulerError):
    """A job file is wrong; the message holds one line per field: name, value, rule."""


class ManifestError(SchedulerError):
    """A manifest is malformed, or its Programs, state and data do not fit together."""
