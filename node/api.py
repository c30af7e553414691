"""The loopback API of a daemon: how the command line reads status and asks it to stop.

Bound to 127.0.0.1 only. Every request carries the token of the file `api.json` in the node's home,
which only its owner can read, so another user of the machine, or a web page, gets nothing.
"""

import contextlib
import hmac
import json
import os
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from node.files import PRIVATE, write_atomic
from node.status import NodeStatus


def build_app(
    token: str,
    status: Callable[[], NodeStatus],
    job: Callable[[str], dict[str, object] | None],
    stop: Callable[[], None],
) -> Starlette:
    """The application; `job` gives the document of a job that this node coordinates."""

    def authorised(request: Request) -> bool:
        given = request.headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {token}".encode())

    def guard(
        answer: Callable[[Request], Response],
    ) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            if not authorised(request):
                return JSONResponse({"error": "the token of api.json is needed"}, status_code=401)
            return answer(request)

        return guarded

    def get_status(_request: Request) -> Response:
        return Response(status().model_dump_json(), media_type="application/json")

    def get_job(request: Request) -> Response:
        document = job(request.path_params["job_id"])
        if document is None:
            return JSONResponse({"error": "this node does not coordinate the job"}, 404)
        return JSONResponse(document)

    def post_stop(_request: Request) -> Response:
        stop()
        return JSONResponse({"stopping": True})

    return Starlette(
        routes=[
            Route("/status", guard(get_status)),
            Route("/jobs/{job_id}", guard(get_job)),
            Route("/stop", guard(post_stop), methods=["POST"]),
        ]
    )


async def serve_api(
    api_file: Path,
    port: int,
    status: Callable[[], NodeStatus],
    job: Callable[[str], dict[str, object] | None],
    stop: Callable[[], None],
    serving: trio.Event,
) -> None:
    """Serve until cancelled; `api_file` tells where and with which token once `serving` is set."""
    token = secrets.token_urlsafe(32)
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.errorlog = None
    config.graceful_timeout = 1
    try:
        async with trio.open_nursery() as nursery:
            addresses: list[str] = await nursery.start(
                lambda task_status: serve(
                    build_app(token, status, job, stop),  # type: ignore[arg-type]
                    config,
                    shutdown_trigger=trio.sleep_forever,
                    task_status=task_status,
                )
            )
            document = json.dumps({"url": addresses[0], "token": token})
            write_atomic(api_file, document.encode(), mode=PRIVATE)
            serving.set()
    finally:
        # Deleting one small local file does not block.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(api_file)
