"""Keeps the page at home: browsers load nothing from elsewhere, and the server fetches nothing for anybody."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",  # Gradio compiles its templates in the browser
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "connect-src 'self' data: blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)
"""Content-Security-Policy: the browser itself refuses whatever is not from here."""

HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


class StayHome:
    """ASGI middleware: adds `HEADERS`, and refuses addresses by which Gradio would fetch from elsewhere.

    Args:
        app: the application behind it.
    """

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if fetches(scope["path"]):
            await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"only files of this page are served"})
            return

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                named = {name.lower() for name, _ in HEADERS}
                kept = [pair for pair in message.get("headers", ()) if pair[0].lower() not in named]
                message["headers"] = [*kept, *HEADERS]
            await send(message)

        await self._app(scope, receive, send_on)


def fetches(path: str) -> bool:
    """Whether the path asks for another server's file: Gradio would get ``…/file=http://…`` and hand it on."""
    return "http:/" in path.lower() or "https:/" in path.lower()
