import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image

from dvface.report.curves import plot_curves
from dvface.report.panels import contact_sheet, labelled_video, side_by_side, write_png


def random_frame(height=32, width=64, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def strip_of(image, panel_height):
    return image[: image.shape[0] - panel_height]


def test_panels_stand_unchanged_below_their_labels():
    left, right = random_frame(seed=1), random_frame(seed=2)
    image = side_by_side({"degraded": left, "restored": right}, scale=2)
    strip = strip_of(image, 64)
    assert image.dtype == np.uint8
    assert image.shape[1] == 2 * 64 * 2
    np.testing.assert_array_equal(image[-64::2, :128:2], left)
    np.testing.assert_array_equal(image[-63::2, 129::2], right)
    assert strip[:, :128].max() > 200
    assert strip[:, 128:].max() > 200


@pytest.mark.parametrize("width", [48, 64, 256])
def test_a_label_fits_its_panel(width):
    frame = random_frame(width=width)
    strip = strip_of(side_by_side({"restored": frame, "": frame}, 1), 32)
    columns = np.flatnonzero(strip.max(axis=(0, 2)))
    # The text is centred and reaches neither edge, so none of its letters were cut.
    assert columns.min() > 0
    assert columns.max() < width - 1
    assert abs((columns.min() + columns.max()) / 2 - width / 2) <= 2


def test_a_label_too_long_for_a_tiny_panel_never_reaches_its_neighbour():
    frame = random_frame(width=16)
    strip = strip_of(side_by_side({"restored by the long-named method": frame, "": frame}, 1), 32)
    assert strip[:, :16].max() > 100
    assert strip[:, 16:].max() == 0


@pytest.mark.parametrize(
    "frames",
    [
        {},
        {"a": random_frame(), "b": random_frame(height=16)},
        {"a": random_frame().astype(np.float32)},
        {"a": random_frame()[..., 0]},
    ],
)
def test_unlike_panels_are_refused(frames):
    with pytest.raises(ValueError, match="panels must be"):
        side_by_side(frames, 1)


def test_contact_sheet_fills_short_rows():
    frame = random_frame()
    long, short = {"a": frame, "b": frame}, {"c": frame}
    sheet = contact_sheet([long, short], 1)
    upper = side_by_side(long, 1)
    np.testing.assert_array_equal(sheet[: len(upper)], upper)
    np.testing.assert_array_equal(sheet[len(upper) :, :64], side_by_side(short, 1))
    assert sheet[len(upper) :, 64:].max() == 0


@pytest.mark.parametrize(("height", "width"), [(31, 33), (32, 33), (30, 64)])
def test_labelled_video_has_even_frames_with_each_time_s_picture(height, width):
    videos = {
        name: np.stack([random_frame(height, width, seed + time) for time in range(3)])
        for name, seed in [("degraded", 0), ("restored", 10), ("clean", 20)]
    }
    frames = list(labelled_video(videos))
    top = len(strip_of(side_by_side({name: video[0] for name, video in videos.items()}, 1), height))
    assert len(frames) == 3
    for time, frame in enumerate(frames):
        assert frame.shape[0] % 2 == frame.shape[1] % 2 == 0
        np.testing.assert_array_equal(
            frame[top : top + height, : 3 * width],
            np.concatenate([video[time] for video in videos.values()], axis=1),
        )


def test_labelled_video_refuses_videos_of_different_length():
    video = np.zeros((4, 32, 32, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="one size"):
        list(labelled_video({"a": video, "b": video[:3]}))


def test_png_comes_back_as_written(tmp_path):
    frame = random_frame()
    write_png(tmp_path / "new" / "panel.png", frame)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "new" / "panel.png")), frame)


def test_curves_are_drawn_without_pyplot_s_global_state(tmp_path):
    path = tmp_path / "loss.png"
    plot_curves(path, {"train": [(0, 1.0), (10, 0.5)], "held out": [(5, 0.8)]}, "loss")
    # Matplotlib's first two line colours.
    pixels = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)
    for colour in ([31, 119, 180], [255, 127, 14]):
        assert (pixels == colour).all(axis=1).sum() > 20
    assert pyplot.get_fignums() == []


def test_a_curve_of_one_point_can_be_seen(tmp_path):
    plot_curves(tmp_path / "one.png", {"held out": [(5, 0.8)]}, "loss")
    image = np.asarray(Image.open(tmp_path / "one.png").convert("RGB"))
    height, width = image.shape[:2]
    middle = image[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3]
    assert (middle == [31, 119, 180]).all(axis=2).any()
