"""`ainur`, of whom a submitter's accomplice withholds a blob from everybody.

    python -m tests.integration.withholding COMMAND...

The daemon whose environment names the blob's root in WITHHELD says that it has not got it.
Otherwise all are honest: the accomplice takes the offer, coordinates, computes, opens its units.
"""

import os

from node import services
from node.blobs import BlobStore
from node.cli.main import main
from node.transfer import Allow, serve_blobs
from node.transport import Transport

WITHHELD_VARIABLE = "WITHHELD"


def serve_others(transport: Transport, store: BlobStore, _allow: Allow) -> None:
    """Serve all blobs but the one that is withheld."""
    withheld = os.environ.get(WITHHELD_VARIABLE)
    serve_blobs(transport, store, lambda _peer_id, ref: ref.root != withheld)


if __name__ == "__main__":
    services.serve_blobs = serve_others
    main()
