import numpy as np
import pytest
import torch
from PIL import Image
from torch import distributed, multiprocessing

from dvface.metrics.fid import FrechetInceptionDistance
from dvface.metrics.flicker import FrameDifferenceError
from dvface.metrics.geometry import LandmarkDistance
from dvface.metrics.identity import IdentitySimilarity
from dvface.metrics.perceptual import PerceptualDistance
from dvface.metrics.psnr import PSNR, LumaPSNR
from dvface.metrics.ssim import SSIM
from dvface.metrics.stability import IdentityInstability
from dvface.metrics.suite import MetricSuite
from dvface.metrics.temporal_perceptual import TemporalPerceptualError
from dvface.metrics.warping import WarpingError
from dvface.perception.dlib_detector import DlibDetector
from dvface.perception.embedding import DlibEmbedding
from dvface.perception.landmarks import DlibOutline
from dvface.perception.optical_flow import DISFlow
from dvface.perception.perceptual import ShiftTolerantLPIPS
from dvface.weights import PackagedFile

EVERY_MEASURE = {
    "psnr": PSNR,
    "ssim": SSIM,
    "stlpips_alex": lambda: PerceptualDistance(ShiftTolerantLPIPS("alex"), "stlpips_alex"),
    "ewarp_dis": lambda: WarpingError(DISFlow(), "ewarp_dis"),
    "ids_dlib": lambda: IdentitySimilarity(DlibEmbedding(), DlibDetector(), "ids_dlib"),
    "vidd": lambda: IdentityInstability(DlibEmbedding(), DlibDetector()),
    "lmd": lambda: LandmarkDistance(DlibOutline(), DlibDetector()),
    "psnr_y": LumaPSNR,
    "tstlpips_alex": lambda: TemporalPerceptualError(ShiftTolerantLPIPS("alex"), "tstlpips_alex"),
    "frame_difference": FrameDifferenceError,
    "fid": lambda: FrechetInceptionDistance(FieldMeans()),
}
CHEAP = {name: EVERY_MEASURE[name] for name in ("psnr", "fid")}


class FieldMeans:
    """Mean colours of 2 × 2 fields, (N, 12)."""

    dimension = 12
    file_name = None

    def features(self, frames):
        return torch.nn.functional.adaptive_avg_pool2d(frames, 2).flatten(1)


def clips():
    """Restored and clean, (4, 3, 2, 120, 120); the third clip shows no face."""
    path = PackagedFile("scikit-image", "skimage/data/astronaut.png").locate()
    picture = torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1).float() / 127.5 - 1
    clean = picture[None, :, None, 60:180, 160:280].repeat(4, 1, 2, 1, 1)
    clean[2] = clean[2].flip(2) * 0.1
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    return clean + torch.tensor([0.05, 0.1, 0.2, 0.3]).view(4, 1, 1, 1, 1) * noise, clean


def measure(suite, restored, clean):
    suite.reset()
    for clip in range(len(restored)):
        suite.update(restored[clip : clip + 1], clean[clip : clip + 1])
    return suite.compute(), suite.skipped, suite.left_out


def one_process(rank, folder):
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    restored, clean = clips()
    uneven = (slice(0, 3), slice(3, 4))[rank]
    idle = (slice(0, 4), slice(0, 0))[rank]
    answers = [
        measure(MetricSuite(measures), restored[part], clean[part])
        for measures, part in ((EVERY_MEASURE, uneven), (CHEAP, idle))
    ]
    torch.save(answers, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_what_one_gives_on_all_clips(tmp_path):
    expected, skipped, _ = measure(MetricSuite(EVERY_MEASURE), *clips())
    assert expected.keys() == EVERY_MEASURE.keys()
    assert skipped == {"ids_dlib": 1, "lmd": 1, "vidd": 2}
    # one server imports torchmetrics once for both processes
    multiprocessing.set_forkserver_preload(["torchmetrics", "dvface.perception.perceptual"])
    multiprocessing.start_processes(one_process, args=(tmp_path,), nprocs=2, start_method="forkserver")
    for rank in range(2):
        uneven, idle = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert uneven == (pytest.approx(expected, rel=1e-5), skipped, {})
        assert idle == (pytest.approx({name: expected[name] for name in CHEAP}, rel=1e-5), {}, {})
