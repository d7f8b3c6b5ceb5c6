import cv2
import pytest
import torch
from hydra import compose, initialize_config_dir
from tests.metrics.face_fixtures import KnownFaces, KnownIdentities, face_at, measure, painted, portrait_clip
from torchvision.transforms.functional import gaussian_blur

from dvface.config.compose import folder, resolve
from dvface.evaluation.measure import metric_factories
from dvface.metrics.identity import IdentitySimilarity
from dvface.metrics.segment import blocks_of, segments
from dvface.metrics.suite import MetricSuite
from dvface.perception.alignment import similarity
from dvface.perception.dlib_detector import DlibDetector
from dvface.perception.embedding import DlibEmbedding
from dvface.perception.pixels import to_bytes


@pytest.fixture(scope="module")
def ids_dlib():
    return IdentitySimilarity(DlibEmbedding(), DlibDetector(), "ids_dlib")


def known(by_red, faces):
    return IdentitySimilarity(KnownIdentities(by_red), KnownFaces(faces), "ids_known")


def bytes_of(clip):
    return to_bytes(clip[0].transpose(0, 1))[0]


def segment_of(restored, clean):
    (only,) = segments(blocks_of(restored[0], clean[0]))
    return only


def blurred(clip, sigma):
    frames = clip.transpose(1, 2)[0]
    return gaussian_blur(frames, [31, 31], [sigma, sigma]).transpose(0, 1)[None]


def test_the_cosine_is_taken_frame_by_frame_and_averaged():
    by_red = {10: (3, 0), 20: (0, 5), 30: (4, 4)}
    face = face_at(4, 4, 30)
    metric = known(by_red, {10: [face]})
    # cosines 1, 0 and 1/√2, whatever the lengths
    expected = (1 + 0 + 0.5**0.5) / 3
    assert measure(metric, painted([10, 20, 30]), painted([10, 10, 10])) == pytest.approx(expected, rel=1e-6)


def test_the_largest_clean_face_alone_says_where_to_look():
    large, small = face_at(20, 4, 15), face_at(2, 4, 8)
    metric = known({10: (1, 0), 90: (0, 1)}, {10: [large, small], 90: [small]})
    clean = painted([10])
    restored = clean.clone()
    restored[..., :10] = 90 / 127.5 - 1  # another person where the small face is, and the detector sees that alone
    assert measure(metric, restored, clean) == pytest.approx(1)
    assert measure(metric, clean, restored) == pytest.approx(0)


def test_every_frame_is_looked_at_across_segments():
    reds = [10] * 20
    metric = known({10: (1, 0), 20: (0, 1)}, {10: [face_at(4, 4, 30)]})
    restored = painted([*reds[:17], 20, *reds[18:]])
    assert measure(metric, restored, painted(reds)) == pytest.approx(19 / 20)
    assert metric.detector.looked == 20
    assert metric.embedding.looked == 40


def test_frames_without_a_face_are_left_out_and_told():
    metric = known({10: (1, 0)}, {10: [face_at(4, 4, 30)]})
    suite = MetricSuite({"ids_known": lambda: metric})
    clean = painted([10, 0, 10])
    evidence = suite.metrics["ids_known"].look(segment_of(clean, clean))
    assert evidence.isnan().tolist() == [False, True, False]
    assert metric.remark(evidence) == "1 of 3 frames have no answer"


def test_a_face_is_itself_and_less_so_the_more_it_is_blurred(ids_dlib):
    clean = portrait_clip()
    restored = torch.cat((clean, blurred(clean, 3), blurred(clean, 8)), dim=2)
    similar = ids_dlib.look(segment_of(restored, clean.repeat(1, 1, 3, 1, 1))).tolist()
    assert similar[0] == pytest.approx(1, abs=1e-6)
    assert 0.99 > similar[1] > similar[2] > 0.5


def test_another_person_is_less_similar_than_a_blurred_one(ids_dlib, carphone):
    clean = portrait_clip()
    detector = ids_dlib.detector
    (stranger,), (person,) = (detector.detect([frame])[0] for frame in (carphone[0], bytes_of(clean)))
    # the stranger's face is laid where the portrait's is
    matrix = similarity(stranger.landmarks, person.landmarks)
    laid = cv2.warpAffine(carphone[0], matrix, (200, 200), borderMode=cv2.BORDER_REPLICATE)
    other = (torch.from_numpy(laid).permute(2, 0, 1).float() / 127.5 - 1)[None, :, None]
    assert measure(ids_dlib, blurred(clean, 3), clean) > measure(ids_dlib, other, clean) + 0.05


def test_time_reversal_changes_nothing(ids_dlib):
    clean = portrait_clip(3)
    restored = torch.cat([blurred(clean[:, :, :1], sigma) for sigma in (1, 3, 6)], dim=2)
    assert measure(ids_dlib, restored.flip(2), clean.flip(2)) == pytest.approx(
        measure(ids_dlib, restored, clean), rel=1e-6
    )


def test_a_clip_without_a_face_is_skipped_and_counted(ids_dlib):
    clean = portrait_clip()
    ids_dlib.reset()
    ids_dlib.update(torch.cat((clean, clean)), torch.cat((clean, torch.full_like(clean, -1.0))))
    assert ids_dlib.compute().item() == pytest.approx(1, abs=1e-6)
    assert (ids_dlib.clips, ids_dlib.skipped) == (1, 1)


def test_a_broken_frame_is_not_passed_over(ids_dlib):
    clean = portrait_clip(2)
    restored = clean.clone()
    restored[0, 0, 1, 0, 0] = torch.nan
    ids_dlib.reset()
    ids_dlib.update(restored, clean)
    assert not ids_dlib.compute().isfinite()


def configured(*overrides):
    with initialize_config_dir(str(folder()), version_base="1.3"):
        return resolve(compose(overrides=list(overrides)))["metrics"]


def test_measures_share_detector_and_identity_network_and_say_which(monkeypatch):
    monkeypatch.delenv("DVFACE_WEIGHTS", raising=False)
    suite = MetricSuite(metric_factories(configured("+metrics=[ids_dlib,vidd,lmd]")))
    ids, vidd, lmd = (suite.metrics[name] for name in ("ids_dlib", "vidd", "lmd"))
    assert ids.detector is vidd.detector is lmd.detector
    assert ids.embedding is vidd.embedding
    assert "dlib HOG, 68 landmarks" in ids.definition
    assert ids.file_name == "dlib_face_recognition_resnet_model_v1.dat"


def test_another_detector_is_chosen_by_its_name(monkeypatch):
    monkeypatch.delenv("DVFACE_WEIGHTS", raising=False)
    tree = configured("+metrics=[ids_arcface]", "detector@metrics.ids_arcface.detector=best")
    assert next(iter(tree["ids_arcface"]["detector"]["detectors"])) == "retinaface_resnet50"
    assert "ArcFace" in MetricSuite(metric_factories(tree)).left_out["ids_arcface"]
