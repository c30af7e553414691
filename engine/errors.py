"""What the engine raises.

EngineError
├── UsageError          our caller's mistake: shapes, dtypes, names
│   ├── NoSuchDType     a name of no element type
│   └── TraceError      a function that cannot be traced to a Program faithfully
├── ProgramError        bytes or a table that are not a valid Program, or one over a limit
├── StateError          bytes of named tensors that are malformed
└── DeviceError         the environment: no device, a failed build, a device with wrong bits
"""


class EngineError(Exception):
    """The root of every error that the engine raises on purpose."""


class UsageError(EngineError, ValueError, RuntimeError, IndexError):
    """The caller asked for something that has no meaning; the message gives the value.

    torch raises one of the three for the same mistakes, so that code written for it catches ours.
    """


class NoSuchDType(UsageError, TypeError, AttributeError):
    """A name of no element type; torch raises a TypeError, tinygrad an AttributeError."""


class TraceError(UsageError):
    """A function cannot be traced to a Program that would always do the same."""


class ProgramError(EngineError):
    """A Program from outside is malformed or over a limit."""


class StateError(EngineError):
    """Bytes of named tensors from outside are malformed."""


class DeviceError(EngineError):
    """An OpenCL device is missing, failed, or does not return the defined bits."""
