import shutil
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.comparison.fabricated import fabricate

from dvface.comparison.compare import compare
from dvface.comparison.settings import CompareSettings
from dvface.video.write import write_video

sync_api = pytest.importorskip("playwright.sync_api", reason="driving a browser needs playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

PATIENCE_MS = 120_000
SECONDS = 20
TIMES = "[...document.querySelectorAll('video')].map(video => video.currentTime)"


def wait_for(page: sync_api.Page, happened: Callable[[list[float]], bool]) -> None:
    """Watch from outside, since the page's policy lets no other script run in it."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not happened(page.evaluate(TIMES)):
        assert time.monotonic() < deadline, page.evaluate(TIMES)
        time.sleep(0.05)


def test_one_button_plays_all_videos_in_step_and_the_slider_moves_them(tmp_path: Path) -> None:
    for name, words in (("full", []), ("ablated", ["exp=ablation_no_temporal"])):
        folder = fabricate(tmp_path / "runs" / "tiny" / name, lambda *_: {"psnr": 30.0}, 0, words, [0], videos=True)
        for side in ("input", "restored", "clean"):  # long enough to be watched
            frames = np.zeros((25 * SECONDS, 32, 32, 3), np.uint8)
            write_video(folder / f"{side}-held_out.mp4", frames, Fraction(25))
    settings = {"study": None, "runs": None, "baseline": None, "footage": None, "measures": None}
    out = compare(
        CompareSettings(**settings, folder=str(tmp_path / "runs"), out=str(tmp_path / "out")), lambda line: None
    )
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE_MS)
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"file://{out / 'comparison.html'}")
        page.get_by_role("button", name="Play").click()
        wait_for(page, lambda times: min(times) > 0.5)
        page.get_by_role("button", name="Pause").click()
        wait_for(page, lambda times: len(times) == 4 and min(times) > 0.5 and max(times) == min(times))
        page.get_by_role("slider").fill("0.75")
        wait_for(page, lambda times: min(times) == max(times) == pytest.approx(0.75 * SECONDS, abs=0.05))
        assert complaints == []
        browser.close()
