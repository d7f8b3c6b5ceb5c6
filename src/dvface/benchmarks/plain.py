"""The rival of our degradations: the same steps as one would write them with OpenCV and NumPy, frame by frame."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from dvface.degradation.blur import GaussianBlur
from dvface.degradation.codecs import VideoCodec
from dvface.degradation.combine import Chain, OneOf, Shuffled
from dvface.degradation.compression import JPEG
from dvface.degradation.kernel_blur import KERNELS, KernelBlur
from dvface.degradation.kernels import gaussian_kernel, sinc_kernel
from dvface.degradation.lens import SincBlur
from dvface.degradation.noise import GaussianNoise
from dvface.degradation.operator import Operator, Sometimes
from dvface.degradation.poisson import PoissonNoise, noise_table
from dvface.degradation.random_resize import RandomResize
from dvface.degradation.resize import INTERPOLATIONS, Downscale, ResizeBack

Frames = list[np.ndarray]


def apply_plainly(operator: Operator, frames: Frames, parameters: Mapping[str, Any], codecs: bool) -> Frames:
    """What ``operator.apply`` does, frame by frame; a codec is the same code as ours, since it is FFmpeg's.

    Args:
        operator: of a recipe.
        frames: (H, W, 3) float32 RGB each.
        parameters: what the operator drew.
        codecs: whether codecs run; without them a clip passes them unchanged.

    Raises:
        TypeError: this benchmark has no plain version of the operator.
    """
    match operator:
        case Sometimes():
            if not parameters["applied"]:
                return frames
            return apply_plainly(operator.operator, frames, parameters["parameters"], codecs)
        case Chain() | Shuffled():
            for step in parameters["steps"]:
                frames = apply_plainly(operator.operators[step["operator"]], frames, step["parameters"], codecs)
            return frames
        case OneOf():
            return apply_plainly(operator.operators[parameters["chosen"]], frames, parameters["parameters"], codecs)
        case GaussianBlur():
            sizes = (parameters[key] for key in ("kernel_size", "sigma_x", "sigma_y", "angle"))
            return _filtered(frames, gaussian_kernel(*sizes))
        case SincBlur():
            return _filtered(frames, sinc_kernel(**parameters))
        case KernelBlur():
            numbers = {key: value for key, value in parameters.items() if key not in ("kind", "family")}
            return _filtered(frames, KERNELS[parameters["family"]](**numbers))
        case Downscale():
            height, width = (max(1, round(side / parameters["scale"])) for side in frames[0].shape[:2])
            return _resized(frames, height, width, parameters["interpolation"])
        case RandomResize():
            base = parameters["base"] or frames[0].shape[:2]
            height, width = (max(1, round(side * parameters["scale"])) for side in base)
            return _resized(frames, height, width, parameters["interpolation"])
        case ResizeBack():
            return _resized(frames, parameters["height"], parameters["width"], parameters["interpolation"])
        case GaussianNoise():
            return _gaussian_noise(frames, parameters)
        case PoissonNoise():
            return _poisson_noise(frames, parameters)
        case JPEG() | VideoCodec():
            return list(operator.apply(np.stack(frames), parameters)) if codecs else frames
        case _:
            raise TypeError(f"there is no plain version of {type(operator).__name__}")


def _filtered(frames: Frames, kernel: np.ndarray) -> Frames:
    return [cv2.filter2D(frame, -1, kernel, borderType=cv2.BORDER_REFLECT_101) for frame in frames]


def _resized(frames: Frames, height: int, width: int, interpolation: str) -> Frames:
    if frames[0].shape[:2] == (height, width):
        return frames
    return [cv2.resize(frame, (width, height), interpolation=INTERPOLATIONS[interpolation]) for frame in frames]


def _gaussian_noise(frames: Frames, parameters: Mapping[str, Any]) -> Frames:
    rng = np.random.default_rng(parameters["seed"])
    shape = (*frames[0].shape[:2], 1 if parameters["grey"] else 3)
    noisy = []
    noise = None
    for frame in frames:
        if noise is None or not parameters["static"]:
            noise = rng.standard_normal(shape, dtype=np.float32) * parameters["sigma"] / 255
        noisy.append((frame + noise).astype(np.float32))
    return noisy


def _poisson_noise(frames: Frames, parameters: Mapping[str, Any]) -> Frames:
    rng = np.random.default_rng(parameters["seed"])
    table = noise_table()
    shape = (*frames[0].shape[:2], 1 if parameters["grey"] else 3)
    noisy = []
    luck = None
    for frame in frames:
        if luck is None or not parameters["static"]:
            luck = rng.integers(table.shape[1], size=shape, dtype=np.uint16)
        light = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None] if parameters["grey"] else frame
        levels = np.floor(np.clip(light, 0, 1) * np.float32(255) + np.float32(0.5)).astype(int)
        noisy.append((frame + parameters["scale"] * table[levels, luck]).astype(np.float32))
    return noisy
