"""`ainur` in a network namespace: python -m benchmarks.links.node COMMAND..., as root.

LINKS_NAMESPACE names it. The process enters before it does anything else, so that its compute
worker is in it too, and needs no other program around it.
"""

import os

from benchmarks.links.namespaces import enter

NAMESPACE_VARIABLE = "LINKS_NAMESPACE"

if __name__ == "__main__":
    enter(os.environ[NAMESPACE_VARIABLE])
    from node.cli.main import main

    main()
