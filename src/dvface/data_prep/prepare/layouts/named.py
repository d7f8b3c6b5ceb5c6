"""Layouts whose names say what a clip was cut from."""

from pathlib import PurePosixPath
from typing import ClassVar

from dvface.data_prep.prepare.layouts.base import YOUTUBE, Walked, last, matched
from dvface.data_prep.prepare.source import Origin


class VFHQ(Walked):
    """VFHQ: ``Clip+VIDEO+P0+C1+F205-350``, a folder of frames, a video, or a folder above it.

    Xie et al. 2022, arXiv 2205.03409; the pattern is that of the folders which DicFace's README lists of the test set
    (github.com/fudan-generative-vision/DicFace). That P counts people, C clips and F frames of the YouTube video is
    how the field reads it, and P is taken to be one person throughout a video.
    """

    expected: ClassVar[str] = "a name such as Clip+G0DGRma_p48+P0+C0+F11208-11383"

    def origin(self, stem: str) -> Origin | None:
        """See `Walked.origin`."""
        for part in reversed(PurePosixPath(stem).parts):
            # Of an archive the suffix is still there.
            if found := matched(rf"Clip\+({YOUTUBE})\+(P\d+)\+C\d+\+F\d+-\d+(?:\.zip|\.tar|\.tar\.gz|\.tgz)?", part):
                return Origin(found[1], f"{found[1]}+{found[2]}")
        return None


class HDTF(Walked):
    """HDTF: ``WDA_BarackObama_000.mp4``, clip 0 of the video BarackObama of the subset WDA.

    Zhang et al. 2021; names as ``download.py`` of github.com/MRzzm/HDTF writes them: subset, video, number of the
    clip. A recording is subset and video. In WDA and WRA several videos of one politician are told apart by a last
    digit (AmyKlobuchar0 and AmyKlobuchar1), so the person is the name without it: read from the lists, nowhere stated.
    RD has numbers only, Radio1 to Radio59, and each counts as a person; that two of them show one is not excluded.
    """

    expected: ClassVar[str] = "a name such as WDA_BarackObama_000 or RD_Radio10_000"

    def origin(self, stem: str) -> Origin | None:
        """See `Walked.origin`."""
        found = matched(r"(RD|WDA|WRA)_(.+)_\d+", last(stem))
        if found is None:
            return None
        subset, video = found.groups()
        return Origin(f"{subset}_{video}", video if subset == "RD" else video.rstrip("0123456789") or video)


class VoxCeleb2(Walked):
    """VoxCeleb2: ``dev/mp4/id00012/21Uxsk56VDQ/00001.mp4``; people of ``test`` are in no ``dev``.

    Chung et al. 2018, arXiv 1806.05622: split, person, YouTube video, utterance, as its file lists have them. The
    folders ``dev`` and ``test`` must be there, since only they tell the split. ``dev`` has no validation people
    apart, so its clips are left to the split of this package.
    """

    expected: ClassVar[str] = "a path such as dev/mp4/id00012/21Uxsk56VDQ/00001.mp4"

    def origin(self, stem: str) -> Origin | None:
        """See `Walked.origin`."""
        found = matched(rf"(?:.*/)?(dev|test)/mp4/(id\d+)/({YOUTUBE})/\d+", stem)
        return Origin(found[3], found[2], "test" if found[1] == "test" else None) if found else None


class CelebVHQ(Walked):
    """CelebV-HQ: ``M2Ohb0FAaJU_1.mp4``, a clip of the YouTube video ``M2Ohb0FAaJU``.

    Zhu et al. 2022, arXiv 2207.12393; names as ``download_and_process.py`` of github.com/CelebV-HQ/CelebV-HQ writes
    them into its folder of processed clips. Its whole videos have no number and are refused: their clips would be
    taken twice. The person is not in the name.
    """

    expected: ClassVar[str] = "a name such as M2Ohb0FAaJU_1"

    def origin(self, stem: str) -> Origin | None:
        """See `Walked.origin`."""
        found = matched(rf"({YOUTUBE})_\d+", last(stem))
        return Origin(found[1]) if found else None
