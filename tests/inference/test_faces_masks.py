import cv2
import numpy as np
import pytest
from PIL import Image
from tests.inference.face_videos import marks_at

from dvface.inference.faces.masks import FACE_OVAL, SIDE, EllipseMask, FaceOvalMask
from dvface.perception.alignment import inverse, to_template
from dvface.perception.dlib_detector import DlibDetector
from dvface.perception.facemesh import FaceMesh
from dvface.weights import PackagedFile, WeightsMissing

FRAME = np.zeros((200, 200, 3), np.uint8)


class OvalOutlines:
    """A mesh whose face is an ellipse in the aligned square: half axes ``wide`` and 0.3; or None."""

    def __init__(self, wide: list[float | None]) -> None:
        self.wide = wide

    def points(self, frames, faces):
        angles = np.linspace(0, 2 * np.pi, len(FACE_OVAL), endpoint=False)
        found = []
        for wide, face in zip(self.wide, faces, strict=True):
            back = inverse(to_template(face.landmarks.astype(float)))
            mesh = np.full((468, 2), 1e6)  # points off the outline must not matter
            if wide is not None:
                places = np.stack((0.5 + wide * np.sin(angles), 0.5 - 0.3 * np.cos(angles)), axis=-1)
                mesh[list(FACE_OVAL)] = places @ back[:, :2].T + back[:, 2]
            found.append(None if wide is None else mesh)
        return found


def draw(mask, count: int = 1) -> np.ndarray:
    return mask.draw([FRAME] * count, np.stack([marks_at(100, 90, 70, 10)] * count))


def test_the_ellipse_is_whole_in_the_middle_zero_at_the_border_and_falls_between() -> None:
    mask = draw(EllipseMask(), 3)
    assert mask.shape == (3, SIDE, SIDE)
    assert mask[0, SIDE // 2, SIDE // 2] == 1
    border = np.ones((SIDE, SIDE), bool)
    border[2:-2, 2:-2] = False
    assert not mask[:, border].any()
    row = mask[0, SIDE // 2]
    assert np.all(np.diff(row[: SIDE // 2]) >= 0)
    assert np.diff(row).max() < 0.12  # no pixel of 128 is a step
    # radius 0.4, feather 0.5: half of it at 0.4 · 0.75 from the middle
    assert draw(EllipseMask(0.4, 2, 0.5))[0, SIDE // 2, SIDE // 2 + round(0.3 * SIDE)] == pytest.approx(0.5, abs=0.03)


def test_the_oval_covers_the_meshs_outline_and_is_limited_by_the_square() -> None:
    (mask,) = draw(FaceOvalMask(OvalOutlines([0.2]), enlarge=1.0))
    # area of the ellipse, which blurring keeps
    assert mask.mean() == pytest.approx(np.pi * 0.2 * 0.3, rel=0.03)
    assert mask[SIDE // 2, SIDE // 2] == pytest.approx(1, abs=1e-3)
    assert mask[SIDE // 2, round(0.3 * SIDE)] == pytest.approx(0.5, abs=0.1)
    (beyond,) = draw(FaceOvalMask(OvalOutlines([0.9]), enlarge=2.0))
    assert not beyond[:, [0, 1, -2, -1]].any()
    assert (beyond <= draw(EllipseMask())[0]).all()


def test_outlines_are_smoothed_over_time_and_frames_without_a_mesh_filled_in() -> None:
    wide = [*(0.2 + 0.02 * (-1) ** n for n in range(15)), None, *(0.2 - 0.02 * (-1) ** n for n in range(14))]
    areas = draw(FaceOvalMask(OvalOutlines(wide)), 30).mean(axis=(1, 2))
    raw = draw(FaceOvalMask(OvalOutlines(wide), smoothing=0), 30).mean(axis=(1, 2))
    assert raw.std() > 0.05 * raw.mean()
    assert areas[6:-6].std() < 0.1 * raw.std()
    assert areas.std() < 0.3 * raw.std()
    np.testing.assert_array_equal(draw(FaceOvalMask(OvalOutlines([None] * 3)), 3), draw(EllipseMask(), 3))


@pytest.mark.parametrize("options", [{"radius": 0.5}, {"power": 0.5}, {"feather": 0.0}])
def test_ellipses_that_do_not_end_within_the_square_are_refused(options: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        EllipseMask(**options)


def test_the_real_mesh_outlines_a_real_face() -> None:
    try:
        mesh = FaceMesh()
    except WeightsMissing:
        pytest.skip("the face mesh file is not at hand")
    portrait = np.array(Image.open(PackagedFile("scikit-image", "skimage/data/astronaut.png").locate()))[..., :3]
    ((face, *_),) = DlibDetector().detect([portrait])
    landmarks = face.landmarks[None].astype(float)
    (mask,) = FaceOvalMask(mesh).draw([portrait], landmarks)
    matrix = to_template(landmarks[0])
    for place in landmarks[0] @ matrix[:, :2].T + matrix[:, 2]:
        assert mask[tuple(np.rint(place[::-1] * SIDE).astype(int))] > 0.9
    assert 0.15 < mask.mean() < 0.45  # a face, not the whole square
    assert cv2.connectedComponents((mask > 0.5).astype(np.uint8))[0] == 2  # background and one shape
