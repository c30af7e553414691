"""What the scheduler raises.

SchedulerError
├── SpecError        our caller's mistake: a job file with a wrong field
├── ManifestError    a stranger's manifest, Programs or data that do not make a job
├── IllegalEvent     our caller's mistake: an event that the state machine has no transition for
└── JournalError     the environment: a journal record that is damaged or of another version
"""


class SchedulerError(Exception):
    """The root of every error that the scheduler raises on purpose."""


class SpecError(SchedulerError):
    """A job file is wrong; the message holds one line per field: name, value, rule."""


class ManifestError(SchedulerError):
    """A manifest is malformed, or its Programs, state and data do not fit together."""


class IllegalEvent(SchedulerError):
    """The coordinator has no transition for this event; its state did not change."""


class JournalError(SchedulerError):
    """A journal record cannot be decoded, or does not belong where it stands."""
