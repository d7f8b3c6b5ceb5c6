"""Serves the page on this machine, and only to whom the configuration lets in."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dvface.app.engine import Engine
from dvface.app.folders import workplace
from dvface.app.headers import StayHome
from dvface.app.jobs import Jobs
from dvface.app.limits import MEGABYTE, Limits
from dvface.app.settings import AppSettings
from dvface.app.work import Restoration, Restored
from dvface.errors import UserError
from dvface.files import orderly_end

STATIC = Path(__file__).parent / "static"
LOCAL = ("127.0.0.1", "localhost", "::1")


def require_gradio() -> None:
    """Say what to do where the page's packages are missing.

    Raises:
        UserError: Gradio is not installed.
    """
    if find_spec("gradio") is None:
        raise UserError(
            "the web page needs the package gradio, which is not installed; run: uv pip install 'dvface[app]', "
            "or in a checkout: make setup"
        )


def keep_quiet(folder: Path) -> None:
    """Have Gradio, once imported, tell nobody anything and put uploads below ``folder``."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["DISABLE_TELEMETRY"] = "1"
    os.environ["GRADIO_SHARE"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(folder / "uploads")


def warning(host: str, port: int) -> str | None:
    """What must be said aloud of a host that others reach too, None for one that they do not."""
    if host in LOCAL:
        return None
    return (
        f"WARNING: host={host} opens the page to everybody who reaches this machine on port {port}; there is no "
        "password and no encryption. For yourself alone leave it at 127.0.0.1 and come through ssh -L"
    )


def serve(engine: Engine, settings: AppSettings) -> None:
    """Serve until interrupted; all files of the page are removed afterwards.

    Raises:
        UserError: Gradio is missing, or the port is taken.
    """
    require_gradio()
    said = warning(settings.host, settings.port)
    if said is not None:
        print(said, file=sys.stderr, flush=True)
    with orderly_end(), workplace() as folder, listening(settings.host, settings.port) as socket:
        keep_quiet(folder)
        import uvicorn

        app, jobs = create_app(engine, settings, folder)
        try:
            server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))
            shown = f"[{settings.host}]" if ":" in settings.host else settings.host
            print(f"page: http://{shown}:{settings.port}  (Ctrl-C ends it)", flush=True)
            server.run(sockets=[socket])
        finally:
            jobs.close()


def listening(host: str, port: int) -> Any:
    """A socket that listens there.

    Raises:
        UserError: it cannot be had.
    """
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
    except OSError as error:
        opened.close()
        raise UserError(
            f"host={host} port={port} cannot be used ({error.strerror}); give another, such as port={port % 65535 + 1}"
        ) from error
    return opened


def create_app(engine: Engine, settings: AppSettings, folder: Path) -> tuple[Any, Jobs[Restored]]:
    """The FastAPI application, and the jobs that it starts: close them at the end.

    Args:
        engine: restores.
        settings: limits and the like.
        folder: where everything is written.
    """
    import fastapi
    import gradio
    from fastapi.responses import FileResponse
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from dvface.app.page import build_page

    limits = Limits(settings.limits.megabytes, settings.limits.seconds, settings.limits.pixels)
    jobs: Jobs[Restored] = Jobs(
        folder / "jobs", Restoration(engine, limits), settings.waiting, keep=60 * settings.keep_minutes
    )
    keep = int(60 * settings.keep_minutes)
    page = build_page(engine.name, limits, jobs)
    page.delete_cache = (min(600, keep), keep)
    app = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/files/{key}/{name}")
    def file(key: str, name: str) -> FileResponse:
        """A file of a finished job."""
        path = jobs.file(key, name)
        if path is None:
            raise fastapi.HTTPException(404, "this file is gone; restore the video again")
        return FileResponse(path, headers={"Cache-Control": "private, no-store"})

    @app.get("/player.js")
    def player() -> FileResponse:
        """The comparing player."""
        return FileResponse(STATIC / "player.js", media_type="text/javascript")

    app.add_middleware(StayHome)
    if settings.host in LOCAL:
        # a page elsewhere whose name resolves to this machine must not reach it
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOCAL, "[::1]"])
    gradio.mount_gradio_app(
        app,
        page,
        path="/",
        server_name=settings.host,
        server_port=settings.port,
        footer_links=[],
        run_history=False,
        show_error=True,
        max_file_size=int(settings.limits.megabytes * MEGABYTE),
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        # no font is fetched, and softer text keeps a contrast of 4.5 to 1 (WCAG 2, 1.4.3)
        theme=gradio.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]).set(
            body_text_color_subdued="*neutral_600",
            body_text_color_subdued_dark="*neutral_300",
            block_info_text_color="*neutral_600",
            block_info_text_color_dark="*neutral_300",
            block_label_text_color="*neutral_700",
            block_title_text_color="*neutral_700",
        ),
        css_paths=[STATIC / "page.css"],
        head='<script src="player.js"></script>',
    )
    return app, jobs
