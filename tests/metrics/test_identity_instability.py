import re

import cv2
import numpy as np
import pytest
import torch
from tests.metrics.face_fixtures import KnownFaces, KnownIdentities, face_at, measure, painted, portrait_clip, shifted
from torch.nn import functional

from dvface.metrics.segment import blocks_of, segments
from dvface.metrics.stability import FrameIdentityInstability, IdentityInstability
from dvface.perception.arcface import IRSE50, ArcFace
from dvface.perception.dlib_detector import DlibDetector
from dvface.perception.embedding import ArcFaceEmbedding, DlibEmbedding
from dvface.perception.face_crops import aligned_face
from dvface.perception.pixels import to_bytes
from dvface.weights import WeightsMissing


@pytest.fixture(scope="module")
def arcface(tmp_path_factory):
    """The published layout with random numbers."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("arcface") / "random.pth"
    torch.save(IRSE50().state_dict(), path)
    return ArcFace(path)


def known(by_red, faces):
    return IdentityInstability(KnownIdentities(by_red), KnownFaces(faces))


FACE = face_at(4, 4, 30)


def test_the_distance_of_consecutive_identities_is_averaged_over_pairs():
    metric = known({10: (0, 0), 20: (3, 4), 30: (3, 4.5)}, {red: [FACE] for red in (10, 20, 30)})
    assert measure(metric, painted([10, 20, 30])) == pytest.approx((5 + 0.5) / 2)
    assert not metric.needs_clean


def test_a_still_clip_has_none_and_reversal_changes_nothing():
    metric = known({10: (0, 0), 20: (3, 4), 30: (1, 1)}, {red: [FACE] for red in (10, 20, 30)})
    assert measure(metric, painted([10, 10, 10])) == 0
    assert measure(metric, painted([10, 20, 20, 30])) == pytest.approx(measure(metric, painted([30, 20, 20, 10])))


def test_pairs_reach_over_segments_and_each_face_is_embedded_once():
    metric = known({10: (0, 0), 20: (1, 0)}, {10: [FACE], 20: [FACE]})
    reds = [10] * 16 + [20] * 16 + [10]
    assert measure(metric, painted(reds)) == pytest.approx(2 / 32)
    assert (metric.detector.looked, metric.embedding.looked) == (33, 33)


def test_pairs_without_a_face_are_left_out_and_told():
    metric = known({10: (0, 0), 20: (1, 0)}, {10: [FACE], 20: [FACE]})
    clip = painted([10, 20, 0, 20, 20])
    assert measure(metric, clip) == pytest.approx(0.5)
    (evidence,) = [metric.look(segment) for segment in segments(blocks_of(clip[0], None))]
    assert metric.remark(evidence) == "2 of 4 pairs of frames have no answer"
    assert metric.remark(evidence[:2]) == ""


def test_the_same_person_is_followed_when_another_face_grows():
    left, right = face_at(2, 4, 16), face_at(22, 4, 16)
    bigger = face_at(20, 4, 18)
    faces = {10: [left, right], 20: [bigger, left]}
    clip = painted([10, 20])
    clip[:, 0, :, :, 20:] = 200 / 127.5 - 1  # the person at the right; the first pixel still names the frame
    metric = known({10: (0, 0), 20: (0, 0), 200: (9, 9)}, faces)
    assert measure(metric, clip) == 0


def test_one_frame_and_no_face_have_no_answer():
    metric = known({10: (0, 0)}, {10: [FACE]})
    metric.update(painted([10]))
    metric.update(painted([0, 0, 0]))
    assert metric.compute().isnan()
    assert metric.skipped == 2


def test_a_jump_of_the_face_without_overlap_is_no_pair():
    metric = known({10: (0, 0), 20: (1, 0)}, {10: [face_at(0, 0, 15)], 20: [face_at(22, 22, 15)]})
    metric.update(painted([10, 20]))
    assert metric.compute().isnan()


def test_a_real_still_face_is_steady_and_a_flickering_one_is_not():
    metric = IdentityInstability(DlibEmbedding(), DlibDetector())
    still = portrait_clip(2)
    flickering = still.clone()
    flickering[:, :, 1] = functional.avg_pool2d(still[0, :, 1], 5, stride=1, padding=2, count_include_pad=False)
    assert measure(metric, still) == pytest.approx(0, abs=1e-9)
    assert 0.05 < measure(metric, flickering) < 0.8
    assert metric.file_name == "dlib_face_recognition_resnet_model_v1.dat"


def test_the_papers_variant_is_written_out_by_hand(arcface):
    clip = torch.cat((portrait_clip(), shifted(portrait_clip(), 9, 0), shifted(portrait_clip(), 9, 7)), dim=2)
    bytes_ = ((clip[0].permute(1, 2, 3, 0) + 1) * 127.5).round().numpy().astype(np.uint8)
    small = np.stack([cv2.resize(frame, (112, 112)) for frame in bytes_]).astype(np.float32)
    with torch.inference_mode():
        raw = arcface.network((torch.from_numpy(small).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5)
    unit = raw / raw.norm(dim=1, keepdim=True)
    expected = (unit[1:] - unit[:-1]).pow(2).sum(dim=1).sqrt().mean().item()
    assert expected > 1e-3
    assert measure(FrameIdentityInstability(arcface), clip) == pytest.approx(expected, rel=1e-4)


def test_the_papers_variant_needs_no_face_and_follows_its_laws(arcface):
    metric = FrameIdentityInstability(arcface)
    noise = torch.rand(1, 3, 3, 24, 32) * 2 - 1
    forth, back = measure(metric, noise), measure(metric, noise.flip(2))
    assert forth == pytest.approx(back, rel=1e-4)
    assert 0 < forth < 2
    assert measure(metric, noise[:, :, :1].repeat(1, 1, 3, 1, 1)) == pytest.approx(0, abs=1e-6)
    assert metric.file_name == "random.pth"


def test_arcface_reads_the_aligned_square(arcface, monkeypatch):
    (frame,) = to_bytes(portrait_clip()[0].transpose(0, 1))
    (face,) = DlibDetector().detect([frame])[0]
    embedding = ArcFaceEmbedding(arcface)
    places = [embedding.place(frame, face)]
    square = torch.from_numpy(aligned_face(frame, face.landmarks)).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.inference_mode():
        torch.testing.assert_close(embedding.embed([frame], places), arcface.embed(square))
    assert embedding.embed([], []).shape == (0, 512)
    monkeypatch.setattr("dvface.perception.embedding._BATCH", 1)
    one, two = embedding.embed([frame, frame[:, ::-1].copy()], places * 2)
    torch.testing.assert_close(one, embedding.embed([frame], places)[0])
    assert (one - two).abs().max() > 1e-4


def test_arcface_moves_with_the_measure(arcface):
    metric = IdentityInstability(ArcFaceEmbedding(arcface), KnownFaces({}))
    assert arcface in list(metric.modules())


def test_without_its_file_the_papers_variant_cannot_be_had(monkeypatch, tmp_path):
    monkeypatch.delenv("DVFACE_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(WeightsMissing, match=re.escape("recognition_arcface_ir_se50.pth")):
        ArcFace()
