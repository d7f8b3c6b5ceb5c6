import re
from pathlib import Path

import pytest
import torch
from tests.conftest import SMALLEST
from torch.utils.flop_counter import FlopCounterMode

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.config.schema import TrainSettings, check
from dvface.contracts import ClipBatch
from dvface.models.restorer import Restorer
from dvface.training.checks import check_parts
from dvface.training.cost import holdings, operations
from dvface.training.plan import plan
from dvface.training.stage import Stage

ONLY_RESTORER = ("stages.codebook.steps=0", "stages.prior.steps=0")


def settings(shards: Path, *changes: str) -> TrainSettings:
    words = [
        *(*SMALLEST, "logger=none", "data=shards", "data.context=0", "trainer=dry-run"),
        *(f"data.source.train={shards}", f"data.source.held_out={shards}"),
        *changes,
    ]
    return check(resolve(load("train", words)))


def planned(chosen: TrainSettings) -> list[str]:
    said: list[str] = []
    plan(chosen, check_parts(chosen), said.append)
    return said


def row(said: list[str], stage: str) -> list[str]:
    """The cells of a stage's line in the table."""
    (line,) = [line for line in said[1].splitlines() if line.startswith(f"{stage} ")]
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def meta_model(chosen: TrainSettings) -> Restorer:
    with torch.device("meta"):
        model: Restorer = build(chosen.model)
    return model


def test_the_plan_of_a_stage_is_what_a_calculation_by_hand_gives(paired_shards: Path, tmp_path: Path) -> None:
    changes = ("autoencoder=principal", "autoencoder.channels=12", "stages/autoencoder=principal", "stage=autoencoder")
    stage = ("stages.autoencoder.steps=30", "stages.autoencoder.crop=32", "stages.autoencoder.frames=5")
    chosen = settings(
        paired_shards, *changes, *stage, "trainer.accumulate=3", f"runs={tmp_path / 'runs'}", "trainer.keep_best=false"
    )
    said = planned(chosen)
    assert said[0] == (
        f"plan of exp=tiny, 1 process on cpu, precision 32-true; training clips: 6 clips in {paired_shards}"
    )
    name, steps, clips, shape, seen, *numbers = row(said, "autoencoder")
    # 4 clips a batch, 3 batches a step; 30 · 12 clips over the 6 that there are
    assert (name, steps, clips, shape, seen) == ("autoencoder", "30", "12", "5 × 32²", "60.0")
    parameters = sum(parameter.numel() for parameter in meta_model(chosen).parameters())
    learning, whole, teraflops, memory, disk = (float(number.replace(",", "")) for number in numbers)
    assert learning == 0.0  # the stage's clock, one number
    assert whole == pytest.approx((parameters + 1) / 1e6, abs=1e-3)
    # 4 · 2 · 4 · 4 blocks of 768 samples, to 12 components and back; nothing of it has a gradient
    assert operations(_stage(chosen, "autoencoder"), 4, 5, 32) == 2 * 2 * 128 * 768 * 12
    assert teraflops == pytest.approx(3 * 2 * 2 * 128 * 768 * 12 / 1e12, abs=1e-3)
    held = holdings(_stage(chosen, "autoencoder"), chosen.trainer, 1)
    assert memory == pytest.approx(held.memory / 1e9, abs=1e-3)
    assert disk == pytest.approx((held.checkpoint + held.weights) / 1e9, abs=1e-3)
    assert said[-1].startswith("nothing was trained")
    assert not (tmp_path / "runs").exists()


def test_what_a_stage_holds_is_four_bytes_for_each_number(paired_shards: Path) -> None:
    chosen = settings(paired_shards, "trainer.averaging=0.9", "loss/perceptual=none")
    stage = _stage(chosen, "restorer")
    model = stage.model
    parameters = sum(parameter.numel() for parameter in model.parameters())
    learning = sum(parameter.numel() for part in (model.backbone, model.refinement) for parameter in part.parameters())
    state = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    held = holdings(stage, chosen.trainer, 1)
    assert (held.parameters, held.learning, held.weights) == (parameters, learning, state)
    buffers = sum(buffer.numel() * buffer.element_size() for buffer in model.buffers())
    # weights and their average; a gradient and two moments for whatever learns
    assert held.memory == 2 * (4 * parameters + buffers) + 3 * 4 * learning
    assert held.checkpoint == 2 * state + 2 * 4 * learning


def test_processes_share_backbone_and_refinement_under_fsdp_and_nothing_under_ddp(paired_shards: Path) -> None:
    stage = _stage(settings(paired_shards), "restorer")
    parts = (stage.model.backbone, stage.model.refinement)
    numbers = sum(parameter.numel() for part in parts for parameter in part.parameters())
    saved = {}
    for strategy in ("ddp", "fsdp"):
        options = settings(paired_shards, f"trainer.strategy={strategy}", "trainer.devices=4").trainer
        alone, shared = (holdings(stage, options, count).memory for count in (1, 4))
        saved[strategy] = alone - shared
    # of a number that learns: itself, its gradient, two moments
    assert saved == {"ddp": 0, "fsdp": pytest.approx(0.75 * 4 * 4 * numbers, rel=1e-3)}


@pytest.mark.parametrize("name", ["prior", "restorer"])
def test_operations_are_those_of_a_real_step(paired_shards: Path, name: str) -> None:
    chosen = settings(paired_shards, "codebook/spatial=none", "codebook/temporal=none")
    counted = operations(_stage(chosen, name), 2, 5, 32)
    stage = build(chosen.stages.of(name).module)(model=build(chosen.model))
    video = torch.rand(2, 3, 5, 32, 32)
    with FlopCounterMode(display=False) as counter:
        stage.losses(ClipBatch(video, video, ("a", "b")))[0].backward()
    assert counted == pytest.approx(counter.get_total_flops(), rel=0.05)
    assert counted > 0


def test_a_stage_with_codebooks_that_look_after_themselves_can_be_counted(paired_shards: Path) -> None:
    chosen, bare = (
        settings(paired_shards, f"codebook/spatial={spatial}", f"codebook/temporal={temporal}")
        for spatial, temporal in (("vq", "lfq"), ("none", "none"))
    )
    with_codebooks, without = (operations(_stage(each, "codebook"), 2, 5, 32) for each in (chosen, bare))
    # Gradients must reach the encoder through both, which is most of the work.
    assert with_codebooks == pytest.approx(without, rel=0.2)


def test_gradient_checkpointing_and_more_processes_cost_more_operations(paired_shards: Path) -> None:
    large = ("size.token_dim=2048", "backbone.feed_forward_dim=16384", *ONLY_RESTORER)
    more = ("trainer.gradient_checkpointing=true", "trainer.strategy=ddp", "trainer.devices=2")
    plain, both = (row(planned(settings(paired_shards, *large, *changes)), "restorer") for changes in ((), more))
    assert (plain[2], both[2]) == ("2", "4")
    assert float(both[7]) > 1.2 * 2 * float(plain[7]) > 0


def test_what_must_see_pixels_is_told_and_stops_nothing(paired_shards: Path) -> None:
    said = planned(settings(paired_shards, "loss/temporal=warped", *ONLY_RESTORER))
    assert row(said, "restorer")[7] == "–"
    assert any(line.startswith("restorer: its operations cannot be counted without pixels") for line in said)


def test_a_batch_of_every_kind_is_really_loaded(paired_shards: Path) -> None:
    said = planned(settings(paired_shards, "data.workers=2", "degradation=none"))
    heads = [line for line in said if "to load" in line]
    # The recipe none is that of the codebook stage too, so all three see clips that are made alike.
    assert len(heads) == 1
    assert heads[0].startswith("codebook, prior, restorer: a clip of 5 × 32 × 32 took ")
    batch = said[said.index(heads[0]) + 1]
    assert batch.count("@0") == 2
    # This recipe changes nothing.
    assert re.search(r"; pixels (-[01]\.\d\d) to ([01]\.\d\d) clean, \1 to \2 degraded$", batch)
    pace = said[said.index(heads[0]) + 2]
    assert pace.startswith("  data.workers=2: on average no step can be shorter ")


def test_each_set_of_a_mixture_says_how_often_its_clips_are_seen(paired_shards: Path, small_shards: Path) -> None:
    changes = [
        *("data=mixed", f"data.source.held_out={paired_shards}", "stage=codebook", "stages.codebook.steps=12"),
        *(f"data.source.parts.videos.train={paired_shards}", f"data.source.parts.stills.train={small_shards}"),
        *("data.source.parts.videos.weight=0.75", "data.source.parts.stills.weight=0.25"),
    ]
    chosen = check(resolve(load("train", [*SMALLEST, "logger=none", "trainer=dry-run", *changes])))
    # 24 clips: 18 of the six videos, 6 of the six stills
    assert row(planned(chosen), "codebook")[4] == "videos 3.0, stills 1.0"


def _stage(chosen: TrainSettings, name: str) -> Stage:
    return build(chosen.stages.of(name).module)(model=meta_model(chosen))
