import math
import re
from itertools import chain

import cv2
import numpy as np
import pytest
import torch

from dvface.errors import UserError
from dvface.perception.dlib_detector import DlibDetector
from dvface.perception.retinaface import RETINAFACE_WEIGHTS, RetinaFace
from dvface.perception.retinaface_network import RetinaFaceNetwork, anchors, boxes_in_pixels, landmarks_in_pixels
from dvface.weights import WeightsMissing

PUBLISHED_BYTES = {"mobilenet0.25": 1_789_735, "resnet50": 109_497_761}
"""The sizes of the files that facexlib distributes."""


def network(body="mobilenet0.25"):
    torch.manual_seed(0)
    return RetinaFaceNetwork(body).eval()


def stored(state, path):
    torch.save({f"module.{key}": value for key, value in state.items()}, path)
    return path


@pytest.fixture(scope="module")
def blind_weights(tmp_path_factory):
    """Random features that no head reads: every anchor says what the heads' constants say, and they say nothing."""
    state = network().state_dict()
    for key, value in state.items():
        if "Head" in key:
            value.zero_()
    return stored(state, tmp_path_factory.mktemp("retinaface") / "blind.pth")


@pytest.fixture(scope="module")
def two_squares(blind_weights, tmp_path_factory):
    """Each place of the coarsest map sees a face 32 pixels wide and 16 high, its points at 1 to 5 pixels."""
    state = {key.removeprefix("module."): value for key, value in torch.load(blind_weights, weights_only=True).items()}
    for level in range(3):
        state[f"ClassHead.{level}.conv1x1.bias"] += torch.tensor([10.0, 0, 10, 0])  # nowhere a face
    state["ClassHead.2.conv1x1.bias"][:] = torch.tensor([10.0, 0, 0, 3])  # but for the anchors of 512 pixels
    shape = torch.tensor([0, 0, np.log(32 / 512) / 0.2, np.log(16 / 512) / 0.2])
    state["BboxHead.2.conv1x1.bias"][4:] = shape
    points = torch.tensor([[1.0, -1], [2, -2], [3, -3], [4, -4], [5, -5]]) / (0.1 * 512)
    state["LandmarkHead.2.conv1x1.bias"][10:] = points.flatten()
    return stored(state, tmp_path_factory.mktemp("retinaface") / "squares.pth")


@pytest.mark.parametrize(("body", "tensors"), [("mobilenet0.25", 300), ("resnet50", 456)])
def test_its_tensors_are_those_of_the_published_file(body, tensors) -> None:
    with torch.device("meta"):
        state = RetinaFaceNetwork(body).state_dict()
    size = sum(value.numel() * value.element_size() for value in state.values())
    assert len(state) == tensors
    assert 0 < PUBLISHED_BYTES[body] - size < 100_000  # names and headers
    width = 64 if body == "mobilenet0.25" else 256
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    first = {
        "mobilenet0.25": ("body.stage1.0.0.weight", (8, 3, 3, 3)),
        "resnet50": ("body.conv1.weight", (64, 3, 7, 7)),
    }
    assert shapes[first[body][0]] == first[body][1]
    assert shapes["fpn.output3.0.weight"][0] == shapes["fpn.merge1.0.weight"][1] == width
    assert shapes["ssh2.conv7x7_3.0.weight"] == (width // 4, width // 4, 3, 3)
    assert shapes["LandmarkHead.1.conv1x1.weight"] == (20, width, 1, 1)


@pytest.mark.parametrize("body", ["mobilenet0.25", "resnet50"])
def test_odd_and_oblong_frames_have_a_prediction_for_every_anchor(body) -> None:
    with torch.inference_mode():
        faces, boxes, landmarks = network(body)(torch.randn(2, 3, 75, 50))
    # 10 × 7, 5 × 4 and 3 × 2 places of two anchors
    assert len(anchors(75, 50)) == faces.shape[1] == 2 * (70 + 20 + 6)
    assert boxes.shape == (2, 192, 4)
    assert landmarks.shape == (2, 192, 10)
    assert ((faces > 0) & (faces < 1)).all()


def test_anchors_lie_line_by_line_and_finest_first() -> None:
    found = anchors(16, 24)
    expected = [[x, y, side] for y in (4, 12) for x in (4, 12, 20) for side in (16, 32)]
    assert found[:12].tolist() == expected
    assert found[12:16].tolist() == [[8, 8, 64], [8, 8, 128], [24, 8, 64], [24, 8, 128]]
    assert found[16:].tolist() == [[16, 16, 256], [16, 16, 512]]


def test_places_and_sizes_are_read_in_units_of_the_anchor() -> None:
    squares = torch.tensor([[100.0, 50, 20]])
    # 1 moves by a tenth of the anchor's side; a size is e to a fifth of its number
    boxes = boxes_in_pixels(torch.tensor([[1.0, -2, math.log(2) / 0.2, 0]]), squares)
    torch.testing.assert_close(boxes, torch.tensor([[82.0, 36, 122, 56]]))
    landmarks = landmarks_in_pixels(torch.arange(10.0)[None], squares)
    torch.testing.assert_close(landmarks[0], torch.tensor([[100.0, 52], [104, 56], [108, 60], [112, 64], [116, 68]]))


@pytest.mark.parametrize("factor", [1, 2])  # a shrunk frame's faces are told in its own pixels
def test_faces_are_told_in_pixels_of_the_frame(two_squares, factor) -> None:
    detector = RetinaFace(side=64, weights=two_squares)
    found = detector.detect([np.zeros((64 * factor, 32 * factor, 3), np.uint8)])[0]
    assert len(found) == 2  # one above the other
    upper, lower = sorted(found, key=lambda face: face.box[1])
    np.testing.assert_allclose(upper.box, np.array([0, 8, 32, 24]) * factor, atol=1e-3)
    np.testing.assert_allclose(lower.box, np.array([0, 40, 32, 56]) * factor, atol=1e-3)
    points = np.array([[17, 15], [18, 14], [19, 13], [20, 12], [21, 11]])
    np.testing.assert_allclose(upper.landmarks, points * factor, atol=1e-3)
    assert upper.score == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-6)
    assert upper.box.dtype == upper.landmarks.dtype == np.float32


def test_faces_below_the_least_score_are_left_out(two_squares) -> None:
    frame = np.zeros((64, 32, 3), np.uint8)
    assert RetinaFace(least_score=0.96, weights=two_squares).detect([frame]) == [[]]
    assert len(RetinaFace(least_score=0.95, weights=two_squares).detect([frame])[0]) == 2


def test_of_overlapping_boxes_one_stays(blind_weights) -> None:
    frame = np.zeros((8, 16, 3), np.uint8)
    # anchors of 16 pixels at x 4 and 12 share a third, those of 32 pixels three fifths
    whole = RetinaFace(least_score=0.1, overlap=1, weights=blind_weights).detect([frame])[0]
    assert len(whole) == 8
    assert [face.side for face in whole] == [512, 256, 128, 64, 32, 32, 16, 16]
    some = RetinaFace(least_score=0.1, overlap=0.5, weights=blind_weights).detect([frame])[0]
    assert [face.side for face in some] == [512, 256, 128, 64, 32, 16, 16]


def test_frames_are_read_as_blue_green_red_less_the_mean(blind_weights, tmp_path) -> None:
    state = network().state_dict()
    for key, value in state.items():
        if "Head" in key and key.endswith("bias"):
            value.zero_()
    detector = RetinaFace(least_score=0.0, overlap=1, weights=stored(state, tmp_path / "unbiased.pth"))

    def scores(colour):
        return np.array([face.score for face in detector.detect([np.full((32, 32, 3), colour, np.uint8)])[0]])

    # an input of zeros stays zero up to the heads
    assert (scores((123, 117, 104)) == 0.5).all()
    assert np.ptp(scores((104, 117, 123))) > 0


def test_company_in_a_batch_changes_nothing(tmp_path, carphone) -> None:
    path = stored(network().state_dict(), tmp_path / "random.pth")
    frames = list(carphone[:3, :64, :96])
    alone, pairs = (RetinaFace(least_score=0.5, batch=batch, weights=path).detect(frames) for batch in (1, 2))
    assert [len(faces) for faces in alone] == [len(faces) for faces in pairs]
    assert any(alone)
    for one, other in zip(chain(*alone), chain(*pairs), strict=True):
        np.testing.assert_allclose(one.landmarks, other.landmarks, atol=1e-3)
    assert RetinaFace(weights=path).detect([]) == []


def test_another_networks_file_is_refused(blind_weights) -> None:
    with pytest.raises(UserError, match=re.escape("blind.pth")):
        RetinaFace("resnet50", weights=blind_weights)


def test_it_tells_its_file_and_is_not_trained(blind_weights) -> None:
    detector = RetinaFace(weights=blind_weights)
    assert detector.files == ("blind.pth",)
    assert detector.name == "RetinaFace mobilenet0.25"
    assert not list(detector.parameters())
    assert not detector.train().training


@pytest.mark.parametrize("body", ["mobilenet0.25", "resnet50"])
def test_without_its_file_it_says_where_it_looked(body, monkeypatch) -> None:
    monkeypatch.delenv("DVFACE_WEIGHTS", raising=False)
    for name in RETINAFACE_WEIGHTS[body].folder_names:
        with pytest.raises(WeightsMissing, match=re.escape(f"$DVFACE_WEIGHTS/{name}")):
            RetinaFace(body)


@pytest.mark.weights
def test_the_published_weights_find_the_landmarks_that_dlib_finds(carphone) -> None:
    try:
        detector = RetinaFace()
    except WeightsMissing as missing:
        pytest.skip(str(missing))
    doubled = [cv2.resize(frame, (352, 288)) for frame in carphone[:20:5]]
    found = detector.detect(doubled)
    independent = DlibDetector().detect(doubled)
    for faces, others in zip(found, independent, strict=True):
        assert len(faces) == len(others) == 1
        assert faces[0].score > 0.99
        assert np.abs(faces[0].landmarks - others[0].landmarks).max() < 0.1 * faces[0].side
        left_eye, right_eye, nose, left_corner, right_corner = faces[0].landmarks
        assert left_eye[0] < nose[0] < right_eye[0]
        assert left_corner[0] < right_corner[0]
