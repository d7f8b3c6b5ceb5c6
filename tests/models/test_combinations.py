"""Any two variants of any two families work together: they train one step in every stage and survive an export.

All combinations would be millions. A covering array is enough to find what two variants do to each other: every pair
of variants from different families stands in at least one of these systems.
"""

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from tests.conftest import SMALLEST

from dvface.config.build import build
from dvface.config.compose import groups, load, resolve
from dvface.config.schema import STAGES, check
from dvface.contracts import ClipBatch
from dvface.models.backbones.text import StoredText
from dvface.models.restorer import Restorer
from dvface.training.stage import Stage

NO_SIDE = {
    "both": [],
    "spatial": ["prior/temporal=none", "fusion/temporal=none"],
    "temporal": ["prior/spatial=none", "fusion/spatial=none"],
}
FAMILIES: dict[str, list[list[str]]] = {
    "autoencoder": [[f"autoencoder={name}"] for name in groups()["autoencoder"]],
    "backbone": [[f"backbone={name}"] for name in groups()["backbone"]],
    "text": [[f"text={name}"] for name in groups()["text"]],
    "one_step": [[f"one_step={name}"] for name in groups()["one_step"]],
    "fusion": [[f"fusion={name}"] for name in groups()["fusion"]],
    "codebooks": [
        [f"codebook/spatial={one}", f"codebook/temporal={other}"]
        for one, other in zip(groups()["codebook/spatial"], groups()["codebook/temporal"][::-1], strict=True)
    ],
    "prior": [[f"prior={name}"] for name in groups()["prior"]],
    "encoder": [[f"prior/encoder={name}"] for name in groups()["prior/encoder"]],
    "temporal": [[f"prior/temporal={name}"] for name in groups()["prior/temporal"] if name != "none"],
    "sides": list(NO_SIDE.values()),
    "refinement": [[f"refinement={name}"] for name in groups()["refinement"]],
}
SMALL: dict[str, Any] = {
    "autoencoder.channels": 12,
    "autoencoder.base_dim": 4,
    "autoencoder.multipliers": [1, 1, 1, 1],
    "autoencoder.width": 8,
    "autoencoder.encoder_channels": 8,
    "autoencoder.decoder_channels": [8, 8, 8, 8],
    "backbone.channels": [8],
    "backbone.heads": 2,
    "backbone.layers": 2,
    "backbone.feed_forward_dim": 32,
    "backbone.rank": 2,
    "text.tokens": 3,
    "text.dim": 8,
    **{
        f"fusion.{side}.{key}": value
        for side in ("spatial", "temporal")
        for key, value in (("width", 16), ("heads", 2))
    },
    **{f"prior.{side}.predictor.depth": 1 for side in ("spatial", "temporal")},
}


def covering_array() -> list[dict[str, int]]:
    """Few choices of one variant a family that hold every pair; greedy, always the same."""
    names = list(FAMILIES)
    missing = {
        ((one, first), (other, second))
        for one, other in combinations(names, 2)
        for first in range(len(FAMILIES[one]))
        for second in range(len(FAMILIES[other]))
    }
    rows = []
    while missing:
        row = dict(min(missing))
        for name in names:
            if name not in row:
                gains = [
                    sum((pair in missing) for pair in _pairs({**row, name: variant}, names))
                    for variant in range(len(FAMILIES[name]))
                ]
                row[name] = gains.index(max(gains))
        missing -= set(_pairs(row, names))
        rows.append({name: row[name] for name in names})
    return rows


def _pairs(row: dict[str, int], names: list[str]) -> list[tuple[tuple[str, int], tuple[str, int]]]:
    return [
        ((one, row[one]), (other, row[other])) for one, other in combinations(names, 2) if one in row and other in row
    ]


def overrides(row: dict[str, int]) -> list[str]:
    # A side that is none comes last, so that it wins over the variants chosen for it.
    chosen = [text for name in FAMILIES for text in FAMILIES[name][row[name]]]
    return list({text.partition("=")[0]: text for text in chosen}.values())


ROWS = [overrides(row) for row in covering_array()]


@pytest.mark.parametrize("chosen", ROWS, ids=[" ".join(row) for row in ROWS])
def test_it_trains_a_step_in_every_stage_and_survives_an_export(chosen: list[str], tmp_path: Path) -> None:
    general = [text for text in SMALLEST if text.startswith(("size.", "stages."))]
    stages = ["stages/autoencoder=reconstruction", "stages/restorer_latent=latent"]
    tree = load("train", [*general, *stages, *chosen])
    for key, value in SMALL.items():
        if OmegaConf.select(tree, key) is not None:
            OmegaConf.update(tree, key, value)
    settings = check(resolve(tree))
    model: Restorer = build(settings.model)
    with torch.no_grad():  # zero layers would let no gradient through
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
        if isinstance(text := getattr(model.backbone, "text", None), StoredText):
            text.embedding.normal_()
    batch = ClipBatch(*(torch.rand(2, 3, 5, 32, 32) * 2 - 1 for _ in range(2)), keys=("a", "b"))
    for name in STAGES if list(model.autoencoder.parameters()) else STAGES[1:]:
        stage: Stage = build(settings.stages.of(name).module)(model=model).train()
        learning = {key: value for key, value in stage.named_parameters() if value.requires_grad}
        frozen = {key: value.clone() for key, value in stage.named_parameters() if not value.requires_grad}
        loss, values = stage.losses(batch)
        loss.backward()
        assert all(torch.isfinite(value).all() for value in (loss, *values.values()))
        unmoved = [key for key, value in learning.items() if value.grad is None or not value.grad.any()]
        # A finite scalar quantizer starts at its middle value, which is zero.
        assert [key for key in unmoved if not key.endswith("project_out.weight")] == []
        torch.optim.SGD(learning.values(), lr=1e-3).step()
        for key, value in stage.named_parameters():
            if key in frozen:
                assert value.grad is None, key
                assert torch.equal(value, frozen[key]), key
            value.grad = None
    model.save_pretrained(tmp_path, settings.model)
    reopened = Restorer.from_pretrained(tmp_path)
    with torch.inference_mode():
        assert torch.equal(reopened(batch.degraded), model.eval()(batch.degraded))
