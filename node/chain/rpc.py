"""JSON-RPC over several endpoints, with bounded waits and bounded answers.

The one module of the product that imports web3. A request goes to the endpoint that answered last;
one that does not answer, answers nonsense or for another chain, limits our rate or lags behind is
passed over and rests (endpoints.py). Answers are read by answers.py before anybody believes them.
What an endpoint *says* is final: an error about the request itself is raised, not asked elsewhere.
"""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError as TransportError
from web3.exceptions import Web3Exception
from web3.providers.rpc import HTTPProvider
from web3.types import RPCEndpoint

from node.bounded_json import require_shallow
from node.chain.answers import Nonsense, OtherFork, quantity
from node.chain.endpoints import EndpointHealth, Endpoints
from node.errors import ChainUnreachable, NodeError, TransactionFailed

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 15.0
"""For one piece of an answer."""
ANSWER_TIMEOUT_S = 30.0
"""For the whole of it."""
ANSWER_BYTES_MAX = 32 << 20
ROUNDS = 3
"""How often every endpoint is tried before the chain counts as unreachable."""
BACKOFF_S = 0.25
RETRY_AFTER_S_MAX = 5.0
"""How long a request waits for endpoints that ask for a pause; they rest longer than that."""
_PIECE_BYTES = 1 << 16
_REASON_MAX = 2_000
# Geth's "limit exceeded" and what others use for "ask more slowly".
_RATE_LIMITED = frozenset({-32005, -32029, -32090, 429})
_RATE_LIMIT_TEXT = ("rate limit", "too many requests", "request limit")


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


class AnswerTooLarge(ChainUnreachable):
    """Every endpoint's answer is larger than we read: ask for less."""


class ChainReplaced(ChainUnreachable):
    """No endpoint has a block any more that was seen before: the chain was reorganised."""


@dataclass(frozen=True, slots=True)
class Call:
    """One JSON-RPC call, and what makes a typed value of its answer."""

    method: str
    parameters: tuple[object, ...] = ()
    read: Callable[[Any], Any] = lambda value: value


class Rpc:
    """JSON-RPC requests to the first of `endpoints` that answers for chain `chain_id`.

    Safe to use from several threads. Close it, or use it as a context manager.
    """

    def __init__(self, endpoints: Sequence[str], chain_id: int) -> None:
        self._chain_id = chain_id
        self._session = requests.Session()
        self._providers = [_Endpoint(endpoint, self._session) for endpoint in endpoints]
        self._endpoints = Endpoints([_name(each) for each in endpoints], time.monotonic)
        self._checked: set[int] = set()

    def request(
        self, method: str, *parameters: object, read: Callable[[Any], Any] | None = None
    ) -> Any:
        """The result of one call, as `read` makes it; errors as of `together`."""
        call = Call(method, parameters, read) if read else Call(method, parameters)
        return self.together(call)[0]

    def together(self, *calls: Call) -> list[Any]:
        """The results of several calls, all from one endpoint, so that they fit together.

        ChainUnreachable if nobody answers, ChainReplaced if whoever answers is on another fork,
        AnswerTooLarge if all answers are, RpcError if an endpoint refuses.
        """
        failures: dict[int, _Unanswered] = {}
        for attempt in range(ROUNDS):
            if attempt:
                time.sleep(max(BACKOFF_S * 2 ** (attempt - 1), _pause_s(failures)))
            for index in self._endpoints.order():
                try:
                    self._check_chain(index)
                    results = [self._ask(index, call) for call in calls]
                except _Unanswered as error:
                    failures[index] = error
                    self._endpoints.failed(index, str(error), error.retry_after_s)
                    continue
                self._endpoints.answered(index)
                return results
        raise self._unreachable(failures)

    def everywhere(self, call: Call) -> list[Any]:
        """What each endpoint answers; those that give no usable answer are left out."""
        found = []
        for index, health in enumerate(self._endpoints.health()):
            if health.failures >= ROUNDS and len(self._providers) > 1:
                continue
            with contextlib.suppress(_Unanswered, RpcError):
                self._check_chain(index)
                found.append(self._ask(index, call))
        return found

    def health(self) -> tuple[EndpointHealth, ...]:
        """How each endpoint does, for people."""
        return self._endpoints.health()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _unreachable(self, failures: Mapping[int, "_Unanswered"]) -> ChainUnreachable:
        names = [each.name for each in self._endpoints.health()]
        listed = "; ".join(f"{names[index]}: {error}" for index, error in sorted(failures.items()))
        causes = {type(error.cause) for error in failures.values()}
        kind = ChainUnreachable
        if OtherFork in causes:
            kind = ChainReplaced
        elif causes == {_TooLarge}:
            kind = AnswerTooLarge
        return kind(
            f"No chain endpoint answers ({listed}).",
            "Check the connection, or name others: `ainur config set rpc_endpoints URL,URL`.",
        )

    def _check_chain(self, index: int) -> None:
        if index in self._checked:
            return
        chain_id = self._ask(index, Call("eth_chainId", (), quantity))
        if chain_id != self._chain_id:
            raise _Unanswered(f"serves chain {chain_id} instead of {self._chain_id}")
        self._checked.add(index)

    def _ask(self, index: int, call: Call) -> Any:
        provider = self._providers[index]
        try:
            answer = provider.make_request(RPCEndpoint(call.method), list(call.parameters))
        except requests.RequestException as error:
            raise _Unanswered(_plain(error), _retry_after_s(error)) from None
        except _TooLarge as error:
            raise _Unanswered(str(error), cause=error) from None
        except (Web3Exception, ValueError):
            raise _Unanswered("its answer is not JSON-RPC") from None
        if not isinstance(answer, dict):
            raise _Unanswered("its answer is not JSON-RPC")
        if (refused := answer.get("error")) is not None:
            raise _rpc_error(refused)
        if "result" not in answer:
            raise _Unanswered("its answer is not JSON-RPC")
        try:
            return call.read(answer["result"])
        except Nonsense as error:
            raise _Unanswered(f"{call.method}: {error}", cause=error) from None


class _Endpoint(HTTPProvider):
    """web3's provider, which reads no more than ANSWER_BYTES_MAX, uncompressed, in bounded time.

    It follows no redirection: an endpoint cannot make us ask somebody else.
    """

    def __init__(self, uri: str, session: requests.Session) -> None:
        super().__init__(uri, session=session, exception_retry_configuration=None)
        self._session = session

    def _make_request(self, method: RPCEndpoint, request_data: bytes) -> bytes:
        give_up_s = time.monotonic() + ANSWER_TIMEOUT_S
        headers = {**self.get_request_headers(), "Accept-Encoding": "identity"}
        with self._session.post(
            cast(str, self.endpoint_uri),
            data=request_data,
            headers=headers,
            timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
            stream=True,
            allow_redirects=False,
        ) as response:
            response.raise_for_status()
            body = _read_body(response, give_up_s)
        require_shallow(body)
        return body


def _read_body(response: requests.Response, give_up_s: float) -> bytes:
    """The body as it comes, piece by piece: one that trickles or never ends is given up."""
    body = bytearray()
    try:
        while piece := response.raw.read1(_PIECE_BYTES, decode_content=False):
            body += piece
            if len(body) > ANSWER_BYTES_MAX:
                raise _TooLarge(f"its answer has more than {ANSWER_BYTES_MAX} bytes")
            if time.monotonic() > give_up_s:
                raise requests.Timeout
    except (TransportError, OSError) as error:
        late = "timed out" in str(error).lower()
        raise (requests.Timeout if late else requests.ConnectionError)(str(error)) from None
    return bytes(body)


class _TooLarge(Exception):
    """An endpoint's answer is larger than we read."""


class _Unanswered(Exception):
    """One endpoint did not give a usable answer: try the next."""

    def __init__(
        self, reason: str, retry_after_s: float = 0.0, cause: Exception | None = None
    ) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s
        self.cause = cause


def _name(endpoint: str) -> str:
    # Endpoints often carry a secret in their path: show only the host.
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


def _pause_s(failures: Mapping[int, _Unanswered]) -> float:
    """How long to wait for the first endpoint that is ready again, if all asked for a pause."""
    least_s = min((error.retry_after_s for error in failures.values()), default=0.0)
    return min(least_s, RETRY_AFTER_S_MAX)


def _retry_after_s(error: requests.RequestException) -> float:
    if error.response is None or error.response.status_code not in (429, 503):
        return 0.0
    text = str(error.response.headers.get("Retry-After", ""))
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 6 else 0.0


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
        return RpcError(0, str(error)[:_REASON_MAX], None)
    code = error.get("code")
    message = str(error.get("message", "no reason given"))[:_REASON_MAX]
    data = _revert_data(error.get("data"))
    # A contract chooses the words of its refusal: they say nothing about the endpoint.
    is_contracts = data is not None or "revert" in message.lower()
    slower = any(text in message.lower() for text in _RATE_LIMIT_TEXT)
    if code in _RATE_LIMITED or (slower and not is_contracts):
        return _Unanswered("it limits our rate")
    return RpcError(code if isinstance(code, int) else 0, _shown(message), data)


def _revert_data(data: object) -> bytes | None:
    # Geth gives the bytes as `data`, Hardhat as `data.data`.
    if isinstance(data, dict):
        data = data.get("data")
    if isinstance(data, str) and data.startswith("0x"):
        with contextlib.suppress(ValueError):
            return bytes.fromhex(data[2:])
    return None


def _shown(value: object) -> str:
    """As people may see it in a line, whoever wrote it: a text is a contract's or an endpoint's."""
    text = "0x" + value.hex() if isinstance(value, bytes) else str(value)
    return "".join(c if c.isprintable() else " " for c in text[:_REASON_MAX])
