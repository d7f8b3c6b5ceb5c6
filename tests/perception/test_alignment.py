import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvface.perception.alignment import TEMPLATE, inverse, pose, similarity, span, to_template

FFHQ_AT_512 = [[192.98138, 239.94708], [318.90277, 240.1936], [256.63416, 314.01935]]
FFHQ_AT_512 += [[201.26117, 371.41043], [313.08905, 371.15118]]

HEAD = np.array([[-3.151, 2.625, 3.466], [3.151, 2.625, 3.466], [0, -1.127, 7.476], [-2.456, -4.343, 4.284]])
HEAD = np.vstack((HEAD, HEAD[3] * (-1, 1, 1)))
"""Centimetres of MediaPipe's canonical face: x to the right, y up, z to the viewer."""

shifts = st.floats(-2000, 2000)
scales = st.floats(0.01, 100)
angles = st.floats(-np.pi, np.pi)
turns = st.floats(-45, 45)


def matrix_of(scale, angle, x, y):
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cosine, -sine, x], [sine, cosine, y]])


def moved(matrix, points):
    return points @ matrix[:, :2].T + matrix[:, 2]


def test_the_template_is_the_fields_at_512_pixels() -> None:
    np.testing.assert_allclose(TEMPLATE * 512, FFHQ_AT_512)


def test_a_quarter_turn_of_double_size_is_found_exactly() -> None:
    # x to the right becomes down, as clockwise
    found = similarity(np.array([[0.0, 0], [1, 0], [0, 1]]), np.array([[5.0, 7], [5, 9], [3, 7]]))
    np.testing.assert_allclose(found, [[0, -2, 5], [2, 0, 7]], atol=1e-12)


def test_a_mirror_image_is_not_mirrored_back() -> None:
    mirrored = TEMPLATE * (-1, 1)
    found = similarity(mirrored, TEMPLATE)
    assert np.linalg.det(found[:, :2]) > 0
    assert np.abs(moved(found, mirrored) - TEMPLATE).max() > 0.1


@given(scales, angles, shifts, shifts)
def test_any_similarity_of_the_template_is_undone(scale, angle, x, y) -> None:
    landmarks = moved(matrix_of(scale, angle, x, y), TEMPLATE)
    found = to_template(landmarks)
    np.testing.assert_allclose(moved(found, landmarks), TEMPLATE, atol=1e-6)
    assert span(landmarks) == pytest.approx(scale, rel=1e-6)
    there_and_back = inverse(inverse(found))
    np.testing.assert_allclose(there_and_back, found, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(moved(inverse(found), TEMPLATE), landmarks, atol=1e-4)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), angles)
def test_no_other_similarity_comes_nearer_to_noisy_points(seed, angle) -> None:
    draw = np.random.default_rng(seed)
    points = draw.normal(size=(7, 2)) * 30
    targets = moved(matrix_of(1.7, angle, 4, 5), points) + draw.normal(size=(7, 2))
    found = similarity(points, targets)
    # OpenCV refines by Levenberg and Marquardt once its outlier search calls every point good
    independent, _ = cv2.estimateAffinePartial2D(
        points, targets, method=cv2.RANSAC, ransacReprojThreshold=1e6, refineIters=100
    )
    np.testing.assert_allclose(found, independent, rtol=1e-4, atol=1e-3)


def test_many_faces_are_aligned_at_once() -> None:
    draw = np.random.default_rng(0)
    landmarks = TEMPLATE * 300 + draw.normal(size=(2, 3, 5, 2)) * 5
    together, spans = to_template(landmarks), span(landmarks)
    assert together.shape == (2, 3, 2, 3)
    assert spans.shape == (2, 3)
    assert inverse(together).shape == (2, 3, 2, 3)
    np.testing.assert_allclose(together[1, 2], to_template(landmarks[1, 2]))
    assert spans[1, 2] == pytest.approx(float(span(landmarks[1, 2])))
    assert spans[1, 2] == pytest.approx(300, rel=0.1)


@pytest.mark.parametrize(
    "landmarks", [np.full((5, 2), 512.3), np.zeros((5, 2)), np.full((5, 2), np.nan)], ids=["one place", "zero", "nan"]
)
def test_points_that_give_no_scale_are_refused(landmarks) -> None:
    for use in (to_template, span, pose, lambda points: similarity(TEMPLATE, points)):
        with pytest.raises(ValueError, match="coincide"):
            use(landmarks)


def test_one_bad_face_among_good_ones_is_refused() -> None:
    with pytest.raises(ValueError, match="coincide"):
        to_template(np.stack((TEMPLATE, np.full((5, 2), 3.0))))


def view_of(yaw, pitch, roll, distance=60.0, pixels_each=20.0):
    """Landmarks of the head seen by a pinhole camera ``distance`` centimetres away, turned first, rolled last."""
    yaw, pitch, roll = np.radians((yaw, pitch, roll))
    up, _ = cv2.Rodrigues(np.array([-pitch, 0, 0]))  # about the axis to the right, nose up
    turn, _ = cv2.Rodrigues(np.array([0, yaw, 0]))  # about the axis up, nose to the right
    tilt, _ = cv2.Rodrigues(np.array([0, 0, -roll]))  # about the axis to the viewer, clockwise
    seen = (HEAD - HEAD.mean(axis=0)) @ (tilt @ turn @ up).T
    closer = distance / (distance - seen[:, 2:])
    return seen[:, :2] * (1, -1) * closer * pixels_each + (300, 200)


@given(turns, turns, st.floats(-170, 170))
def test_the_pose_of_a_turned_head_is_found(yaw, pitch, roll) -> None:
    found = pose(view_of(yaw, pitch, roll, distance=1e6))
    np.testing.assert_allclose(found, (yaw, pitch, roll), atol=0.1)
    # near a camera the far side looks smaller
    near = pose(view_of(yaw, pitch, roll))
    np.testing.assert_allclose(near[:2], (yaw, pitch), atol=3)


def test_the_signs_of_a_pose_are_those_of_the_picture() -> None:
    straight = TEMPLATE * 512
    right, higher = straight.copy(), straight.copy()
    right[2, 0] += 20  # the nose moves most of all
    higher[2, 1] -= 20
    assert abs(pose(straight).yaw) < 1
    assert abs(pose(straight).pitch) < 4
    assert pose(right).yaw > 10
    assert pose(higher).pitch > 5
    turned = straight @ np.array([[0.0, 1], [-1, 0]])  # the eye at the left is now above
    assert pose(turned).roll == pytest.approx(90, abs=1)
    assert pose(turned).yaw == pytest.approx(pose(straight).yaw, abs=1e-6)
    assert pose(turned).pitch == pytest.approx(pose(straight).pitch, abs=1e-6)
