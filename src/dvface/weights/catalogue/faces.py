"""Networks that find, describe and recognise faces."""

from dvface.weights.lookup import Form, PackagedFile, Weights

_FACEXLIB = "github.com/xinntao/facexlib"
_FACEXLIB_FILES = "https://github.com/xinntao/facexlib/releases/download/v0.1.0"
_DLIB = "github.com/davisking/dlib-models"
_DLIB_FILES = "https://github.com/ageitgey/face_recognition_models/raw/master/face_recognition_models/models"


def _dlib(key: str, name: str, used_by: tuple[str, ...], licence: str, form: Form) -> Weights:
    """A file that dlib's author published and ``face-recognition-models`` carries."""
    return Weights(
        key=key,
        name=name,
        used_by=used_by,
        folder_names=(f"dlib/{form.file_name}",),
        packaged=PackagedFile("face-recognition-models", f"face_recognition_models/models/{form.file_name}"),
        source=_DLIB,
        licence=licence,
        url=f"{_DLIB_FILES}/{form.file_name}",
        forms=(form,),
    )


# SHA-256 of dlib's files: of face-recognition-models 0.3.0.
DLIB_LANDMARKS_5 = _dlib(
    "dlib_landmarks_5",
    "dlib 5-point landmarks",
    ("ids_dlib", "vidd", "identity=dlib"),
    "CC0-1.0",
    Form(
        "shape_predictor_5_face_landmarks.dat",
        "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
        9_150_489,
    ),
)
DLIB_LANDMARKS_68 = _dlib(
    "dlib_landmarks_68",
    "dlib 68-point landmarks",
    ("lmd", "detector=dlib"),
    "CC0-1.0; training set (iBUG 300-W) non-commercial",
    Form(
        "shape_predictor_68_face_landmarks.dat",
        "fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f",
        99_693_937,
    ),
)
DLIB_IDENTITY = _dlib(
    "dlib_identity",
    "dlib face identity",
    ("ids_dlib", "vidd", "identity=dlib"),
    "CC0-1.0",
    Form(
        "dlib_face_recognition_resnet_model_v1.dat",
        "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
        22_466_066,
    ),
)
RETINAFACE_MOBILENET = Weights(
    key="retinaface_mobilenet",
    name="RetinaFace mobilenet0.25",
    used_by=("detector=best", "detector=retinaface_mobilenet"),
    folder_names=(
        "retinaface_mobilenet025/detection_mobilenet0.25_Final.pth",
        "detection_mobilenet0.25_Final.pth",
    ),
    source=_FACEXLIB,
    licence="MIT; training set (WIDER FACE) for research",
    url=f"{_FACEXLIB_FILES}/detection_mobilenet0.25_Final.pth",
    # SHA-256 of the file at hand, and of Arch Linux's recipe for facexlib
    forms=(
        Form(
            "detection_mobilenet0.25_Final.pth",
            "2979b33ffafda5d74b6948cd7a5b9a7a62f62b949cef24e95fd15d2883a65220",
            1_789_735,
        ),
    ),
)
RETINAFACE_RESNET50 = Weights(
    key="retinaface_resnet50",
    name="RetinaFace ResNet-50",
    used_by=("detector=best", "detector=retinaface_resnet50"),
    folder_names=("retinaface_resnet50/detection_Resnet50_Final.pth", "detection_Resnet50_Final.pth"),
    source=_FACEXLIB,
    licence="MIT; training set (WIDER FACE) for research",
    url=f"{_FACEXLIB_FILES}/detection_Resnet50_Final.pth",
    # SHA-256 as several public lists of models agree on it
    forms=(
        Form(
            "detection_Resnet50_Final.pth",
            "6d1de9c2944f2ccddca5f5e010ea5ae64a39845a86311af6fdf30841b0a5a16d",
            109_497_761,
        ),
    ),
)
ARCFACE_IR_SE50 = Weights(
    key="arcface_ir_se50",
    name="ArcFace IR-SE50",
    used_by=("ids_arcface", "vidd_arcface", "loss/identity=arcface"),
    folder_names=("arcface/recognition_arcface_ir_se50.pth",),
    source=_FACEXLIB,
    licence="MIT; training set (MS-Celeb-1M) non-commercial",
    url=f"{_FACEXLIB_FILES}/recognition_arcface_ir_se50.pth",
    # SHA-256 as Arch Linux's recipe for facexlib and GenForce's code state it
    forms=(
        Form(
            "recognition_arcface_ir_se50.pth",
            "a035c768259b98ab1ce0e646312f48b9e1e218197a0f80ac6765e88f8b6ddf28",
            175_367_323,
        ),
    ),
)
FACE_MESH_468 = Weights(
    key="face_mesh_468",
    name="MediaPipe face mesh, 468 points",
    used_by=("akd",),
    folder_names=("facemesh468/blazeface_landmark.pth",),
    source="github.com/zmurez/MediaPipePyTorch",
    licence="Apache-2.0",
    url="https://github.com/zmurez/MediaPipePyTorch/raw/master/blazeface_landmark.pth",
    # SHA-256 of the file at commit b38dbe35a387
    forms=(
        Form(
            "blazeface_landmark.pth",
            "2c529987e67f82e58a608a394aabf245a3afa19ac2f761981894f70b4df9fdca",
            2_439_235,
        ),
    ),
)

FACES = (
    DLIB_LANDMARKS_5,
    DLIB_LANDMARKS_68,
    DLIB_IDENTITY,
    RETINAFACE_MOBILENET,
    RETINAFACE_RESNET50,
    ARCFACE_IR_SE50,
    FACE_MESH_468,
)
