"""node/chain/rpc.py: endpoints that fail, lie or refuse."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from node.chain import rpc as module
from node.chain.rpc import Reverted, Rpc, RpcError
from node.errors import ChainUnreachable

Answer = Callable[[str, list[Any]], tuple[int, Any]]


class Server:
    """An HTTP endpoint that answers as `answer` says and remembers what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append(request["method"])
                status, body = answer(request["method"], request["params"])
                data = (
                    body
                    if isinstance(body, bytes)
                    else json.dumps({"jsonrpc": "2.0", "id": request["id"], **body}).encode()
                )
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/secret-key"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answer], Server]]:
    """Start endpoints; waits between rounds are cut out."""
    monkeypatch.setattr(module, "BACKOFF_S", 0.0)
    servers: list[Server] = []

    def start(answer: Answer) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def good(method: str, _params: list[Any]) -> tuple[int, Any]:
    return 200, {"result": "0x7a69" if method == "eth_chainId" else f"answer to {method}"}


def request(*servers: Server, method: str = "eth_blockNumber") -> Any:
    rpc = Rpc([server.url for server in servers], 31337)
    try:
        return rpc.request(method)
    finally:
        rpc.close()


def test_request_is_answered(serve: Callable[[Answer], Server]) -> None:
    """The result is passed on as it is; the chain is checked first, once."""
    server = serve(good)
    rpc = Rpc([server.url], 31337)
    assert [rpc.request("a"), rpc.request("b", 1)] == ["answer to a", "answer to b"]
    assert server.asked == ["eth_chainId", "a", "b"]
    rpc.close()


BROKEN: dict[str, Answer] = {
    "HTTP status 503": lambda *_: (503, {}),
    "serves chain 1 instead of 31337": lambda *_: (200, {"result": "0x1"}),
    "its answer is not JSON-RPC": lambda *_: (200, b"<html>"),
    "it limits our rate": lambda *_: (200, {"error": {"code": -32005, "message": "slow down"}}),
}


@pytest.mark.parametrize("reason", BROKEN)
def test_broken_endpoint_is_passed_over(serve: Callable[[Answer], Server], reason: str) -> None:
    """The next endpoint answers, and stays the preferred one."""
    broken, fine = serve(BROKEN[reason]), serve(good)
    rpc = Rpc([broken.url, fine.url], 31337)
    assert rpc.request("a") == "answer to a"
    count = len(broken.asked)
    assert rpc.request("b") == "answer to b"
    assert len(broken.asked) == count
    rpc.close()


@pytest.mark.parametrize("reason", BROKEN)
def test_no_endpoint_left_names_hosts_and_reasons(
    serve: Callable[[Answer], Server], reason: str
) -> None:
    """One clear error, without the secrets that endpoints carry in their paths."""
    server = serve(BROKEN[reason])
    with pytest.raises(ChainUnreachable) as caught:
        request(server)
    assert reason in caught.value.message
    assert f"http://127.0.0.1:{server.http.server_port}" in caught.value.message
    assert "secret-key" not in str(caught.value)
    assert "rpc_endpoints" in caught.value.remedy


def test_dead_endpoint_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens: the same error, soon."""
    monkeypatch.setattr(module, "BACKOFF_S", 0.0)
    server = Server(good)
    server.close()
    with pytest.raises(ChainUnreachable, match="no connection"):
        request(server)


@pytest.mark.parametrize("data", ["0x08c379a0", None])
def test_contracts_words_do_not_put_an_endpoint_aside(
    serve: Callable[[Answer], Server], data: str | None
) -> None:
    """A token may refuse with the words of an endpoint that is asked too often."""
    text = "execution reverted: rate limit, too many requests\x1b[2J"
    refusal = {"error": {"code": 3, "message": text, "data": data}}
    server = serve(lambda m, p: good(m, p) if m == "eth_chainId" else (200, refusal))
    with pytest.raises(RpcError, match="rate limit") as caught:
        request(server)
    assert "\x1b" not in str(caught.value)


def test_refusal_is_shown_in_a_line() -> None:
    """Whatever a contract gives as its reason, it repaints no terminal and fills no log."""
    text = str(Reverted("Rewards.claim", "Error", {"reason": "\x1b[2J\n" + "A" * 100_000}))
    assert "\x1b" not in text
    assert "\n" not in text
    assert len(text) < 3_000


def test_refusal_is_final(serve: Callable[[Answer], Server]) -> None:
    """What one endpoint refuses is not asked of another; revert bytes are kept in both forms."""

    def refuse(method: str, params: list[Any]) -> tuple[int, Any]:
        if method == "eth_chainId":
            return good(method, params)
        data: Any = "0x1234" if method == "plain" else {"data": "0x1234", "message": "m"}
        return 200, {"error": {"code": 3, "message": "execution reverted", "data": data}}

    refusing, fine = serve(refuse), serve(good)
    for method in ("plain", "nested"):
        with pytest.raises(RpcError) as caught:
            request(refusing, fine, method=method)
        assert caught.value.data == b"\x12\x34"
        assert caught.value.code == 3
    assert fine.asked == []
