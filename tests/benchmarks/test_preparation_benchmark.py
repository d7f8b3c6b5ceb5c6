from fractions import Fraction
from pathlib import Path

import numpy as np

from dvface.benchmarks.preparation import measure_preparation
from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.config.schema import PrepareSettings, validated
from dvface.data_prep.prepare.tools import open_tools, specification
from dvface.video.write import write_video


def test_every_frame_is_decoded_once_and_every_step_is_timed(carphone: np.ndarray, tmp_path: Path) -> None:
    write_video(tmp_path / "man.mp4", carphone[:20], Fraction(25))
    words = [f"input={tmp_path}", f"output={tmp_path}", "detector=dlib", "size=64", "clip_frames=9"]
    words += ["filters=default", "filters.size.least=0", "filters.sharpness.least=0"]
    settings = validated(PrepareSettings, resolve(load("prepare", words)))
    sources, _ = build(settings.layout).find(tmp_path)
    found = measure_preparation(open_tools(specification(settings.model_dump())), sources)
    assert (found.frames, found.bare_frames, found.clips) == (20, 20, 2)
    steps = {"decode", "find cuts", "find faces", "track", "crop", "filters", "identity", "encode"}
    assert found.seconds.keys() == steps
    assert all(seconds > 0 for seconds in (*found.seconds.values(), found.bare_seconds, found.singly, found.together))
