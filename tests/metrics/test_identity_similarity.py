import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import gaussian_blur

from dvface.metrics.identity import IdentitySimilarity
from dvface.perception.faces import DlibFaces
from dvface.weights import PackagedFile


@pytest.fixture(scope="module")
def faces():
    return DlibFaces()


def portrait_clip(frames):
    """(1, 3, T, 200, 200), a face of 87 pixels."""
    path = PackagedFile("scikit-image", "skimage/data/astronaut.png").locate()
    picture = torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1).float() / 127.5 - 1
    return picture[None, :, None, 20:220, 120:320].repeat(1, 1, frames, 1, 1)


def blurred(clip, sigma):
    frames = clip.transpose(1, 2)[0]
    return gaussian_blur(frames, [31, 31], [sigma, sigma]).transpose(0, 1)[None]


def measure(metric, restored, clean):
    metric.reset()
    metric.update(restored, clean)
    return metric.compute().item()


def test_a_face_is_itself_and_less_so_the_more_it_is_blurred(faces):
    clean, metric = portrait_clip(1), IdentitySimilarity(faces)
    similarities = [measure(metric, restored, clean) for restored in (clean, blurred(clean, 3), blurred(clean, 8))]
    assert similarities[0] == pytest.approx(1, abs=1e-6)
    assert 0.99 > similarities[1] > similarities[2] > 0.5


def test_only_every_strideth_frame_is_looked_at(faces):
    clean = portrait_clip(5)
    restored = clean.clone()
    restored[:, :, 1:4] = blurred(clean[:, :, 1:4], 8)
    assert measure(IdentitySimilarity(faces, stride=4), restored, clean) == pytest.approx(1, abs=1e-6)
    assert measure(IdentitySimilarity(faces, stride=2), restored, clean) < 0.99


def test_frames_without_a_face_are_left_out_of_the_clip(faces):
    clean = portrait_clip(2)
    clean[:, :, 1] = -1.0
    metric = IdentitySimilarity(faces, stride=1)
    assert measure(metric, clean, clean) == pytest.approx(1, abs=1e-6)
    assert metric.skipped == 0


def test_a_clip_without_a_face_is_skipped_and_counted(faces):
    clean = portrait_clip(1)
    metric = IdentitySimilarity(faces)
    metric.update(torch.cat((clean, clean)), torch.cat((clean, torch.full_like(clean, -1.0))))
    assert metric.compute().item() == pytest.approx(1, abs=1e-6)
    assert (metric.clips, metric.skipped) == (1, 1)
