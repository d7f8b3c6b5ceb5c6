from functools import partial

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from PIL import Image

from dvface.config.build import build
from dvface.config.compose import folder, groups, resolve
from dvface.config.schema import check_arguments
from dvface.perception.detection import FirstAvailable
from dvface.perception.dlib_detector import DlibDetector, five_of
from dvface.perception.faces import DlibFaces, box_of
from dvface.perception.retinaface import RetinaFace
from dvface.weights import PackagedFile, WeightsMissing


@pytest.fixture(scope="module")
def detector():
    return DlibDetector()


@pytest.fixture(scope="module")
def portrait():
    path = PackagedFile("scikit-image", "skimage/data/astronaut.png").locate()
    return np.array(Image.open(path))


def resized(frame, factor):
    height, width = frame.shape[:2]
    size = (round(width * factor), round(height * factor))
    return np.array(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC))


def configured(name):
    with initialize_config_dir(str(folder()), version_base="1.3"):
        tree = resolve(compose(overrides=[f"+detector={name}"]))["detector"]
    check_arguments(tree)
    return tree


def test_the_portraits_eyes_nose_and_mouth_are_where_they_are_seen(detector, portrait) -> None:
    (face,) = detector.detect([portrait])[0]
    # read off the picture by eye
    seen = [[203, 102], [246, 104], [225, 128], [203, 140], [245, 140]]
    np.testing.assert_allclose(face.landmarks, seen, atol=4)
    left, top, right, bottom = face.box
    assert (face.landmarks > (left, top)).all()
    assert (face.landmarks < (right, bottom)).all()
    assert face.score > 1
    assert face.box.dtype == face.landmarks.dtype == np.float32


@pytest.mark.parametrize("factor", [0.5, 3])  # one is doubled, the other shrunk to find the face
def test_landmarks_are_told_in_the_frames_own_pixels(detector, portrait, factor) -> None:
    cropped = portrait[:300, 60:380]
    expected = detector.detect([cropped])[0][0]
    (face,) = detector.detect([resized(cropped, factor)])[0]
    assert np.abs(face.landmarks / factor - expected.landmarks).max() < 3
    assert np.abs(face.box / factor - expected.box).max() < 12  # the pyramid's steps are coarse


def test_landmarks_are_read_at_full_resolution(detector, portrait) -> None:
    frame = resized(portrait[:300, 60:360], 2)
    coarse, fine = (each.detect([frame])[0][0] for each in (DlibDetector(side=240), detector))
    # read where the face was found, at two fifths of the size, they would be 2 pixels off
    assert np.abs(coarse.landmarks - fine.landmarks).max() < 1


def test_a_face_of_40_pixels_in_a_small_frame_is_found(detector, carphone) -> None:
    found = detector.detect(list(carphone[:60:6]))
    assert all(len(faces) == 1 for faces in found)


def test_the_largest_face_comes_first_and_every_frame_has_its_own(detector, portrait) -> None:
    small = portrait[:280, 80:360]
    large = np.array(Image.fromarray(small).resize((448, 448), Image.Resampling.BICUBIC))
    frame = np.concatenate((np.pad(small, ((0, 168), (0, 0), (0, 0))), large), axis=1)
    both, none = detector.detect([frame, np.zeros_like(frame)])
    assert len(both) == 2
    assert both[0].side > 1.4 * both[1].side
    assert none == []


def test_the_least_score_leaves_doubtful_faces_out(detector, portrait) -> None:
    score = detector.detect([portrait])[0][0].score
    assert DlibDetector(least_score=score + 0.01).detect([portrait]) == [[]]


def test_five_points_are_taken_from_the_outline() -> None:
    outline = np.stack((np.arange(68), 100 - np.arange(68)), axis=1)
    assert five_of(outline).tolist() == [[38.5, 61.5], [44.5, 55.5], [30, 70], [48, 52], [54, 46]]


def test_the_first_detector_whose_weights_are_at_hand_is_taken(monkeypatch, detector, portrait) -> None:
    monkeypatch.delenv("DVFACE_WEIGHTS", raising=False)
    first = FirstAvailable({"retinaface": partial(RetinaFace), "dlib": partial(DlibDetector)})
    assert first.name == detector.name
    assert first.files == ("shape_predictor_68_face_landmarks.dat",)
    assert len(first.detect([portrait])[0]) == 1


def test_without_any_weights_every_missing_file_is_named(monkeypatch) -> None:
    monkeypatch.delenv("DVFACE_WEIGHTS", raising=False)
    with pytest.raises(WeightsMissing, match=r"mobilenet0\.25_Final.*Resnet50_Final"):
        FirstAvailable({"small": partial(RetinaFace), "large": partial(RetinaFace, "resnet50")})


def test_every_detector_of_the_configuration_can_be_built(monkeypatch) -> None:
    monkeypatch.delenv("DVFACE_WEIGHTS", raising=False)
    assert groups()["detector"] == ["best", "dlib", "retinaface_mobilenet", "retinaface_resnet50"]
    assert build(configured("dlib")).files == ("shape_predictor_68_face_landmarks.dat",)
    for name in ("retinaface_mobilenet", "retinaface_resnet50"):
        with pytest.raises(WeightsMissing):
            build(configured(name))


def test_the_best_detector_prefers_retinaface_and_falls_to_dlib(monkeypatch) -> None:
    monkeypatch.delenv("DVFACE_WEIGHTS", raising=False)
    tree = configured("best")
    assert list(tree["detectors"]) == ["retinaface_resnet50", "retinaface_mobilenet", "dlib"]
    assert tree["detectors"]["retinaface_mobilenet"] == {**configured("retinaface_mobilenet"), "_partial_": True}
    assert build(tree).files == ("shape_predictor_68_face_landmarks.dat",)


def test_a_box_of_landmarks_lies_where_dlib_sees_the_face(detector, portrait) -> None:
    (face,) = detector.detect([portrait])[0]
    assert np.abs(np.array(box_of(face.landmarks)) - face.box).max() < 0.15 * face.side


def test_landmarks_alone_tell_whose_face_it_is(detector, portrait, carphone) -> None:
    faces = DlibFaces()

    def identity(frame):
        frame = np.ascontiguousarray(frame)
        return faces.embed(frame, box_of(detector.detect([frame])[0][0].landmarks))

    one, other = identity(portrait), identity(resized(carphone[0], 2))
    assert np.linalg.norm(one - identity(portrait[9:, 6:])) < 0.4
    assert np.linalg.norm(one - identity(resized(portrait, 0.9))) < 0.4
    assert np.linalg.norm(one - other) > 0.6
