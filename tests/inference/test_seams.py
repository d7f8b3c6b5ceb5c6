"""Windows leave no seam in time: measured with the model that ships on real footage."""

import numpy as np

from dvface.inference.whole import WholePicture
from dvface.inference.windows import WindowedRestorer
from dvface.models.model_folder import SMALL, model_folder
from dvface.models.restorer import Restorer


def jumps(video: np.ndarray) -> np.ndarray:
    """(T - 1,) mean absolute change from frame to frame, in levels."""
    return np.abs(np.diff(video.astype(float), axis=0)).mean(axis=(1, 2, 3))


def step_at_borders(model: Restorer, clip: np.ndarray, overlap: int) -> float:
    """By how many levels more the restored clip changes where windows meet than elsewhere, beyond the clip's own."""
    windows = WindowedRestorer(WholePicture(model), 17, overlap)
    added = jumps(np.stack(list(windows(clip)))) - jumps(clip)
    # The change into frame t is at t - 1; a fade changes the frames that two windows share and the next one.
    border = np.zeros(len(added), bool)
    for start in range(windows.step, len(clip), windows.step):
        border[start - 1 : start + overlap] = True
    return float(added[border].mean() - added[~border].mean())


def test_nothing_jumps_where_windows_meet(carphone: np.ndarray) -> None:
    model = Restorer.from_pretrained(model_folder(SMALL))
    clip = carphone[:69, 16:128, 24:136]
    # Windows that only abut do jump, by a tenth of a level or more: what is measured can be seen by it.
    assert abs(step_at_borders(model, clip, 4)) < 0.05 < 0.1 < step_at_borders(model, clip, 0)
