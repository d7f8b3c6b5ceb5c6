import pytest
import torch
from torch import distributed, multiprocessing

from dvface.metrics.fid import FrechetInceptionDistance
from dvface.metrics.fvd import FrechetVideoDistance
from dvface.metrics.suite import MetricSuite


class FieldMeans:
    """Mean colours of 2 × 2 fields, (N, 12); of a clip, over its frames too."""

    dimension = 12
    file_name = None

    def features(self, frames):
        if frames.ndim == 5:
            frames = frames.mean(dim=2)
        return torch.nn.functional.adaptive_avg_pool2d(frames, 2).flatten(1)


MEASURES = {"fvd": lambda: FrechetVideoDistance(FieldMeans()), "fid": lambda: FrechetInceptionDistance(FieldMeans())}
LENGTHS = (32, 5, 48, 16, 12)
"""Frames of each clip; the second is too short for FVD."""


def clips():
    generator = torch.Generator().manual_seed(0)
    for frames in LENGTHS:
        clean = torch.rand(1, 3, frames, 16, 16, generator=generator)
        yield clean * 0.8 + 0.1 * torch.rand(clean.shape, generator=generator), clean


def measure(suite, part):
    suite.reset()
    for restored, clean in list(clips())[part]:
        suite.update(restored, clean)
    return suite.compute(), suite.skipped, suite.left_out


def one_process(rank, folder):
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    suite = MetricSuite(MEASURES)
    uneven = (slice(0, 2), slice(2, 5))[rank]
    idle = (slice(0, 5), slice(0, 0))[rank]
    torch.save([measure(suite, part) for part in (uneven, idle)], f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_the_distance_that_one_gives_on_all_clips(tmp_path):
    expected, skipped, _ = measure(MetricSuite(MEASURES), slice(0, 5))
    assert expected.keys() == MEASURES.keys()
    assert min(expected.values()) > 0
    assert skipped == {"fvd": 1}
    multiprocessing.set_forkserver_preload(["torchmetrics", "dvface.metrics.suite"])
    multiprocessing.start_processes(one_process, args=(tmp_path,), nprocs=2, start_method="forkserver")
    for rank in range(2):
        for found, skipped_by_all, left_out in torch.load(tmp_path / f"{rank}.pt", weights_only=True):
            assert found == pytest.approx(expected, rel=1e-9)
            assert skipped_by_all == skipped
            assert left_out == {}
