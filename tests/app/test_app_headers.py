"""Browsers are told to load nothing from elsewhere, and the server fetches nothing."""

import asyncio
from typing import Any

import pytest

from dvface.app.headers import StayHome


async def page(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"Content-Security-Policy", b"default-src *"), (b"x-own", b"kept")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"page"})


def get(path: str) -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    asyncio.run(StayHome(page)({"type": "http", "path": path}, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


def test_every_answer_forbids_other_origins_whatever_the_page_itself_said() -> None:
    status, headers, body = get("/")
    assert (status, body) == (200, b"page")
    rules = dict(rule.split(" ", 1) for rule in headers[b"content-security-policy"].decode().split("; "))
    assert rules["default-src"] == "'self'"
    allowed = {source for sources in rules.values() for source in sources.split()}
    assert allowed == {"'self'", "'none'", "'unsafe-inline'", "'unsafe-eval'", "data:", "blob:"}
    assert b"Content-Security-Policy" not in headers
    assert headers[b"x-own"] == b"kept"


@pytest.mark.parametrize(
    "path", ["/gradio_api/file=http://elsewhere/x", "/file/https://elsewhere/x", "/gradio_api/file=HTTPS:/elsewhere"]
)
def test_addresses_that_make_the_server_fetch_are_refused(path: str) -> None:
    status, _, body = get(path)
    assert status == 403
    assert body != b"page"
