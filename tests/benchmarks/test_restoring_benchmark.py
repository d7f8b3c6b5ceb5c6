from pathlib import Path

from dvface.benchmarks.restoring import time_restoring, write_clip
from dvface.models.restorer import Restorer


class NoFaces:
    name = "nothing"
    files = ()

    def detect(self, frames: list) -> list[list]:
        return [[] for _ in frames]


def test_the_parts_are_the_whole(smallest_model: Restorer, tmp_path: Path) -> None:
    video = tmp_path / "clip.mp4"
    write_clip(video, 9, 32, 48)
    found = time_restoring(smallest_model, NoFaces, video, "aligned", lambda: None)
    assert found.frames == 9
    assert {"decode video", "encode video", "prior", "backbone", "decode latents", "rest"} <= set(found.parts)
    assert min(found.parts.values()) >= 0
    assert found.parts["backbone"] > 0
    network = sum(found.parts[part] for part in ("prior", "backbone", "refinement"))
    assert network < found.seconds
    assert "forward" not in vars(smallest_model.backbone)  # the model is as it was
