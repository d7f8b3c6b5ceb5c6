"""Networks behind perceptual distances between two frames."""

from dvface.weights.lookup import Form, PackagedFile, Weights

_TORCHVISION = "docs.pytorch.org/vision/stable/models.html"
_TORCHVISION_FILES = "https://download.pytorch.org/models"
_TORCHVISION_LICENCE = "BSD-3-Clause; training set (ImageNet) for research"
_SHIFT_TOLERANT = "github.com/abhijay9/ShiftTolerant-LPIPS (its package stlpips-pytorch 0.0.2)"
_SHIFT_TOLERANT_FILES = "stlpips_pytorch/weights/vST0.0"
_LPIPS = "github.com/richzhang/PerceptualSimilarity"
_LPIPS_COMMIT = "082bb24f84c091ea94de2867d34c4544f68e0963"
_LPIPS_FILES = f"https://github.com/richzhang/PerceptualSimilarity/raw/{_LPIPS_COMMIT}/lpips/weights/v0.1"

STLPIPS_ALEX = Weights(
    key="stlpips_alex",
    name="shift-tolerant LPIPS (AlexNet)",
    used_by=("stlpips_alex", "tstlpips_alex", "loss/perceptual=stlpips"),
    folder_names=("stlpips/alex_shift_tolerant.pth",),
    packaged=PackagedFile("stlpips-pytorch", f"{_SHIFT_TOLERANT_FILES}/alex_shift_tolerant.pth"),
    source=_SHIFT_TOLERANT,
    licence="BSD-2-Clause",
    forms=(
        Form("alex_shift_tolerant.pth", "b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee", 9_899_296),
    ),
)
STLPIPS_VGG = Weights(
    key="stlpips_vgg",
    name="shift-tolerant LPIPS (VGG-16)",
    used_by=("stlpips_vgg",),
    folder_names=("stlpips/vgg_shift_tolerant.pth", "stlpips/vgg_shift_tolerant_fp16.pth"),
    packaged=PackagedFile("stlpips-pytorch", f"{_SHIFT_TOLERANT_FILES}/vgg_shift_tolerant.pth"),
    source=_SHIFT_TOLERANT,
    licence="BSD-2-Clause",
    forms=(
        Form("vgg_shift_tolerant.pth", "44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250", 58_907_298),
        # the same tensors in half precision, which some keep to save room
        Form(
            "vgg_shift_tolerant_fp16.pth",
            "663238d89760180896ebf8a9799cdc6bc6136c12de66306bc8594be8ce4db93d",
            29_462_052,
        ),
    ),
)
ALEXNET_IMAGENET = Weights(
    key="alexnet",
    name="AlexNet (ImageNet)",
    used_by=("lpips_alex", "tlpips"),
    folder_names=("lpips/alexnet-owt-7be5be79.pth",),
    source=_TORCHVISION,
    licence=_TORCHVISION_LICENCE,
    url=f"{_TORCHVISION_FILES}/alexnet-owt-7be5be79.pth",
    # the name's first digits, and the rest as several public records state it
    forms=(
        Form(
            "alexnet-owt-7be5be79.pth",
            "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
            244_408_911,
        ),
    ),
)
VGG16_IMAGENET = Weights(
    key="vgg16",
    name="VGG-16 (ImageNet)",
    used_by=("lpips_vgg", "dists", "loss/perceptual=lpips", "loss/perceptual=dists"),
    folder_names=("lpips/vgg16-397923af.pth",),
    source=_TORCHVISION,
    licence=_TORCHVISION_LICENCE,
    url=f"{_TORCHVISION_FILES}/vgg16-397923af.pth",
    # the name's first digits, and the rest as several public records state it
    forms=(
        Form("vgg16-397923af.pth", "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0", 553_433_881),
    ),
)


def _heads(network: str, used_by: tuple[str, ...], sha256: str, size: int) -> Weights:
    """LPIPS's linear heads; torchmetrics and the authors' package lpips 0.1.4 carry the same bytes."""
    return Weights(
        key=f"lpips_heads_{network}",
        name=f"LPIPS linear heads ({network})",
        used_by=used_by,
        folder_names=(f"lpips/heads/{network}.pth",),
        packaged=PackagedFile("torchmetrics", f"torchmetrics/functional/image/lpips_models/{network}.pth"),
        source=_LPIPS,
        licence="BSD-2-Clause",
        url=f"{_LPIPS_FILES}/{network}.pth",
        forms=(Form(f"{network}.pth", sha256, size),),
    )


LPIPS_HEADS_ALEX = _heads(
    "alex",
    ("lpips_alex", "tlpips"),
    "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    6_009,
)
LPIPS_HEADS_VGG = _heads(
    "vgg",
    ("lpips_vgg", "loss/perceptual=lpips"),
    "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
    7_289,
)
DISTS_CHANNELS = Weights(
    key="dists_channels",
    name="DISTS channel weights",
    used_by=("dists", "loss/perceptual=dists"),
    folder_names=("dists/weights.pt",),
    packaged=PackagedFile("torchmetrics", "torchmetrics/functional/image/dists_models/weights.pt"),
    source="github.com/dingkeyan93/DISTS",
    licence="MIT",
    url="https://github.com/dingkeyan93/DISTS/raw/master/DISTS_pytorch/weights.pt",
    # SHA-256 of torchmetrics' copy, which public records state for the authors' file too
    forms=(Form("weights.pt", "f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218", 12_288),),
)

DISTANCES = (
    STLPIPS_ALEX,
    STLPIPS_VGG,
    ALEXNET_IMAGENET,
    VGG16_IMAGENET,
    LPIPS_HEADS_ALEX,
    LPIPS_HEADS_VGG,
    DISTS_CHANNELS,
)
