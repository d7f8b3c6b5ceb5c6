"""The Python call: `Restorer.from_pretrained(folder).restore(video)`."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeVar, overload

import numpy as np
import torch
from torch import Tensor

from dvface.errors import UserError
from dvface.inference.job import restore_file, restore_frames
from dvface.inference.options import RestoreOptions, RestoreReport, Watch, progress
from dvface.models.model_folder import model_folder
from dvface.models.restorer import Restorer as Network
from dvface.models.restorer import best_device
from dvface.perception.detection import FaceDetector

Video = TypeVar("Video", np.ndarray, Tensor)


class Restorer:
    """Restores files, arrays and tensors with a trained model.

    ```python
    from dvface import Restorer

    restorer = Restorer.from_pretrained("small")
    report = restorer.restore("old.mp4", "new.mp4")             # sound, rate and subtitles stay
    frames = restorer.restore(frames)                           # (T, H, W, 3) uint8, RGB
    clips = restorer.restore(clips, mode="aligned")             # (B, 3, T, H, W) in [-1, 1]
    ```

    Args:
        network: the trained model; it stays on the device where it is.
        detector: finds faces; None for the first of those in ``conf/detector`` whose weights are at hand, built when
            it is first needed.
    """

    def __init__(self, network: Network, detector: FaceDetector | None = None) -> None:
        self.network = network.eval()
        self._detector = detector

    @classmethod
    def from_pretrained(
        cls,
        checkpoint: str | Path = "small",
        device: torch.device | str | None = None,
        detector: FaceDetector | None = None,
    ) -> Self:
        """Open a trained model.

        Args:
            checkpoint: ``small``, which ships with the package, a model folder, or a finished run's folder.
            device: where it runs; the GPU if there is one, else the CPU.
            detector: see the class.

        Raises:
            UserError: there is no such model, or it cannot be read.
        """
        network = Network.from_pretrained(model_folder(checkpoint))
        return cls(network.to(device or best_device()), detector)

    @overload
    def restore(
        self, video: str | Path, output: str | Path, *, watch: Watch = ..., **options: Any
    ) -> RestoreReport: ...

    @overload
    def restore(self, video: Video, output: None = ..., *, watch: Watch = ..., **options: Any) -> Video: ...

    def restore(
        self,
        video: str | Path | np.ndarray | Tensor,
        output: str | Path | None = None,
        *,
        watch: Watch = progress,
        **options: Any,
    ) -> RestoreReport | np.ndarray | Tensor:
        """Restore one video.

        Args:
            video: a video file or a folder of pictures; or (T, H, W, 3) uint8 or uint16 RGB; or a tensor
                (3, T, H, W) or (B, 3, T, H, W) in [-1, 1].
            output: for files only: the file to write, or a folder (a name without suffix) for numbered pictures.
            watch: told of the progress.
            **options: fields of `RestoreOptions`, such as ``mode``, ``fidelity`` or ``window``.

        Returns:
            For a file a report; else the restored frames, as what was given. Those of a tensor are limited to [-1, 1].

        Raises:
            UserError: the file cannot be read or written, or an option is none.
            ValueError: an array or tensor has another shape or type.
        """
        chosen = options_from(options)
        if isinstance(video, str | Path):
            if output is None:
                raise UserError(f"restoring the file {video} needs an output; or give its frames as an array")
            return restore_file(self.network, Path(video), Path(output), chosen, self.detector, watch)
        if output is not None:
            raise UserError("output is for files; frames that are given as an array come back as an array")
        if isinstance(video, Tensor):
            return self._restore_tensor(video, chosen, watch)
        return restore_frames(self.network, video, chosen, self.detector, watch)

    def detector(self) -> FaceDetector:
        """The detector, built at the first call.

        Raises:
            WeightsMissing: none can be had.
        """
        if self._detector is None:
            from dvface.config.build import build
            from dvface.config.compose import load, resolve

            settings = resolve(load("restore", ["input=unused", "output=unused"]))
            self._detector = build(settings["detector"])
        return self._detector

    def _restore_tensor(self, video: Tensor, options: RestoreOptions, watch: Watch) -> Tensor:
        if video.ndim not in (4, 5) or video.shape[-4] != 3 or not video.is_floating_point():
            raise ValueError(
                "a video tensor is floating and (3, T, H, W) or (B, 3, T, H, W), "
                f"not {video.dtype} {tuple(video.shape)}"
            )
        clips = video if video.ndim == 5 else video[None]
        # 16 bits hide rounding: a step is 1/32767 of the range
        samples = ((clips.float().clamp(-1, 1) + 1) / 2 * 65535).round().cpu().numpy().astype(np.uint16)
        restored = [
            restore_frames(
                self.network, np.ascontiguousarray(clip.transpose(1, 2, 3, 0)), options, self.detector, watch
            )
            for clip in samples
        ]
        result = torch.from_numpy(np.stack(restored).astype(np.float32) / 65535 * 2 - 1).permute(0, 4, 1, 2, 3)
        result = result.to(video.device, video.dtype)
        return result if video.ndim == 5 else result[0]


def options_from(options: dict[str, Any]) -> RestoreOptions:
    """Options by name.

    Raises:
        UserError: one has an unknown name or a value that is not allowed.
    """
    from dvface.config.schema import RestoreChoices, validated

    return replace(RestoreOptions(), **dict(validated(RestoreChoices, {**vars(RestoreOptions()), **options})))
