"""JSON-RPC over several endpoints, with bounded waits.

The one module of the product that imports web3. A request goes to the endpoint that answered last;
one that does not answer, or answers for another chain, is passed over. What an endpoint *says* is
final: an error about the request itself is raised, not asked elsewhere.
"""

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import requests
from web3.exceptions import Web3Exception
from web3.providers.rpc import HTTPProvider
from web3.types import RPCEndpoint

from node.errors import ChainUnreachable, NodeError, TransactionFailed

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 15.0
ROUNDS = 3
"""How often every endpoint is tried before the chain counts as unreachable."""
BACKOFF_S = 0.25
# Geth's "limit exceeded", used by public endpoints for "ask more slowly".
_RATE_LIMITED = -32005


class RpcError(NodeError):
    """An endpoint answered with an error; `data` holds a contract's revert bytes, if there are
    any.
    """

    def __init__(self, code: int, message: str, data: bytes | None) -> None:
        super().__init__(f"The chain endpoint refused: {message}")
        self.code = code
        self.reason = message
        self.data = data


class Reverted(TransactionFailed):
    """A contract refused a call. `name` is its custom error, `arguments` what the error carries."""

    def __init__(self, what: str, name: str, arguments: Mapping[str, object]) -> None:
        inside = ", ".join(f"{key} = {_shown(value)}" for key, value in arguments.items())
        super().__init__(f"{what} was refused: {name}({inside})." if name else f"{what} failed.")
        self.name = name
        self.arguments = dict(arguments)


class Rpc:
    """JSON-RPC requests to the first of `endpoints` that answers for chain `chain_id`.

    Safe to use from several threads. Close it, or use it as a context manager.
    """

    def __init__(self, endpoints: Sequence[str], chain_id: int) -> None:
        self._chain_id = chain_id
        self._session = requests.Session()
        self._providers = [
            HTTPProvider(
                endpoint,
                request_kwargs={"timeout": (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)},
                session=self._session,
                exception_retry_configuration=None,
            )
            for endpoint in endpoints
        ]
        self._checked: set[int] = set()
        self._preferred = 0

    def request(self, method: str, *parameters: object) -> Any:
        """The result of one call. ChainUnreachable if nobody answers, RpcError if one refuses."""
        failures: dict[str, str] = {}
        for attempt in range(ROUNDS):
            if attempt:
                time.sleep(BACKOFF_S * 2 ** (attempt - 1))
            for index in self._order():
                try:
                    self._check_chain(index)
                    result = self._ask(index, method, parameters)
                except _Unanswered as error:
                    failures[self._name(index)] = str(error)
                    continue
                self._preferred = index
                return result
        listed = "; ".join(f"{name}: {reason}" for name, reason in failures.items())
        raise ChainUnreachable(
            f"No chain endpoint answers ({listed}).",
            "Check the connection, or name others: `ainur config set rpc_endpoints URL,URL`.",
        )

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _order(self) -> list[int]:
        count = len(self._providers)
        return [(self._preferred + step) % count for step in range(count)]

    def _check_chain(self, index: int) -> None:
        if index in self._checked:
            return
        chain_id = int(self._ask(index, "eth_chainId", ()), 16)
        if chain_id != self._chain_id:
            raise _Unanswered(f"serves chain {chain_id} instead of {self._chain_id}")
        self._checked.add(index)

    def _ask(self, index: int, method: str, parameters: Sequence[object]) -> Any:
        try:
            answer = self._providers[index].make_request(RPCEndpoint(method), list(parameters))
        except requests.RequestException as error:
            raise _Unanswered(_plain(error)) from None
        except (Web3Exception, ValueError):
            raise _Unanswered("its answer is not JSON-RPC") from None
        if not isinstance(answer, dict):
            raise _Unanswered("its answer is not JSON-RPC")
        if (refused := answer.get("error")) is not None:
            raise _rpc_error(refused)
        if "result" not in answer:
            raise _Unanswered("its answer is not JSON-RPC")
        return answer["result"]

    def _name(self, index: int) -> str:
        # Endpoints often carry a secret in their path: show only the host.
        parts = urlsplit(str(self._providers[index].endpoint_uri))
        return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


class _Unanswered(Exception):
    """One endpoint did not give a usable answer: try the next."""


def _plain(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP status {error.response.status_code}"
    return type(error).__name__


def _rpc_error(error: object) -> Exception:
    if not isinstance(error, dict):
        return RpcError(0, str(error), None)
    code = error.get("code")
    message = str(error.get("message", "no reason given"))
    if code == _RATE_LIMITED:
        return _Unanswered("it limits our rate")
    return RpcError(code if isinstance(code, int) else 0, message, _revert_data(error.get("data")))


def _revert_data(data: object) -> bytes | None:
    # Geth gives the bytes as `data`, Hardhat as `data.data`.
    if isinstance(data, dict):
        data = data.get("data")
    if isinstance(data, str) and data.startswith("0x"):
        with contextlib.suppress(ValueError):
            return bytes.fromhex(data[2:])
    return None


def _shown(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
