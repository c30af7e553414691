"""The starter job of `ainur job init`: a script that builds a job, and a page about it.

The files are node/templates/, copied as they are. The script needs an installed Ainur and nothing
of this module: from then on it belongs to the user.
"""

from importlib.resources import files
from pathlib import Path

from node.errors import BadInput

TEMPLATE = ("build.py", "README.md")
REMEDY = "Name a new or an empty folder."


def write_template(folder: Path) -> list[Path]:
    """Write the starter job to `folder`, which is made if missing; the paths of its files.

    BadInput, changing nothing, if the folder has anything in it or cannot be written.
    """
    try:
        if folder.exists() and next(folder.iterdir(), None) is not None:
            raise BadInput(f"The folder {folder} is not empty.", REMEDY)
        folder.mkdir(parents=True, exist_ok=True)
        return [_copy(name, folder) for name in TEMPLATE]
    except OSError as error:
        # A file in the way of the folder or of one of its parents ends here, too.
        raise BadInput(f"No job can be written to {folder}: {error.strerror}.", REMEDY) from None


def _copy(name: str, folder: Path) -> Path:
    data = files("node").joinpath("templates", name).read_bytes()
    path = folder / name
    path.write_bytes(data)
    return path
