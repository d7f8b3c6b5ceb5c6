import json
from functools import partialmethod
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from omegaconf import OmegaConf
from safetensors.torch import load_file
from tests.conftest import SMALLEST
from tests.training.curves import timeless_curves

from dvface.config.compose import load, resolve
from dvface.config.schema import TrainSettings, check
from dvface.errors import UserError
from dvface.files import write_text
from dvface.models.restorer import Restorer
from dvface.tracking.run import NoRun
from dvface.training.callbacks import ProgressCallback
from dvface.training.chain import Chain
from dvface.training.curves import read_curves
from dvface.training.export import export
from dvface.training.records import RunLogger
from dvface.training.run_folder import RunFolder

STEPS = 4


def settings(shards: Path, *changes: str) -> TrainSettings:
    return check(
        resolve(
            load(
                "train",
                [
                    *SMALLEST,
                    "logger=none",
                    "data=shards",
                    f"data.source.train={shards}",
                    f"data.source.held_out={shards}",
                    "data.workers=0",
                    "data.buffer=2",
                    *(f"stages.{name}.steps={STEPS}" for name in ("codebook", "prior", "restorer")),
                    "trainer.log_every=1",
                    "trainer.checkpoint_every=2",
                    *changes,
                ],
            )
        )
    )


@pytest.fixture(scope="module")
def trained_chain(paired_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run through all three stages."""
    folder = tmp_path_factory.mktemp("chain")
    train(settings(paired_shards), folder)
    return folder


@pytest.fixture(scope="module")
def plain_restorer(paired_shards: Path, trained_chain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of the third stage alone, with which others are compared."""
    folder = tmp_path_factory.mktemp("plain")
    train(settings(paired_shards, "stage=restorer", f"start_from={trained_chain}"), folder)
    return folder


class PowerCut(Exception):
    """Stands for whatever ends a process."""


def train(chosen: TrainSettings, folder: Path) -> Restorer:
    return Chain(chosen, RunFolder(folder), NoRun()).train()


@pytest.mark.parametrize(("stage", "workers"), [("codebook", 0), ("prior", 0), ("restorer", 0), ("restorer", 2)])
def test_resumed_equals_uninterrupted(
    paired_shards: Path, trained_chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, workers: int
) -> None:
    start = [] if stage == "codebook" else [f"start_from={trained_chain}"]
    chosen = settings(paired_shards, f"stage={stage}", *start, f"data.workers={workers}")
    whole = train(chosen, tmp_path / "whole")

    step_done = ProgressCallback.on_train_batch_end

    def cut(self: ProgressCallback, trainer: Trainer, *rest: object) -> None:
        step_done(self, trainer, *rest)
        if self.description == stage and trainer.global_step == STEPS - 1:
            raise PowerCut

    monkeypatch.setattr(ProgressCallback, "on_train_batch_end", cut)
    with pytest.raises(PowerCut):
        train(chosen, tmp_path / "cut")
    monkeypatch.undo()
    assert RunFolder(tmp_path / "cut").checkpoint(stage).is_file()
    assert not RunFolder(tmp_path / "cut").weights(stage).is_file()

    resumed = train(chosen, tmp_path / "cut")
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    curves = [timeless_curves(RunFolder(tmp_path / run), stage) for run in ("whole", "cut")]
    assert curves[0] == curves[1]
    assert len(curves[0]["train/loss"]) == STEPS


def test_ctrl_c_reaches_the_caller_and_the_run_goes_on_later(
    paired_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(paired_shards, "stage=codebook")
    step_done = ProgressCallback.on_train_batch_end

    def press(self: ProgressCallback, trainer: Trainer, *rest: object) -> None:
        step_done(self, trainer, *rest)
        if trainer.global_step == STEPS - 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(ProgressCallback, "on_train_batch_end", press)
    with pytest.raises(KeyboardInterrupt):
        train(chosen, tmp_path)
    monkeypatch.undo()
    train(chosen, tmp_path)
    assert RunFolder(tmp_path).weights("codebook").is_file()
    assert len(read_curves(RunFolder(tmp_path).curves("codebook"))["train/loss"]) == STEPS


def test_a_damaged_checkpoint_is_named(paired_shards: Path, tmp_path: Path) -> None:
    checkpoint = RunFolder(tmp_path).checkpoint("codebook")
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"cut short")
    with pytest.raises(UserError, match=r"last\.ckpt is damaged; delete it"):
        train(settings(paired_shards, "stage=codebook"), tmp_path)


def test_a_line_cut_short_spoils_no_curve(tmp_path: Path) -> None:
    path = tmp_path / "curves.jsonl"
    logger = RunLogger(NoRun(), "codebook", path)
    logger.log_metrics({"train/loss": 3.0}, step=1)
    path.write_text(path.read_text() + '\n{"step": 2, "tra')
    logger.log_metrics({"train/loss": 1.0}, step=2)
    assert read_curves(path) == {"train/loss": [(1, 3.0), (2, 1.0)]}


def test_each_stage_trains_its_own_parts_and_no_other(trained_chain: Path) -> None:
    folder = RunFolder(trained_chain)
    codebook, prior, restorer = (load_file(folder.weights(name)) for name in ("codebook", "prior", "restorer"))

    def changed(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> set[str]:
        return {name for name in one if not torch.equal(one[name], other[name])}

    by_prior, by_restorer = changed(codebook, prior), changed(prior, restorer)
    assert by_prior
    assert all(name.startswith("prior.") and "codebook" not in name for name in by_prior)
    assert {name.split(".")[1] for name in by_prior} == {"encoder", "spatial", "temporal"}
    assert {name.split(".")[0] for name in by_restorer} == {"backbone", "refinement"}
    assert any("fusions" in name for name in by_restorer)


def test_checkpoints_hold_only_plain_types(trained_chain: Path) -> None:
    checkpoint = torch.load(RunFolder(trained_chain).checkpoint("restorer"), weights_only=True)
    assert checkpoint["global_step"] == STEPS
    assert not any("perceptual" in name for name in checkpoint["state_dict"])


def test_a_stage_can_be_trained_alone_from_another_run_with_another_backbone(
    paired_shards: Path, trained_chain: Path, tmp_path: Path
) -> None:
    alone = settings(paired_shards, "stage=restorer", f"start_from={trained_chain}", "backbone.layers=1")
    model = train(alone, tmp_path)
    before = load_file(RunFolder(trained_chain).weights("prior"))
    for name, value in model.prior.state_dict().items():
        assert torch.equal(value, before[f"prior.{name}"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["stage=prior"], "give start_from=RUN_FOLDER"),
        (["stage=prior", "start_from=nowhere"], "no weights of the codebook stage"),
        (["stage=codebook", "start_from=nowhere"], "starts from nothing"),
    ],
)
def test_a_stage_without_its_predecessor_is_refused(paired_shards: Path, tmp_path: Path, changes, words: str) -> None:
    with pytest.raises(UserError, match=words):
        train(settings(paired_shards, *changes), tmp_path)


def test_a_prior_that_does_not_fit_is_refused(paired_shards: Path, trained_chain: Path, tmp_path: Path) -> None:
    other = settings(paired_shards, "stage=prior", f"start_from={trained_chain}", "size.entries=8")
    with pytest.raises(UserError, match="another prior"):
        train(other, tmp_path)


def test_without_its_temporal_side_the_chain_trains_too(paired_shards: Path, tmp_path: Path) -> None:
    changes = [item for item in SMALLEST if "temporal" not in item]
    chosen = settings(paired_shards, "exp=ablation_no_temporal", *changes)
    model = train(chosen, tmp_path)
    assert not any("temporal" in name for name, _ in model.named_parameters())
    curves = read_curves(RunFolder(tmp_path).curves("prior"))
    assert "train/code_spatial" in curves
    assert "train/code_temporal" not in curves


def test_the_model_folder_describes_itself(paired_shards: Path, trained_chain: Path) -> None:
    folder = RunFolder(trained_chain)
    reopened = Restorer.from_pretrained(folder.model)
    for name, value in load_file(folder.weights("restorer")).items():
        assert torch.equal(reopened.state_dict()[name], value)
    described = json.loads((folder.model / "config.json").read_text())["model"]
    assert described == settings(paired_shards).model


def test_an_interrupted_run_with_a_moving_average_equals_an_uninterrupted_one(
    paired_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(
        paired_shards, "stage=codebook", "trainer.averaging=0.5", "trainer.accumulate=2", "trainer.checkpoint_every=1"
    )
    whole = train(chosen, tmp_path / "whole")
    raw = train(settings(paired_shards, "stage=codebook", "trainer.accumulate=2"), tmp_path / "raw")
    step_done = ProgressCallback.on_train_batch_end

    def cut(self: ProgressCallback, trainer: Trainer, *rest: object) -> None:
        step_done(self, trainer, *rest)
        if trainer.global_step == STEPS - 1:
            raise PowerCut

    monkeypatch.setattr(ProgressCallback, "on_train_batch_end", cut)
    with pytest.raises(PowerCut):
        train(chosen, tmp_path / "cut")
    monkeypatch.undo()
    resumed = train(chosen, tmp_path / "cut").state_dict()
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed[name], value), name
    assert any(not torch.equal(raw.state_dict()[name], value) for name, value in whole.state_dict().items())


def test_gradient_checkpointing_trains_what_plain_training_trains(
    paired_shards: Path, trained_chain: Path, plain_restorer: Path, tmp_path: Path
) -> None:
    start = ("stage=restorer", f"start_from={trained_chain}")
    plain = load_file(RunFolder(plain_restorer).weights("restorer"))
    saving = train(settings(paired_shards, *start, "trainer.gradient_checkpointing=true"), tmp_path / "saving")
    torch.testing.assert_close(dict(saving.state_dict()), plain, atol=1e-6, rtol=0)


def test_half_precision_moves_the_weights_where_full_precision_moves_them(
    paired_shards: Path, trained_chain: Path, plain_restorer: Path, tmp_path: Path
) -> None:
    words = ("stage=restorer", f"start_from={trained_chain}", "trainer.precision=bf16-mixed")
    train(settings(paired_shards, *words), tmp_path)
    assert settings(paired_shards).trainer.precision == "32-true"
    ends = [(trained_chain, "prior"), (plain_restorer, "restorer"), (tmp_path, "restorer")]
    parts = [_below(load_file(RunFolder(folder).weights(stage)), "backbone") for folder, stage in ends]
    begin, full, half = (torch.cat([part[name].flatten() for name in sorted(parts[0])]) for part in parts)
    assert not torch.equal(full, half), "bfloat16 was not in effect"
    assert torch.cosine_similarity(full - begin, half - begin, dim=0) > 0.9
    losses = [read_curves(RunFolder(folder).curves("restorer"))["train/loss"] for folder in (plain_restorer, tmp_path)]
    assert dict(losses[1]) == pytest.approx(dict(losses[0]), rel=2e-2)


def test_a_moving_average_follows_a_short_stage(paired_shards: Path, tmp_path: Path) -> None:
    stage = ("stage=codebook", "stages.codebook.steps=20", "stages.codebook.module.warmup_steps=1")
    still = train(
        settings(paired_shards, *stage, "stages.codebook.steps=1", "stages.codebook.module.learning_rate=1e-20"),
        tmp_path / "still",
    )
    plain = train(settings(paired_shards, *stage), tmp_path / "plain")
    averaged = train(settings(paired_shards, *stage, "trainer.averaging=0.9999"), tmp_path / "averaged")
    begin, moved, kept = (
        torch.cat([value.detach().flatten() for value in model.prior.encoder.parameters()])
        for model in (still, plain, averaged)
    )
    assert 0.1 < (kept - begin).norm() / (moved - begin).norm() < 1.0


def test_a_compiled_backbone_trains_what_a_plain_one_trains(
    paired_shards: Path, trained_chain: Path, plain_restorer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tracing is what can go wrong in our code; generating C++ would take a minute.
    monkeypatch.setattr(torch.nn.Module, "compile", partialmethod(torch.nn.Module.compile, backend="eager"))
    start = ("stage=restorer", f"start_from={trained_chain}")
    plain = load_file(RunFolder(plain_restorer).weights("restorer"))
    compiled = train(settings(paired_shards, *start, "trainer.compile=true"), tmp_path / "compiled").state_dict()
    torch.testing.assert_close(dict(compiled), plain, atol=1e-5, rtol=0)


def test_the_latent_stage_hands_its_backbone_to_the_pixel_stage(paired_shards: Path, tmp_path: Path) -> None:
    latent = ("stages/restorer_latent=latent", *LATENT)
    train(settings(paired_shards, *latent), tmp_path / "whole")
    curves = read_curves(RunFolder(tmp_path / "whole").curves("restorer_latent"))
    assert len(curves["train/latent"]) == STEPS
    start = f"start_from={tmp_path / 'whole'}"
    alone = settings(paired_shards, "stage=restorer", start, *latent, "stages.restorer.module.learning_rate=1e-12")
    model = train(alone, tmp_path / "alone")
    before = load_file(RunFolder(tmp_path / "whole").weights("restorer_latent"))
    torch.testing.assert_close(model.backbone.state_dict(), _below(before, "backbone"), atol=1e-6, rtol=0)


LATENT = [f"stages.restorer_latent.{key}" for key in (f"steps={STEPS}", "batch_size=2", "frames=5", "crop=32")]


def _below(state: dict[str, torch.Tensor], part: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(f"{part}."): value for name, value in state.items() if name.startswith(f"{part}.")}


class TestExport:
    def test_it_writes_the_model_of_a_checkpoint_and_says_which_weights(
        self, paired_shards: Path, trained_chain: Path, tmp_path: Path
    ) -> None:
        folder = RunFolder(trained_chain)
        tree = load("train", [*SMALLEST])
        write_text(folder.config, OmegaConf.to_yaml(tree))
        said = export(folder.checkpoint("restorer"), tmp_path / "model", None)
        assert said == f"raw weights of step {STEPS} of restorer"
        exported = Restorer.from_pretrained(tmp_path / "model").state_dict()
        for name, value in load_file(folder.weights("restorer")).items():
            assert torch.equal(exported[name], value)

    def test_it_tells_the_average_from_the_weights(self, paired_shards: Path, tmp_path: Path) -> None:
        changes = ["stage=codebook", "trainer.averaging=0.5"]
        train(settings(paired_shards, *changes), tmp_path / "run")
        folder = RunFolder(tmp_path / "run")
        write_text(folder.config, OmegaConf.to_yaml(load("train", [*SMALLEST, *changes])))
        checkpoint = folder.checkpoint("codebook")
        assert export(checkpoint, tmp_path / "averaged", None).startswith("averaged weights")
        assert export(checkpoint, tmp_path / "raw", "raw").startswith("raw weights")
        averaged, raw = (Restorer.from_pretrained(tmp_path / name).state_dict() for name in ("averaged", "raw"))
        kept = load_file(folder.weights("codebook"))
        assert all(torch.equal(averaged[name], value) for name, value in kept.items())
        assert any(not torch.equal(raw[name], value) for name, value in kept.items())

    def test_a_run_s_configuration_cannot_name_what_is_no_network(
        self, paired_shards: Path, trained_chain: Path, tmp_path: Path
    ) -> None:
        folder = RunFolder(trained_chain)
        victim = tmp_path / "victim"
        victim.write_text("mine")
        tree = load("train", [*SMALLEST])
        tree.model = {"_target_": "dvface.files.write_text", "path": str(victim), "text": "owned"}
        write_text(folder.config, OmegaConf.to_yaml(tree))
        with pytest.raises(UserError, match="describes no Restorer"):
            export(folder.checkpoint("restorer"), tmp_path / "model", None)
        assert victim.read_text() == "mine"
        write_text(folder.config, "model: [")
        with pytest.raises(UserError, match="damaged"):
            export(folder.checkpoint("restorer"), tmp_path / "model", None)

    def test_what_is_no_checkpoint_or_has_no_average_is_refused(self, trained_chain: Path, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"name the last\.ckpt"):
            export(tmp_path / "last.ckpt", tmp_path / "model", None)
        folder = RunFolder(trained_chain)
        write_text(folder.config, OmegaConf.to_yaml(load("train", [*SMALLEST])))
        with pytest.raises(UserError, match="kept no moving average"):
            export(folder.checkpoint("restorer"), tmp_path / "model", "averaged")
