"""Held-out clips as a stage sees them: pictures and videos drawn while it trains."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from dvface.contracts import ClipBatch
from dvface.files import whole_file
from dvface.perception.pixels import to_bytes
from dvface.report.panels import contact_sheet, labelled_video, write_png
from dvface.seeding import derive_seed
from dvface.tracking.run import NoRun, Run
from dvface.training.stage import Stage
from dvface.video.write import encode

SHOWN = 3
"""Held-out clips that are drawn."""

RATE = Fraction(25)
"""Frames a second of the videos: a batch does not know the rate of its clip, so motion may look too fast or slow."""


class HeldOutPictures(Callback):
    """Draws what a stage makes of the first held-out clips, see `Stage.show`; a stage that shows nothing draws nothing.

    For step 50 ``step-000050.png`` is the clips' middle frames, a row each, and ``step-000050.mp4`` the first clip.
    Where a moving average of the weights is kept, it is what is drawn. Training goes on as if nothing had been drawn,
    and a resumed run draws the same files again. Of several processes all compute, since a sharded model needs them
    all, and the first one writes: its own first clips.

    Args:
        every: steps between two drawings, each at the validation that falls on them or next after; 0 draws none.
        folder: where the files go; made if needed.
        run: where they are recorded too, below ``stage/samples``.
        stage: the stage's name.
    """

    def __init__(self, every: int, folder: Path, run: Run | NoRun, stage: str) -> None:
        self.every = every
        self.folder = folder
        self.run = run
        self.stage = stage
        self._rows: list[dict[str, np.ndarray]] = []
        self._videos: dict[str, np.ndarray] = {}

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Forget what an interrupted validation left."""
        self._rows, self._videos = [], {}

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        module: LightningModule,
        outputs: Any,
        batch: ClipBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Ask the stage for its pictures of one clip."""
        if batch_idx >= SHOWN or not self._due(trainer):
            return
        videos = _shown(trainer, module, batch)
        if not videos or batch.padding or not trainer.is_global_zero:
            return
        self._rows.append({title: video[len(video) // 2] for title, video in videos.items()})
        self._videos = self._videos or videos

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Write and record what was drawn."""
        if not self._rows:
            return
        name = f"step-{trainer.global_step:06d}"
        picture, video = self.folder / f"{name}.png", self.folder / f"{name}.mp4"
        write_png(picture, contact_sheet(self._rows))
        # Not `write_video`: only this encoder gives a resumed run the same bytes.
        with whole_file(video) as temporary:
            temporary.write_bytes(encode(labelled_video(self._videos), RATE))
        for path in (picture, video):
            self.run.log_artifact(path, folder=f"{self.stage}/samples")
        self._rows, self._videos = [], {}

    def _due(self, trainer: Trainer) -> bool:
        """Whether a multiple of ``every`` lies after the validation before this one; a resumed run says the same."""
        if self.every == 0:
            return False
        between = int(trainer.val_check_batch or 0) // trainer.accumulate_grad_batches
        return trainer.global_step // self.every > (trainer.global_step - between) // self.every


def _shown(trainer: Trainer, module: LightningModule, batch: ClipBatch) -> dict[str, np.ndarray]:
    """Title to (T, H, W, 3) uint8 of the batch's first clip; the streams of random numbers stay where they are."""
    assert isinstance(module, Stage)
    devices = [module.device] if module.device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.no_grad(), trainer.precision_plugin.forward_context():
        # What is random in a clip's picture is so alike at every step: pictures of two steps can be compared.
        torch.manual_seed(derive_seed(module.seed, "pictures", *batch.keys))
        videos = module.show(batch)
    return {title: to_bytes(video[0].transpose(0, 1)) for title, video in videos.items()}
