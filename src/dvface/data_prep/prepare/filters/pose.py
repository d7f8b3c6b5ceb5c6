"""The filter on which way the head looks."""

import numpy as np

from dvface.data_prep.prepare.face_clip import FaceClip, Verdict
from dvface.data_prep.prepare.filters.verdicts import above, verdict
from dvface.perception.alignment import pose


class HeadPose:
    """Refuses faces turned too far away.

    Measures ``yaw``, ``pitch`` and ``roll`` in the footage: the largest absolute degrees of `dvface.perception
    .alignment.pose` over the frames, after a median over three neighbours, so that one bad detection does not count.

    Args:
        most_yaw: degrees to a side.
        most_pitch: degrees up or down.
        most_roll: degrees in the plane of the picture; the crop undoes it.
    """

    def __init__(self, most_yaw: float, most_pitch: float, most_roll: float) -> None:
        self.most_yaw, self.most_pitch, self.most_roll = most_yaw, most_pitch, most_roll

    def __call__(self, clip: FaceClip) -> Verdict:
        """See `Filter`."""
        angles = np.abs([pose(landmarks) for landmarks in clip.detected])
        padded = np.pad(angles, ((1, 1), (0, 0)), mode="edge")
        steady = np.median([padded[:-2], padded[1:-1], padded[2:]], axis=0)
        yaw, pitch, roll = (float(angle) for angle in steady.max(axis=0))
        return verdict(
            {"yaw": yaw, "pitch": pitch, "roll": roll},
            above("yaw", yaw, self.most_yaw, "most_yaw"),
            above("pitch", pitch, self.most_pitch, "most_pitch"),
            above("roll", roll, self.most_roll, "most_roll"),
        )
