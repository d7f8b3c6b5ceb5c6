import pytest

from dvface.tracking.compare import better_side, place


@pytest.mark.parametrize(
    ("measure", "better"),
    [
        ("psnr", "higher"),
        ("ssim", "higher"),
        ("ids_dlib", "higher"),
        ("stlpips_alex", "lower"),
        ("ewarp_dis", "lower"),
        ("frame_difference", "lower"),
        ("dists", "lower"),
        ("tlpips_alex", "lower"),
        ("brightness", "neither"),
    ],
)
def test_which_values_are_better(measure, better):
    assert better_side(measure) == better


def test_known_measures_come_first_in_the_order_of_tables():
    names = ["brightness", "ewarp_dis", "stlpips_alex", "ssim", "psnr", "angle"]
    assert sorted(names, key=place) == ["psnr", "ssim", "stlpips_alex", "ewarp_dis", "angle", "brightness"]
