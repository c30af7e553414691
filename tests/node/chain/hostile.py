"""A process between a chain client and a real endpoint, which does what endpoints do on bad days.

    python hostile.py UPSTREAM

prints its own address, then forwards JSON-RPC. `POST /faults` with a JSON list of
`{"fault": NAME, "method": METHOD, "times": N, ...}` says what goes wrong, `GET /asked` which
requests came. Only the standard library, so that it starts at once.
"""

import json
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_lock = threading.Lock()
_faults: list[dict[str, Any]] = []
_asked: list[list[Any]] = []


def take_fault(method: str) -> dict[str, Any]:
    """The first fault that is for this method and not used up; each counts down."""
    with _lock:
        for fault in _faults:
            if fault.get("method", method) == method and fault["times"] > 0:
                fault["times"] -= 1
                return fault
    return {"fault": ""}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream = ""

    def do_GET(self) -> None:
        with _lock:
            self.reply(200, json.dumps(_asked).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/faults":
            with _lock:
                _faults[:], _asked[:] = json.loads(body), []
            self.reply(200, b"{}")
            return
        request = json.loads(body)
        with _lock:
            _asked.append([request["method"], request["params"]])
        fault = take_fault(request["method"])
        match fault["fault"]:
            case "drop":
                self.close_connection = True
                return
            case "status":
                self.reply(fault["status"], b"{}", fault.get("headers", {}))
                return
            case "delay":
                time.sleep(fault["seconds"])
            case "endless":
                self.endless()
                return
            case "stale" if request["params"][:1] == ["latest"]:
                newest = self.forward({**request, "method": "eth_blockNumber", "params": []})
                number = max(0, int(newest["result"], 16) - fault["blocks"])
                request["params"][0] = hex(number)
        answer = self.forward(request)
        self.answer(fault, answer)

    def answer(self, fault: dict[str, Any], answer: dict[str, Any]) -> None:
        match fault["fault"]:
            case "lose":
                self.close_connection = True
                return
            case "nonsense":
                answer = {**answer, "result": fault["result"]}
            case "nonce":
                answer["result"] = hex(max(0, int(answer["result"], 16) + fault["add"]))
            case "truncate":
                data = json.dumps(answer).encode()
                self.reply(200, data[: len(data) // 2])
                return
            case "deep":
                self.reply(200, b'{"result":' + b"[" * 100_000)
                return
        self.reply(200, json.dumps(answer).encode())

    def forward(self, request: dict[str, Any]) -> Any:
        made = urllib.request.Request(
            self.upstream, json.dumps(request).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(made, timeout=30) as response:
            return json.load(response)

    def endless(self) -> None:
        """An answer without an end, as fast as it goes."""
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        try:
            while True:
                self.wfile.write(b" " * 65_536)
        except OSError:
            return

    def reply(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    Handler.upstream = sys.argv[1]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    # The parent's end, however it comes, closes our standard input.
    threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever(0.01)


if __name__ == "__main__":
    main()
