import numpy as np
import pytest
import torch
from tests.metrics.face_fixtures import KnownFaces, face_at, measure, painted, portrait_clip, shifted
from torch.nn import functional

from dvface.metrics.faces import faces
from dvface.metrics.geometry import AverageKeypointDistance, LandmarkDistance
from dvface.metrics.segment import blocks_of, segments
from dvface.perception.alignment import span
from dvface.perception.dlib_detector import DlibDetector
from dvface.perception.landmarks import DlibOutline


class KnownMesh:
    """Three points at a face's corner, at its corner moved right, and moved down; none for a frame of red 99."""

    file_name = "known.pth"

    def points(self, frames, faces):
        shape = np.array([[0, 0], [6, 0], [0, 2]])
        return [
            None if frame[0, 0, 0] == 99 else face.box[:2] + shape for frame, face in zip(frames, faces, strict=True)
        ]


class BrightestPoint:
    """An outline that puts all its points on the reddest pixel of an aligned face."""

    file_name = "known.dat"

    def points(self, face):
        row, column = np.unravel_index(int(face[..., 0].argmax()), face.shape[:2])
        return np.array([[column, row]] * 68, np.float64)


def akd(by_red):
    return AverageKeypointDistance(KnownMesh(), KnownFaces(by_red))


def evidence_of(metric, restored, clean):
    return torch.cat([metric.look(segment) for segment in segments(blocks_of(restored[0], clean[0]))])


def test_akd_is_in_frame_widths_and_heights():
    metric = akd({10: [face_at(10, 10, 20)], 20: [face_at(13, 10, 20)], 30: [face_at(13, 14, 20)]})
    clean = painted([10, 10])[..., :32]  # 40 high, 32 wide
    restored = painted([20, 30])[..., :32]
    # every point moves alike: 3 of 32 across, then 4 of 40 down besides
    expected = (3 / 32 + np.hypot(3 / 32, 4 / 40)) / 2
    assert measure(metric, restored, clean) == pytest.approx(expected, rel=1e-6)


def test_akd_has_an_answer_where_both_sides_have_the_face():
    first, far = face_at(0, 0, 15), face_at(22, 22, 15)
    metric = akd({10: [first], 20: [far], 99: [first]})
    evidence = evidence_of(metric, painted([10, 0, 20, 99, 10]), painted([10, 10, 10, 10, 0]))
    assert evidence.isnan().tolist() == [False, True, True, True, True]
    assert metric.remark(evidence) == "4 of 5 frames have no answer"


def test_akd_compares_one_person_with_himself():
    left, right = face_at(2, 4, 16), face_at(22, 4, 16)
    moved, bigger = face_at(3, 4, 16), face_at(20, 4, 19)
    metric = akd({10: [left, right], 20: [bigger, moved]})
    # the larger overlap is the right one's: 2 pixels, not the 18 between the largest faces
    assert measure(metric, painted([20]), painted([10])) == pytest.approx(2 / 40)


def test_akd_looks_for_faces_once_in_each_frame_of_each_side():
    metric = akd({10: [face_at(4, 4, 30)]})
    reds = [10] * 33
    assert measure(metric, painted(reds), painted(reds)) == 0
    assert metric.detector.looked == 66


def test_lmd_is_in_pixels_of_the_aligned_512_face():
    face = face_at(20, 20, 64)  # eight aligned pixels to one
    metric = LandmarkDistance(BrightestPoint(), KnownFaces({10: [face]}))
    clean = painted([10], size=100)
    restored = clean.clone()
    clean[..., 40, 50] = 1.0
    restored[..., 40, 53] = 1.0
    assert measure(metric, restored, clean) == pytest.approx(3 * 512 / 64, abs=1e-4)


@pytest.fixture(scope="module")
def lmd():
    return LandmarkDistance(DlibOutline(), DlibDetector())


def test_a_real_face_moved_by_known_pixels_has_that_lmd(lmd):
    clean = portrait_clip()
    (segment,) = segments(blocks_of(clean[0], clean[0]))
    side = float(span(faces(segment, lmd.detector, "clean")[0][0].face.landmarks))
    moved = np.hypot(4, 3) * 512 / side
    assert measure(lmd, clean, clean) == 0
    # the trees start where the clean face is, and come nearly all the way
    assert measure(lmd, shifted(clean, 4, 3), clean) == pytest.approx(moved, rel=0.15)


def test_lmd_does_not_depend_on_resolution(lmd):
    clean = portrait_clip()
    restored = shifted(clean, 4, 0)
    large = [
        functional.interpolate(side[:, :, 0], scale_factor=2, mode="bicubic")[:, :, None] for side in (restored, clean)
    ]
    assert measure(lmd, *[side.clamp(-1, 1) for side in large]) == pytest.approx(measure(lmd, restored, clean), rel=0.1)


def test_frames_without_a_clean_face_have_no_lmd_and_reversal_changes_nothing(lmd):
    clean = portrait_clip(3)
    restored = torch.cat([shifted(portrait_clip(), step, 0) for step in (0, 2, 5)], dim=2)
    assert measure(lmd, restored, clean) == pytest.approx(measure(lmd, restored.flip(2), clean.flip(2)), rel=1e-6)
    clean[:, :, 1] = -1
    assert evidence_of(lmd, restored, clean).isnan().tolist() == [False, True, False]
    assert lmd.file_name == "shape_predictor_68_face_landmarks.dat"
