"""The page in a real browser: a real clip in, a restored one out, and nobody else is asked for anything."""

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dvface.app.engine import ModelEngine, Report, Watch
from dvface.app.folders import workplace
from dvface.app.jobs import Jobs, Phase
from dvface.app.serve import create_app, keep_quiet, listening
from dvface.app.settings import AppSettings, LimitSettings
from dvface.config.schema import TrainSettings
from dvface.data.footage import RATE
from dvface.models.restorer import Restorer
from dvface.video.read import read_video
from dvface.video.write import write_video

pytest.importorskip("gradio", reason="the page needs gradio: uv pip install 'dvface[app]'")
sync_api = pytest.importorskip("playwright.sync_api", reason="driving a browser needs playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
    pytest.mark.slow,
    pytest.mark.timeout(900),
]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FRAMES = 24
PATIENCE_MS = 240_000.0
NAME = "carphone in 1994.mp4"


class GatedEngine:
    """The model behind a gate, which a test may close."""

    def __init__(self, engine: ModelEngine) -> None:
        self.name = engine.name
        self.gate = threading.Event()
        self.gate.set()
        self._engine = engine

    def restore(self, source: Path, target: Path, mode: str, fidelity: float, watch: Watch) -> Report:
        assert self.gate.wait(PATIENCE_MS / 1000)
        return self._engine.restore(source, target, mode, fidelity, watch)


class Page:
    """The page in a browser, on a server of its own."""

    def __init__(self, tab: Any, address: str, engine: GatedEngine, jobs: Jobs[Any], folder: Path) -> None:
        self.tab = tab
        self.engine = engine
        self.address = address
        self.jobs = jobs
        self.folder = folder
        self.elsewhere: list[str] = []
        self.problems: list[str] = []

    def note(self, request: Any) -> None:
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.elsewhere.append(request.url)

    def says(self, text: str) -> None:
        self.tab.locator("#dv-status", has_text=text).wait_for()


@pytest.fixture
def clip(carphone: np.ndarray, tmp_path: Path) -> Path:
    path = tmp_path / NAME
    write_video(path, carphone[:FRAMES], RATE)
    return path


@pytest.fixture
def page(smallest_model: Restorer, smallest_settings: TrainSettings, tmp_path: Path) -> Iterator[Page]:
    import uvicorn

    smallest_model.save_pretrained(tmp_path / "tiny" / "model", smallest_settings.model)
    engine = GatedEngine(ModelEngine(tmp_path / "tiny" / "model", "tiny", window=9, overlap=2))
    settings = AppSettings(
        checkpoint="tiny",
        runs="runs",
        host="127.0.0.1",
        port=7860,
        window=9,
        overlap=2,
        limits=LimitSettings(megabytes=5, seconds=2, pixels=100_000),
        waiting=2,
        keep_minutes=5,
    )
    with workplace(tmp_path) as folder, listening("127.0.0.1", 0) as socket, pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", "")  # what keep_quiet sets is taken back afterwards
        keep_quiet(folder)
        app, jobs = create_app(engine, settings, folder)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{socket.getsockname()[1]}"
        try:
            with sync_api.sync_playwright() as driver:
                browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=PATIENCE_MS)
                tab = browser.new_page(viewport={"width": 390, "height": 844})
                tab.set_default_timeout(PATIENCE_MS)
                opened = Page(tab, address, engine, jobs, folder)
                tab.on("request", opened.note)
                tab.on("pageerror", lambda error: opened.problems.append(str(error)))
                tab.goto(address)
                yield opened
                browser.close()
        finally:
            jobs.close()
            server.should_exit = True
            thread.join(timeout=60)


def test_a_clip_is_restored_compared_and_downloaded_without_asking_anybody_else(
    page: Page, clip: Path, tmp_path: Path
) -> None:
    tab = page.tab
    page.says("Choose a video to begin.")
    assert tab.locator("#dv-restore").is_disabled()
    assert tab.get_by_text("tiny", exact=True).is_visible()

    tab.set_input_files("#dv-video input[type=file]", clip)
    page.says(f"{FRAMES} frames")
    tab.get_by_label("aligned: the video is one cropped face").check()
    tab.locator("#dv-restore:not([disabled])").click()
    page.says("Done")

    with tab.expect_download() as download:
        tab.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "carphone in 1994-restored.mp4"
    download.value.save_as(tmp_path / "result.mp4")
    before, after = read_video(clip), read_video(tmp_path / "result.mp4")
    assert after.shape == before.shape
    assert np.abs(after.astype(int) - before).mean() > 1

    player = tab.locator("dvface-player")
    shown = player.locator("output")
    tab.wait_for_function("document.querySelector('dvface-player').video.readyState >= 2")
    player.get_by_label("Next frame").click()
    sync_api.expect(shown).to_contain_text(f"2 / {FRAMES}", timeout=PATIENCE_MS)
    player.get_by_label("Frame", exact=True).focus()
    tab.keyboard.press("End")
    sync_api.expect(shown).to_contain_text(f"{FRAMES} / {FRAMES}", timeout=PATIENCE_MS)
    player.get_by_role("button", name="Side by side").click()
    assert player.locator(".divider").is_hidden()

    assert tab.evaluate("document.documentElement.scrollWidth") <= 390, "nothing is cut off on a telephone"
    assert page.elsewhere == []
    assert page.problems == []


def test_too_long_a_video_is_refused_before_any_work(page: Page, carphone: np.ndarray, tmp_path: Path) -> None:
    write_video(tmp_path / "long.mp4", carphone[:70], RATE)
    page.tab.set_input_files("#dv-video input[type=file]", tmp_path / "long.mp4")
    page.says("lasts 2.3 seconds and this page takes at most 2")
    assert page.tab.locator("#dv-restore").is_disabled()
    assert str(page.folder) not in page.tab.locator("#dv-status").inner_text()


def test_the_line_is_seen_cancelling_leaves_it_and_closing_the_page_leaves_no_file(page: Page, clip: Path) -> None:
    page.engine.gate.clear()  # somebody else's long job is at work
    other = page.jobs.submit(clip, "somebody else", "aligned", 0.0)
    tab = page.tab
    tab.set_input_files("#dv-video input[type=file]", clip)
    tab.locator("#dv-restore:not([disabled])").click()
    page.says("1 video is before yours")
    tab.locator("#dv-cancel").click()
    page.says("Cancelled")
    page.engine.gate.set()
    tab.locator("#dv-restore:not([disabled])").click()
    page.says("Done")
    assert other.standing.phase is Phase.DONE
    page.jobs.forget("somebody else")
    assert len(list((page.folder / "jobs").iterdir())) == 1
    tab.close()
    end = time.monotonic() + PATIENCE_MS / 1000
    while list((page.folder / "jobs").iterdir()):
        assert time.monotonic() < end, "the files of a closed page are still there"
        time.sleep(0.2)
