"""How the demo speaks to Engage: over HTTP, as any app would."""

import base64
import json
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

TIMEOUT_SECONDS = 30


class _StayHere(HTTPRedirectHandler):
    """A redirect is an answer: tracked links lead to shops that do not exist."""

    def redirect_request(self, *args: object, **kwargs: object) -> None:
        return None


_opener = build_opener(_StayHere)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    location: str = ""

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Client:
    """Requests with one key. `url` has no slash at its end."""

    url: str
    key: str = ""

    def get(self, path: str, **query: object) -> Answer:
        return self._call("GET", f"{path}?{urlencode(query)}" if query else path)

    def post(self, path: str, content: object = None) -> Answer:
        return self._call("POST", path, content)

    def put(self, path: str, content: object) -> Answer:
        return self._call("PUT", path, content)

    def patch(self, path: str, content: object) -> Answer:
        return self._call("PATCH", path, content)

    def _call(self, method: str, path: str, content: object = None) -> Answer:
        address = path if path.startswith("http") else self.url + path
        request = Request(address, method=method)  # noqa: S310 (our own server)
        if content is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(content).encode()
        elif method == "POST":
            request.data = b""
        if self.key:
            token = base64.b64encode(f"{self.key}:".encode()).decode()
            request.add_header("Authorization", f"Basic {token}")
        try:
            with _opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                return Answer(answer.status, answer.read())
        except HTTPError as refusal:
            return Answer(refusal.code, refusal.read(), refusal.headers.get("Location", ""))
