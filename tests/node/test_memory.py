"""The memory limit, in processes of their own."""

import subprocess
import sys

import pytest

from node.memory import OVERHEAD_BYTES

CODE = f"""
import sys
from node.memory import limit_memory
assert limit_memory(64 << 20)
try:
    block = bytes({OVERHEAD_BYTES} + int(sys.argv[1]))  # zeroed by the kernel, page by page, on use
except MemoryError:
    sys.exit(3)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts memory on Linux alone")
@pytest.mark.parametrize(("over_bytes", "status"), [(-(512 << 20), 0), (65 << 20, 3)])
def test_allocation_over_the_limit_fails_and_below_succeeds(over_bytes: int, status: int) -> None:
    """The allocation itself is refused, before a page of it is touched."""
    done = subprocess.run([sys.executable, "-c", CODE, str(over_bytes)], check=False, timeout=60)
    assert done.returncode == status
