"""Networks with random weights, tiny here: the clip that is timed is restored whole, the ways of decoding decode it."""

import pytest
import torch

from dvface.benchmarks.autoencoders import WAYS, measure_decoding
from dvface.benchmarks.full_size import ClipSize, check_clip, time_clip
from dvface.cli.benchmark_networks import autoencoder_table, full_size_table
from dvface.errors import UserError
from dvface.models.autoencoders.light import LightAutoencoder
from dvface.models.autoencoders.wan import WanAutoencoder
from dvface.models.restorer import Restorer

PARTS = ["encode latents", "prior", "backbone", "decode latents", "refinement"]


@pytest.fixture(scope="module")
def wan() -> WanAutoencoder:
    torch.manual_seed(0)
    return WanAutoencoder(8, 4, [1, 1, 1, 1], 1, mean=[0.1, -0.2, 0.3, 0.0], deviation=[2.0, 1.5, 1.0, 0.5]).eval()


@pytest.mark.parametrize("count", [1, 3, 4])
@torch.inference_mode()
def test_every_way_decodes_the_whole_clip(wan: WanAutoencoder, count: int) -> None:
    latents = 0.1 * torch.randn(1, 4, count, 8, 8)
    whole = wan.decode(latents)
    assert whole.shape == (1, 3, 4 * count - 3, 64, 64)
    assert torch.equal(WAYS["whole"](wan, latents), whole)
    chunked = WAYS["chunked"](wan, latents)
    assert chunked.shape == whole.shape
    assert torch.allclose(chunked[:, :, :8], whole[:, :, :8], atol=1e-5)
    tiled = WAYS["tiled"](wan, latents)
    assert tiled.shape == whole.shape
    # the first tile alone, as far as no other is faded into it
    alone = wan.decode(latents[..., :4, :4])[..., :24, :24].clamp(-1, 1)
    assert torch.allclose(tiled[..., :24, :24], alone, atol=1e-5)
    assert not wan.network.use_tiling


def test_decoding_is_measured_in_a_process_of_its_own() -> None:
    tree = {
        "_target_": "dvface.models.autoencoders.light.LightAutoencoder",
        "latent_channels": 4,
        "width": 8,
    }
    found = measure_decoding(tree, "whole", 9, 256, "cpu", 1, 0)
    assert found.shape == (1, 3, 9, 256, 256)
    assert found.seconds > 0
    assert found.memory is None or found.memory > 9 * 3 * 256 * 256 * 4  # the video itself
    assert found.parameters == sum(parameter.numel() for parameter in LightAutoencoder(4, 8).parameters())


def test_a_clip_is_restored_as_often_as_said_and_every_part_is_timed(smallest_model: Restorer) -> None:
    seen: list[tuple[torch.Size, torch.dtype]] = []
    smallest_model.eval().refinement.register_forward_hook(
        lambda module, inputs, restored: seen.append((restored.shape, inputs[0].dtype))
    )
    found = time_clip(smallest_model, ClipSize(5, 32, 48), rounds=2, bfloat16=True)
    assert [shape for shape, _ in seen] == 3 * [torch.Size((1, 3, 5, 32, 48))]
    assert list(found.seconds) == PARTS
    assert min(found.seconds.values()) > 0
    assert found.total == pytest.approx(sum(found.seconds.values()))
    assert found.memory > 0
    for clip in (ClipSize(6, 32, 32), ClipSize(5, 30, 32)):
        with pytest.raises(ValueError, match=r"4k\+1|multiple"):
            check_clip(smallest_model, clip)


def test_the_full_size_table_has_both_ways_of_every_clip() -> None:
    with torch.compiler.set_stance("force_eager"):  # compiling takes minutes on a busy processor
        table = full_size_table("tiny", "5x32x32,9x32x48", 1)
    for clip in ("5×32×32", "9×32×48"):
        for way in ("plain", "compiled"):
            lines = [line for line in table.splitlines() if line.startswith(clip) and f" {way} " in line]
            assert [part for line, part in zip(lines, [*PARTS, "all"], strict=True) if f" {part} " in line] == [
                *PARTS,
                "all",
            ]
    assert "random weights" in table
    assert "15.13 s" in table


@pytest.mark.parametrize(
    ("exp", "sizes", "fault"),
    [
        ("tiny", "33x720", "give frames, height and width"),
        ("tiny", "6x32x32", r"6 frames are not 4k\+1"),
        ("tiny", "5x32x33", "no multiple"),
        pytest.param(
            "dvface", "33x720x1280", "no GPU", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
        ),
    ],
)
def test_clips_that_cannot_be_timed_are_refused(exp: str, sizes: str, fault: str) -> None:
    with pytest.raises(UserError, match=fault):
        full_size_table(exp, sizes, 1)


@pytest.mark.parametrize(("frames", "size"), [(8, 64), (9, 96)])
def test_clips_that_cannot_be_decoded_in_every_way_are_refused(frames: int, size: int) -> None:
    with pytest.raises(UserError, match=r"4k\+1 and size a multiple of 64"):
        autoencoder_table(frames, size, 1, 0)
