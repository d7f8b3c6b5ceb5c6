import numpy as np
import pytest
from tests.inference.face_videos import faces_of, marks_at, track_of

from dvface.inference.faces.found import Faces
from dvface.inference.faces.mode import choose_mode


def crop(x: float, y: float, side: float, degrees: float = 0.0, count: int = 50):
    return track_of([marks_at(x, y, side, degrees)] * count)


# where faces lay in real clips: FFHQ-like crops, VFHQ's test clip (two extremes), a phone's square portraits
@pytest.mark.parametrize(
    ("place", "size"),
    [
        ((256, 256, 512), (512, 512)),
        ((168, 230, 420, 7), (512, 512)),
        ((300, 190, 395), (512, 512)),
        ((240, 240, 470, 8), (480, 480)),
        ((128, 128, 256), (256, 256)),
    ],
)
def test_the_crop_of_one_face_is_restored_as_a_whole(place: tuple, size: tuple[int, int]) -> None:
    mode, sentence = choose_mode(faces_of(crop(*place)), *size)
    assert mode == "aligned"
    assert "100%" in sentence


@pytest.mark.parametrize(
    ("tracks", "size", "word"),
    [
        ([crop(320, 240, 470)], (640, 480), "640×480"),  # as large as it may be, but the picture is no square
        ([crop(256, 200, 250)], (512, 512), "0%"),  # a talking head
        ([crop(400, 256, 512)], (512, 512), "0%"),  # beside the middle
        ([crop(256, 256, 512, 45)], (512, 512), "0%"),  # lying
        ([crop(256, 256, 400), crop(60, 60, 220)], (512, 512), "2 face tracks"),
        ([crop(540, 540, 1080)], (1080, 1080), "768"),
        ([crop(64, 64, 128)], (128, 128), "192"),
    ],
)
def test_other_pictures_with_faces_have_their_faces_restored(tracks: list, size: tuple[int, int], word: str) -> None:
    mode, sentence = choose_mode(faces_of(*tracks), *size)
    assert mode == "faces"
    assert word in sentence


def test_practically_every_frame_must_show_the_crop() -> None:
    for count, expected in ((98, "aligned"), (80, "faces")):
        faces = faces_of(crop(256, 256, 512, count=count), frames=100)
        assert choose_mode(faces, 512, 512)[0] == expected


def test_a_crop_that_is_cut_from_scene_to_scene_stays_a_crop_and_a_small_face_behind_changes_nothing() -> None:
    one, other = [marks_at(256, 256, 480)] * 20, [marks_at(250, 262, 500)] * 20
    behind = track_of([marks_at(440, 60, 100)] * 40)
    faces = faces_of(track_of(one), track_of(other, 20), behind, cuts=(20,))
    assert choose_mode(faces, 512, 512)[0] == "aligned"


def test_without_faces_the_video_passes_through() -> None:
    mode, sentence = choose_mode(Faces("known", 1, (), (), 0, 0), 640, 480)
    assert (mode, sentence) == ("none", "No face was found in 1 frame: the video is passed through.")
    assert np.all([choose_mode(faces_of(crop(9, 9, 90)), *size)[0] != "none" for size in ((64, 64), (640, 480))])
