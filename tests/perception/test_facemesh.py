import re

import numpy as np
import pytest
import torch
from PIL import Image
from tests.metrics.face_fixtures import measure, portrait_clip, shifted
from torch.nn import functional

from dvface.errors import UserError
from dvface.metrics.geometry import AverageKeypointDistance
from dvface.perception.alignment import span
from dvface.perception.detection import Face
from dvface.perception.dlib_detector import DlibDetector
from dvface.perception.facemesh import LEFT_EYE, MOUTH, NOSE_TIP, RIGHT_EYE, FaceMesh
from dvface.perception.facemesh_network import FaceMeshNetwork
from dvface.weights import PackagedFile, WeightsMissing
from dvface.weights.catalogue import FACE_MESH_468

PUBLISHED_BYTES = 2_439_235
"""The size of MediaPipePyTorch's ``blazeface_landmark.pth``."""


def has_file():
    try:
        FACE_MESH_468.find()
    except WeightsMissing:
        return False
    return True


needs_file = pytest.mark.skipif(not has_file(), reason="the face mesh file is not at hand")


@pytest.fixture(scope="module")
def portrait():
    path = PackagedFile("scikit-image", "skimage/data/astronaut.png").locate()
    return np.array(Image.open(path))


@pytest.fixture(scope="module")
def detector():
    return DlibDetector()


@pytest.fixture(scope="module")
def constant_mesh(tmp_path_factory):
    """Every face has all points at 48, 96 of the network's 192 but for four at the corners of a box; always present."""
    state = {key: torch.zeros_like(value) for key, value in FaceMeshNetwork().state_dict().items()}
    points = torch.tensor([48.0, 96, 0]).repeat(468, 1)
    points[LEFT_EYE[0]], points[RIGHT_EYE[1]] = torch.tensor([32.0, 80, 0]), torch.tensor([160.0, 80, 0])
    points[0], points[1] = torch.tensor([32.0, 32, 0]), torch.tensor([160.0, 160, 0])
    state["backbone2a.6.bias"] = points.flatten()
    state["backbone2b.4.bias"] += 5.0
    path = tmp_path_factory.mktemp("mesh") / "constant.pth"
    torch.save(state, path)
    return path


def by_hand(state, faces):
    """The network written out once more, from the shapes of the file and TensorFlow's rules of padding."""

    def convolution(features, key, stride=1):
        weight = state[f"{key}.weight"]
        return functional.conv2d(
            features, weight, state[f"{key}.bias"], stride, groups=features.shape[1] // weight.shape[1]
        )

    def block(features, key, stride):
        side = features.shape[-1]
        # TensorFlow's "same": what is missing, the smaller half before
        missing = (int(np.ceil(side / stride)) - 1) * stride + 3 - side
        before = missing // 2
        padded = functional.pad(features, (before, missing - before) * 2)
        mixed = convolution(convolution(padded, f"{key}.convs.0", stride), f"{key}.convs.1")
        bare = functional.max_pool2d(features, 2) if stride == 2 else features
        bare = torch.cat((bare, bare.new_zeros(len(bare), mixed.shape[1] - bare.shape[1], *bare.shape[2:])), dim=1)
        return functional.prelu(mixed + bare, state[f"{key}.act.weight"])

    features = convolution(functional.pad(faces, (0, 1, 0, 1)), "backbone1.0", 2)
    features = functional.prelu(features, state["backbone1.1.weight"])
    for number in range(2, 16):
        features = block(features, f"backbone1.{number}", 2 if number in (4, 7, 10, 13) else 1)
    points = features
    for number in range(3):
        points = block(points, f"backbone2a.{number}", 1 if number else 2)
    points = functional.prelu(convolution(points, "backbone2a.3"), state["backbone2a.4.weight"])
    points = convolution(block(points, "backbone2a.5", 1), "backbone2a.6")
    presence = block(features, "backbone2b.0", 2)
    presence = functional.prelu(convolution(presence, "backbone2b.1"), state["backbone2b.2.weight"])
    presence = convolution(block(presence, "backbone2b.3", 1), "backbone2b.4")
    return points.reshape(-1, 468, 3), presence.flatten()


def test_its_tensors_are_as_many_as_the_published_file_holds() -> None:
    state = FaceMeshNetwork().state_dict()
    assert len(state) == 113
    size = sum(value.numel() * value.element_size() for value in state.values())
    assert 0 < PUBLISHED_BYTES - size < 60_000  # names and headers


def test_it_computes_what_is_written_out_by_hand() -> None:
    torch.manual_seed(0)
    network, faces = FaceMeshNetwork().eval(), torch.rand(2, 3, 192, 192)
    with torch.inference_mode():
        output = network(faces)
        points, presence = by_hand(network.state_dict(), faces)
    torch.testing.assert_close(output.points, points, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(output.presence, presence, atol=1e-6, rtol=1e-5)


def test_points_come_back_into_the_frame_through_both_squares(constant_mesh, portrait, detector) -> None:
    (face,) = detector.detect([portrait])[0]
    mesh = FaceMesh(constant_mesh)
    (points,) = mesh.points([portrait], [face])
    # the first answer's box spans 128 of 192 pixels, so the second square is that box's side × 1.5 around its
    # middle, the first square itself; in it the corners lie at 32 and 160 again
    first = 0.94 * float(span(face.landmarks))
    diagonal = np.linalg.norm(points[1] - points[0])
    assert diagonal == pytest.approx(np.hypot(128, 128) / 192 * first, rel=1e-3)
    along = points[RIGHT_EYE[1]] - points[LEFT_EYE[0]]
    eyes = face.landmarks[1] - face.landmarks[0]
    assert np.arctan2(along[1], along[0]) == pytest.approx(np.arctan2(eyes[1], eyes[0]), abs=1e-4)


def test_a_face_that_the_network_takes_for_none_has_no_points(constant_mesh, portrait, detector, tmp_path) -> None:
    state = torch.load(constant_mesh, weights_only=True)
    state["backbone2b.4.bias"] -= 10.0
    torch.save(state, tmp_path / "blind.pth")
    (face,) = detector.detect([portrait])[0]
    assert FaceMesh(tmp_path / "blind.pth").points([portrait], [face]) == [None]
    assert FaceMesh(constant_mesh).points([], []) == []


def test_without_its_file_it_says_where_it_looked_and_another_file_is_refused(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("DVFACE_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(WeightsMissing, match=re.escape(FACE_MESH_468.folder_names[0])):
        FaceMesh()
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=re.escape("other.pth")):
        FaceMesh(tmp_path / "other.pth")


@pytest.fixture(scope="module")
def mesh():
    return FaceMesh()


@pytest.mark.weights
@needs_file
def test_real_points_lie_on_real_eyes_nose_and_mouth(mesh, portrait, detector) -> None:
    (face,) = detector.detect([portrait])[0]
    (points,) = mesh.points([portrait], [face])
    eyes = [points[list(eye)].mean(axis=0) for eye in (LEFT_EYE, RIGHT_EYE)]
    # read off the picture by eye: the eyes, the nose's tip, the mouth's corners; the face is 90 pixels wide
    seen = np.array([[203, 102], [246, 104], [225, 128], [203, 140], [245, 140]])
    found = np.stack((*eyes, points[NOSE_TIP], points[MOUTH[0]], points[MOUTH[1]]))
    assert np.linalg.norm(found - seen, axis=1).max() < 6


@pytest.mark.weights
@needs_file
def test_the_mesh_hardly_depends_on_where_the_detector_saw_the_landmarks(mesh, portrait, detector) -> None:
    (face,) = detector.detect([portrait])[0]
    moved = face.landmarks.mean(axis=0) + 1.1 * (face.landmarks - face.landmarks.mean(axis=0)) + (2, -2)
    other = Face(face.box, moved.astype(np.float32), face.score)
    one, again = mesh.points([portrait] * 2, [face, other])
    assert np.linalg.norm(one - again, axis=1).mean() < 0.02 * float(span(face.landmarks))


@pytest.mark.weights
@needs_file
def test_a_turned_picture_has_a_turned_mesh(mesh, portrait, detector) -> None:
    square = np.ascontiguousarray(portrait[:300, 70:370])
    (face,) = detector.detect([square])[0]
    turned = np.ascontiguousarray(np.rot90(square, -1))  # a quarter clockwise: x' = 299 - y, y' = x
    points = np.stack((299 - face.landmarks[:, 1], face.landmarks[:, 0]), axis=1)
    (one,) = mesh.points([square], [face])
    (other,) = mesh.points([turned], [Face(face.box, points, face.score)])
    expected = np.stack((299 - one[:, 1], one[:, 0]), axis=1)
    assert np.linalg.norm(other - expected, axis=1).mean() < 0.5


@pytest.mark.weights
@needs_file
def test_a_face_moved_by_known_pixels_has_that_akd(mesh, detector) -> None:
    metric, clean = AverageKeypointDistance(mesh, detector), portrait_clip(2)
    restored = torch.cat((shifted(portrait_clip(), 8, 6), portrait_clip()), dim=2)
    assert measure(metric, clean, clean) == 0
    assert measure(metric, restored, clean) == pytest.approx(np.hypot(8, 6) / 200 / 2, rel=0.05)
    assert measure(metric, restored.flip(2), clean) == pytest.approx(measure(metric, restored, clean), rel=1e-4)
    assert metric.file_name == "blazeface_landmark.pth"
