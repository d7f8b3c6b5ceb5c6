"""Every pretrained file that dvface reads by name: what it is for, whose it is, what it must be.

A new network is one constant here and its name in the tuple at the end of its module; the part that reads it imports
the constant. Files that a user gives by path alone (Wan 2.1, TAEHV) are not listed.
"""

from dvface.errors import UserError, nearest
from dvface.weights.catalogue.distances import (
    ALEXNET_IMAGENET,
    DISTANCES,
    DISTS_CHANNELS,
    LPIPS_HEADS_ALEX,
    LPIPS_HEADS_VGG,
    STLPIPS_ALEX,
    STLPIPS_VGG,
    VGG16_IMAGENET,
)
from dvface.weights.catalogue.faces import (
    ARCFACE_IR_SE50,
    DLIB_IDENTITY,
    DLIB_LANDMARKS_5,
    DLIB_LANDMARKS_68,
    FACE_MESH_468,
    FACES,
    RETINAFACE_MOBILENET,
    RETINAFACE_RESNET50,
)
from dvface.weights.catalogue.features import (
    DINOV2_VIT_SMALL,
    FEATURES,
    I3D_KINETICS400,
    INCEPTION_FID,
    NIQE_PRISTINE,
    VBLIINDS_PRISTINE,
    timm_backbone,
)
from dvface.weights.catalogue.flow import (
    FLOW,
    RAFT_LARGE,
    RAFT_SMALL,
    SPYNET_BASICVSR,
)
from dvface.weights.lookup import Weights

__all__ = [
    "ALEXNET_IMAGENET",
    "ARCFACE_IR_SE50",
    "CATALOGUE",
    "DINOV2_VIT_SMALL",
    "DISTS_CHANNELS",
    "DLIB_IDENTITY",
    "DLIB_LANDMARKS_5",
    "DLIB_LANDMARKS_68",
    "FACE_MESH_468",
    "I3D_KINETICS400",
    "INCEPTION_FID",
    "LPIPS_HEADS_ALEX",
    "LPIPS_HEADS_VGG",
    "NIQE_PRISTINE",
    "RAFT_LARGE",
    "RAFT_SMALL",
    "RETINAFACE_MOBILENET",
    "RETINAFACE_RESNET50",
    "SPYNET_BASICVSR",
    "STLPIPS_ALEX",
    "STLPIPS_VGG",
    "VBLIINDS_PRISTINE",
    "VGG16_IMAGENET",
    "network",
    "timm_backbone",
]

CATALOGUE: tuple[Weights, ...] = (*FACES, *FLOW, *DISTANCES, *FEATURES)


def network(key: str) -> Weights:
    """The entry with this `Weights.key`.

    Raises:
        UserError: there is none.
    """
    known = {weights.key: weights for weights in CATALOGUE}
    if key not in known:
        raise UserError(f"no network is called '{key}'{nearest(key, known)} (dvface weights lists them)")
    return known[key]
