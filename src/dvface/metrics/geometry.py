"""Geometry: whether the parts of a restored face lie where they lay."""

import numpy as np
import torch
from torch import Tensor

from dvface.metrics.base import MeanMetric
from dvface.metrics.faces import Sighting, faces, noted, same_face, views
from dvface.metrics.segment import Segment
from dvface.perception.detection import FaceDetector
from dvface.perception.face_crops import ALIGNED_SIDE, aligned_face
from dvface.perception.facemesh import FaceMesh
from dvface.perception.landmarks import DlibOutline


class AverageKeypointDistance(MeanMetric):
    """AKD: mean distance between the face meshes of the restored and the clean frame, x by width and y by height.

    As in BFVR-STC's ``eval_akd.py``, which the paper's numbers fit: faces are found in both sides on their own, points
    are in [0, 1], their distances are averaged over points, frames and clips. There the mesh is MediaPipe's of 478
    points, ten of them on the irises, found once in the square around its own detector's box; see `FaceMesh` for
    what differs. On one pair of real clips a change of detector moves a point by 0.0012. A frame without one face
    at the same place in both sides, or with one that the mesh network takes for none, has no answer.

    Args:
        mesh: the mesh network.
        detector: finds the faces.
    """

    name = "akd"
    higher_is_better = False

    def __init__(self, mesh: FaceMesh, detector: FaceDetector) -> None:
        super().__init__()
        self.mesh = mesh
        self.detector = detector
        self.definition = (
            "mean over frames of the distance between the restored and the clean face's 468 mesh points, in frame "
            f"widths and heights, found in both ({detector.name}); BFVR-STC's, which has 478 with the irises"
        )
        self.file_name = mesh.file_name

    def per_frame(self, segment: Segment) -> Tensor:
        """Distance in each frame; NaN where either side has no face."""
        sides = (faces(segment, self.detector, side)[segment.joined :] for side in ("restored", "clean"))
        values = segment.restored_like((segment.count,), torch.nan)
        pairs = {number: same_face(*two) for number, two in enumerate(zip(*sides, strict=True))}
        found = {number: pair for number, pair in pairs.items() if pair}
        meshes = iter(noted([each for pair in found.values() for each in pair], (self.mesh, "mesh"), self._meshes))
        height, width = segment.all("clean").shape[-2:]
        for number in found:
            restored, clean = next(meshes), next(meshes)
            if restored is not None and clean is not None:
                values[number] = np.linalg.norm((restored - clean) / (width, height), axis=1).mean()
        return values

    def _meshes(self, sightings: list[Sighting]) -> list[np.ndarray | None]:
        return self.mesh.points([each.pixels for each in sightings], [each.face for each in sightings])


class LandmarkDistance(MeanMetric):
    """LMD: mean distance between dlib's 68 landmarks of the restored and the clean face, where the clean one is found.

    Both frames are cut and aligned by the five landmarks of the largest clean face, and distances are in pixels of
    the aligned 512 × 512 face, so they do not depend on the frame's or the face's size. The landmarks are whole
    pixels there. dlib's model was trained on a set whose licence excludes commercial use.

    Args:
        outline: finds the landmarks in an aligned face.
        detector: finds the faces.
    """

    name = "lmd"
    higher_is_better = False

    def __init__(self, outline: DlibOutline, detector: FaceDetector) -> None:
        super().__init__()
        self.outline = outline
        self.detector = detector
        self.definition = (
            "mean over frames of the distance between dlib's 68 landmarks of the restored and the clean face, in "
            f"pixels of the clean face aligned at {ALIGNED_SIDE} × {ALIGNED_SIDE} ({detector.name})"
        )
        self.file_name = outline.file_name

    def per_frame(self, segment: Segment) -> Tensor:
        """Distance in each frame; NaN where the clean one has no face."""
        clean = faces(segment, self.detector, "clean")[segment.joined :]
        restored = views(segment, "restored")[segment.joined :]
        values = segment.restored_like((segment.count,), torch.nan)
        for number, (view, found) in enumerate(zip(restored, clean, strict=True)):
            if found:
                landmarks = found[0].face.landmarks
                one, other = (
                    self.outline.points(aligned_face(pixels, landmarks)) for pixels in (view.pixels, found[0].pixels)
                )
                values[number] = np.linalg.norm(one - other, axis=1).mean()
        return values
