"""Networks that estimate optical flow."""

from dvface.weights.lookup import Form, Weights

_AUTHORS = "github.com/princeton-vl/RAFT (download_models.sh)"

# torchvision's C_T_V1 files hold the authors' tensors under torchvision's names (its documentation says so), and a
# file of its own has an address, which the members of the authors' archive have not.
RAFT_SMALL = Weights(
    key="raft_small",
    name="RAFT-small",
    used_by=("ewarp", "ewarp_raft_small", "flow=raft_small"),
    folder_names=("raft_small/raft-small.pth", "raft_small/raft_small_C_T_V1-ad48884c.pth"),
    source=_AUTHORS,
    licence="BSD-3-Clause",
    url="https://download.pytorch.org/models/raft_small_C_T_V1-ad48884c.pth",
    forms=(
        # SHA-256 of the authors' file
        Form("raft-small.pth", "c7d41b9cc88442bb8aa911dbb33086dac55a226394b142937ff22d5578717332", 3_984_814),
        Form("raft_small_C_T_V1-ad48884c.pth", "ad48884c"),  # the digits in its name
    ),
)
RAFT_LARGE = Weights(
    key="raft_large",
    name="RAFT-large",
    used_by=("ewarp_raft_large", "ewarp_paper", "flow=raft_large"),
    folder_names=("raft_large/raft-things.pth", "raft_large/raft_large_C_T_V1-22a6c225.pth"),
    source=_AUTHORS,
    licence="BSD-3-Clause",
    # ProPainter's release holds the authors' file unchanged; SHA-256 as several public records state it
    url="https://github.com/sczhou/ProPainter/releases/download/v0.1.0/raft-things.pth",
    forms=(
        Form("raft-things.pth", "fcfa4125d6418f4de95d84aec20a3c5f4e205101715a79f193243c186ac9a7e1", 21_108_000),
        Form("raft_large_C_T_V1-22a6c225.pth", "22a6c225"),
    ),
)
SPYNET_BASICVSR = Weights(
    key="spynet",
    name="SPyNet of BasicVSR",
    used_by=("ewarp_spynet", "flow=spynet"),
    folder_names=("spynet/spynet_basicvsr.pth",),
    source="github.com/XPixelGroup/BasicSR (save the spynet.* tensors of BasicVSR_REDS4.pth under this name)",
    licence="Apache-2.0",
    # everyone extracts it for himself, so the bytes of two such files differ though the tensors do not
    forms=(Form("spynet_basicvsr.pth"),),
)

FLOW = (RAFT_SMALL, RAFT_LARGE, SPYNET_BASICVSR)
