from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from tests.data_prep.prepare.face_clips import MAN, WOMAN, face_clip, still

from dvface.config.build import build
from dvface.data.footage import PORTRAIT, read_picture
from dvface.data_prep.prepare.face_clip import FaceClip
from dvface.data_prep.prepare.filters.footage import Detected, Inside, Size
from dvface.data_prep.prepare.filters.movement import Motion, Repeats, Stillness
from dvface.data_prep.prepare.filters.picture import Brightness, Contrast, Sharpness
from dvface.data_prep.prepare.filters.pose import HeadPose
from dvface.perception.alignment import TEMPLATE

CONF = Path(__file__).parents[3] / "conf" / "filters"


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return read_picture(PORTRAIT)


@pytest.fixture(scope="module")
def man(carphone) -> FaceClip:
    return face_clip(carphone[:17], MAN)


def grey(levels: np.ndarray, frames: int = 3) -> FaceClip:
    """A clip of (S, S) grey levels whose face lies as the template says."""
    return replace(
        face_clip(still(np.zeros((8, 8, 3), np.uint8), frames), TEMPLATE * len(levels), 8),
        frames=still(np.repeat(levels.astype(np.uint8)[..., None], 3, axis=-1), frames),
        landmarks=np.repeat((TEMPLATE * len(levels))[None], frames, axis=0).astype(np.float32),
    )


def measure(judge, clip: FaceClip, name: str) -> float:
    return judge(clip).measures[name]


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=9), st.integers(0, 2000))
def test_size_judges_the_median_span(spans, least):
    clip = replace(grey(np.zeros((8, 8)), len(spans)), spans=np.array(spans, np.float32))
    verdict = Size(least)(clip)
    assert verdict.measures == {"span": float(np.median(spans))}
    assert (verdict.reason is None) == (np.median(spans) >= least)


def test_reasons_name_measure_and_threshold():
    clip = replace(grey(np.zeros((8, 8))), spans=np.full(3, 190.25, np.float32))
    assert Size(256)(clip).reason == "span 190.25 is below least=256"
    assert Brightness(10, 200)(clip).reason == "brightness 0 is below least=10"
    assert Brightness(10, 200)(grey(np.full((8, 8), 250))).reason == "brightness 250 is above most=200"


def test_detected_is_the_share_of_frames_with_a_face():
    clip = replace(grey(np.zeros((8, 8)), 4), scores=np.array([0.9, 0, 0.2, 1.5], np.float32))
    assert Detected(0.75)(clip).measures == {"detected": 0.75}
    assert Detected(0.75)(clip).reason is None
    assert Detected(0.8)(clip).reason == "detected 0.75 is below least=0.8"


def test_inside_is_that_of_the_worst_frame():
    clip = replace(grey(np.zeros((8, 8))), inside=np.array([1, 0.5, 1], np.float32))
    assert Inside(0.6)(clip).reason == "inside 0.5 is below least=0.6"
    assert Inside(0.5)(clip).reason is None


def test_sharpness_of_stripes_is_known_by_hand():
    """Columns of 0 and 100: the Laplacian is ±200 everywhere."""
    stripes = np.tile(np.where(np.arange(465) % 2, 100, 0), (465, 1))
    # 2.2 times the template's distance from eyes to mouth is 0.5668 of the side: 256 whole pixels of 452 … 465
    sides = [side for side in range(440, 466) if round(2.2 * _longest(TEMPLATE * side)) == 256]
    assert measure(Sharpness(0), grey(stripes[: sides[0], : sides[0]]), "sharpness") == pytest.approx(200**2)
    assert measure(Sharpness(0), grey(np.full((465, 465), 77)), "sharpness") == 0


def _longest(points: np.ndarray) -> float:
    return max(np.linalg.norm(points[1] - points[0]), np.linalg.norm(points[3:].mean(0) - points[:2].mean(0)))


def test_sharpness_falls_with_blur_and_with_enlarging(portrait):
    crop = face_clip(still(portrait, 3), WOMAN, 512)

    def changed(change) -> float:
        return measure(
            Sharpness(0), replace(crop, frames=np.stack([change(frame) for frame in crop.frames])), "sharpness"
        )

    blurred = [changed(lambda f, s=s: cv2.GaussianBlur(f, (0, 0), s)) for s in (0.5, 2, 4, 8)]
    assert blurred == sorted(blurred, reverse=True)
    assert blurred[0] > 8 > blurred[-1]
    enlarged = [
        changed(lambda f, q=q: cv2.resize(cv2.resize(f, (q, q), interpolation=cv2.INTER_AREA), (512, 512)))
        for q in (512, 171, 85, 43)
    ]
    assert enlarged == sorted(enlarged, reverse=True)


def test_sharpness_does_not_depend_on_the_size_of_the_crop(portrait):
    small, large = (
        measure(Sharpness(0), face_clip(still(portrait, 1), WOMAN, side), "sharpness") for side in (512, 1024)
    )
    assert small == pytest.approx(large, rel=0.3)


def test_a_blurred_moment_counts(man):
    frames = man.frames.copy()
    frames[4:8] = [cv2.GaussianBlur(frame, (0, 0), 6) for frame in frames[4:8]]
    whole, part = (
        measure(Sharpness(0), man, "sharpness"),
        measure(Sharpness(0), replace(man, frames=frames), "sharpness"),
    )
    assert part < whole / 2


def test_light_is_that_of_the_face_alone():
    levels = np.full((200, 200), 255)
    levels[60:185, 40:100] = 50
    levels[60:185, 100:160] = 150
    assert measure(Brightness(0, 255), grey(levels), "brightness") == pytest.approx(100, abs=3)
    assert measure(Contrast(0), grey(levels), "contrast") == pytest.approx(50, abs=1)
    assert Contrast(60)(grey(levels)).reason is not None


def test_luma_weighs_green_most():
    clip = grey(np.zeros((200, 200)))
    green = np.zeros_like(clip.frames)
    green[..., 1] = 200
    assert measure(Brightness(0, 255), replace(clip, frames=green), "brightness") == pytest.approx(0.587 * 200, abs=1)


def turned(degrees: float) -> np.ndarray:
    angle = np.deg2rad(degrees)
    return (TEMPLATE - 0.5) @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) * 100


def test_roll_is_the_largest_turn_and_one_bad_frame_does_not_count():
    clip = grey(np.zeros((8, 8)), 9)
    marks = np.stack([turned(degrees) for degrees in (0, 0, 0, -20, -20, -20, 0, 80, 0)]).astype(np.float32)
    verdict = HeadPose(90, 90, 15)(replace(clip, detected=marks))
    assert verdict.measures["roll"] == pytest.approx(20, abs=1)
    assert verdict.reason is not None
    assert verdict.reason.endswith("is above most_roll=15")
    assert HeadPose(90, 90, 25)(replace(clip, detected=marks)).reason is None


@pytest.mark.parametrize("side", [-1, 1])
def test_a_nose_near_one_eye_is_a_turned_head(side):
    marks = TEMPLATE * 100
    marks[2, 0] += side * 14
    clip = replace(grey(np.zeros((8, 8))), detected=np.repeat(marks[None], 3, axis=0))
    verdict = HeadPose(25, 90, 90)(clip)
    assert verdict.reason is not None
    assert verdict.reason.startswith("yaw")
    assert verdict.measures["yaw"] > 25 > HeadPose(90, 90, 90)(grey(np.zeros((8, 8)))).measures["yaw"]


@pytest.mark.parametrize("scale", [1, 7])
def test_motion_is_the_longest_step_in_spans(scale):
    ways = np.array([0, 10, 20, 60, 65])[:, None, None] * scale
    marks = (TEMPLATE * 100 * scale + ways * (1, 0)).astype(np.float32)
    clip = replace(grey(np.zeros((8, 8)), 5), detected=marks, spans=np.full(5, 100 * scale, np.float32))
    assert measure(Motion(0.5), clip, "motion") == pytest.approx(0.4)
    assert Motion(0.5)(clip).reason is None
    assert Motion(0.3)(clip).reason == "motion 0.4 is above most=0.3"


def test_one_frame_has_no_motion():
    assert Motion(0)(grey(np.zeros((8, 8)), 1)).reason is None
    assert Repeats(0)(grey(np.zeros((8, 8)), 1)).reason is None


def test_a_photograph_is_still_however_the_camera_glides(portrait):
    noise = np.random.default_rng(0).normal(0, 3, (9, *portrait.shape))
    noisy = np.clip(portrait + noise, 0, 255).astype(np.uint8)
    glides = [cv2.getRotationMatrix2D((225, 120), 0.2 * step, 1 + 0.01 * step) for step in range(9)]
    glided = np.stack([cv2.warpAffine(portrait, glide, (512, 512), flags=cv2.INTER_CUBIC) for glide in glides])
    followed = np.stack([cv2.transform(WOMAN[None], glide)[0] for glide in glides])
    for frames, marks in ((still(portrait, 9), WOMAN), (noisy, WOMAN), (glided, followed)):
        verdict = Stillness(0.2)(face_clip(frames, marks))
        assert verdict.reason is not None, verdict


def test_a_talking_man_moves(man):
    verdict = Stillness(0.2)(man)
    assert verdict.reason is None
    assert verdict.measures["movement"] > 1


def test_a_blank_face_is_still():
    assert Stillness(0.2)(grey(np.full((200, 200), 90))).measures == {"movement": 0.0}


def test_repeats_are_counted_also_where_the_crop_wanders(carphone):
    plain = face_clip(carphone[:17], MAN)
    doubled = carphone[np.arange(18) // 2]
    wandering = MAN + np.linspace(0, 3, 18)[:, None, None] * (1.0, 0.5)
    assert measure(Repeats(1), plain, "repeats") <= 0.2
    assert measure(Repeats(1), face_clip(doubled, MAN), "repeats") == pytest.approx(9 / 17, abs=0.07)
    assert measure(Repeats(1), face_clip(doubled, wandering), "repeats") == pytest.approx(9 / 17, abs=0.13)
    assert Repeats(0.4)(face_clip(doubled, MAN)).reason is not None


def test_a_frozen_picture_is_all_repeats(portrait):
    assert measure(Repeats(1), face_clip(still(portrait, 5), WOMAN), "repeats") == 1


def filters(name: str) -> dict:
    tree = OmegaConf.create({"size": 512, "filters": OmegaConf.load(CONF / f"{name}.yaml")})
    resolved = OmegaConf.to_container(tree, resolve=True)["filters"]
    return {key: build(one) for key, one in resolved.items()}


@pytest.mark.parametrize("name", sorted(path.stem for path in CONF.glob("*.yaml")))
def test_every_set_builds_and_measures_finite_numbers(name, man):
    built = filters(name)
    assert (name == "none") == (not built)
    for judge in built.values():
        once, again = judge(man), judge(man)
        assert once == again
        assert np.isfinite(list(once.measures.values())).all()


def test_default_refuses_the_small_man_for_his_size_alone(carphone):
    verdicts = {name: judge(face_clip(carphone[:17], MAN, 512)).reason for name, judge in filters("default").items()}
    # enlarged five times he is not sharp either
    assert {name for name, reason in verdicts.items() if reason} <= {"size", "sharpness"}
    assert verdicts["size"] is not None


def test_the_strict_set_is_nowhere_laxer():
    default, strict = filters("default"), filters("vfhq")
    assert strict["size"].least == 512
    for name, judge in default.items():
        for option, limit in vars(judge).items():
            tighter = getattr(strict[name], option)
            assert tighter >= limit if option.startswith("least") else tighter <= limit, (name, option)


def test_rate_is_not_looked_at(man):
    slow = replace(man, rate=Fraction(1))
    assert [judge(man) for judge in filters("default").values()] == [
        judge(slow) for judge in filters("default").values()
    ]
