import shutil
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
TIMES = "[...document.querySelectorAll('video')].map(video => video.currentTime)"


def test_one_button_plays_all_videos_in_step_and_the_slider_moves_them(tmp_path: Path) -> None:
    for name, words in (("full", []), ("ablated", ["exp=ablation_no_temporal"])):
        folder = fabricate(tmp_path / "runs" / "tiny" / name, lambda *_: {"psnr": 30.0}, 0, words, [0], videos=True)
        for side in ("input", "restored", "clean"):  # four seconds in place of three frames
            frames = np.zeros((100, 32, 32, 3), np.uint8)
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
        page.wait_for_function(f"{TIMES}.every(time => time > 0.5)")
        page.get_by_role("button", name="Pause").click()
        times = page.evaluate(TIMES)
        assert len(times) == 4
        assert max(times) - min(times) < 0.2
        page.get_by_role("slider").fill("0.75")
        page.wait_for_function(f"{TIMES}.every(time => Math.abs(time - 3) < 0.01)")
        assert complaints == []
        browser.close()
