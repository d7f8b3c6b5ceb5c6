import numpy as np
import pytest
from PIL import Image

from dvface.perception.faces import DlibFaces
from dvface.weights import PackagedFile


@pytest.fixture(scope="module")
def faces():
    return DlibFaces()


def portrait(size=512):
    """The astronaut at ``size`` pixels a side; her nose is near x 0.44, y 0.25 of it."""
    path = PackagedFile("scikit-image", "skimage/data/astronaut.png").locate()
    return np.array(Image.open(path).resize((size, size), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("size", [512, 256])  # at 256 the face has 44 pixels: only an enlarged frame shows it
def test_the_face_is_found_in_the_frames_own_pixels(faces, size):
    box = faces.detect(portrait(size))[0]
    assert box.left < 0.44 * size < box.right
    assert box.top < 0.25 * size < box.bottom
    assert (box.right - box.left) / size == pytest.approx(0.17, abs=0.04)


def test_a_frame_without_a_face_gives_no_box(faces):
    assert faces.detect(np.zeros((120, 120, 3), np.uint8)) == []


@pytest.mark.parametrize("largest_on_the_left", [True, False])
def test_the_largest_face_comes_first(faces, largest_on_the_left):
    small = portrait()[:280, 80:360]
    large = np.array(Image.fromarray(small).resize((448, 448), Image.Resampling.BICUBIC))
    small = np.pad(small, ((0, 168), (0, 0), (0, 0)))
    order = (large, small) if largest_on_the_left else (small, large)
    boxes = faces.detect(np.concatenate(order, axis=1))
    assert len(boxes) == 2
    assert boxes[0].area > 1.5 * boxes[1].area
    assert (boxes[0].left < boxes[1].left) == largest_on_the_left


def test_identity_survives_a_change_of_size_and_light(faces):
    frame, changed = portrait(), (portrait(400) * 0.7).astype(np.uint8)
    identity = faces.embed(frame, faces.detect(frame)[0])
    again = faces.embed(changed, faces.detect(changed)[0])
    assert identity.shape == (128,)
    # dlib's own rule: one person below 0.6
    assert 0 < np.linalg.norm(identity - again) < 0.4
