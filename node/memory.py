"""A memory limit for this process, kept by the kernel.

The limit is RLIMIT_DATA: it counts what a process can write to and does not share, at the moment
of the allocation, so nothing can overshoot it. RLIMIT_AS would also count address space that OpenCL
drivers reserve and never touch. A process over the limit gets a failed allocation: MemoryError
here, an error code from a driver.
"""

import sys

OVERHEAD_BYTES = 2 << 30
"""For the interpreter, the driver, its compiler and its threads' stacks; PoCL was seen to take 250
MB on two cores, and every further thread has a stack of 8 MB."""


def limit_memory(tensor_bytes: int) -> bool:
    """Let this process take `tensor_bytes` and the overhead; False where that is impossible."""
    if sys.platform != "linux":
        return False
    import resource

    limit = tensor_bytes + OVERHEAD_BYTES
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    return True
