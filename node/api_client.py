"""The command line's side of a daemon's loopback API (node/api.py)."""

import http.client
import json
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ValidationError

from node.errors import NodeError, NodeNotRunning
from node.status import NodeStatus

TIMEOUT_S = 10.0
ANSWER_BYTES_MAX = 8 * 2**20


class ApiClient:
    """Talks to the daemon whose home has this `api.json`; NodeNotRunning where there is none."""

    def __init__(self, api_file: Path) -> None:
        try:
            document = json.loads(api_file.read_text(encoding="utf-8"))
            self._url = urlsplit(document["url"])
            self._token = str(document["token"])
        except (OSError, ValueError, KeyError, TypeError):
            raise _not_running() from None

    def status(self) -> NodeStatus:
        """The daemon's status."""
        try:
            return NodeStatus.model_validate_json(self._request("GET", "/status") or b"")
        except ValidationError as error:
            raise NodeError(f"The daemon's status is not understood: {error}.") from None

    def job(self, job_id: str) -> dict[str, object] | None:
        """The document of a job that the daemon coordinates, or None if it does not."""
        answer = self._request("GET", f"/jobs/{job_id}", missing_ok=True)
        return None if answer is None else dict(json.loads(answer))

    def stop(self) -> None:
        """Ask the daemon to drain and stop."""
        self._request("POST", "/stop")

    def _request(self, method: str, path: str, *, missing_ok: bool = False) -> bytes | None:
        connection = http.client.HTTPConnection(
            self._url.hostname or "127.0.0.1", self._url.port, timeout=TIMEOUT_S
        )
        try:
            headers = {"Authorization": f"Bearer {self._token}"}
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            body = response.read(ANSWER_BYTES_MAX)
        except (OSError, http.client.HTTPException):
            raise _not_running() from None
        finally:
            connection.close()
        if response.status == 404 and missing_ok:
            return None
        if response.status != 200:
            raise NodeError(f"The daemon answered {response.status}: {body[:200]!r}.")
        return body


def _not_running() -> NodeNotRunning:
    return NodeNotRunning(
        "The node of this home does not run.", "Start it with `ainur node start`."
    )
