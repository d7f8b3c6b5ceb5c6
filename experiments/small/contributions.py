"""What each part of a trained model is worth: models with one part taken out, for `dvface evaluate checkpoint=…`.

Run: .venv/bin/python experiments/small/contributions.py MODEL FOLDER
Writes FOLDER/without_refinement (what the backbone alone makes of the latents), FOLDER/without_backbone (degraded
latents, refined), FOLDER/without_prior (the backbone without what the fusion injects), each a model folder. Nothing is
trained again: the other parts have learned to rely on the one that is missing.
"""

import json
import sys
from pathlib import Path

from torch import nn

from dvface.models.model_folder import CONFIG_FILE, model_folder
from dvface.models.restorer import Restorer, build_model


def without(model: Restorer, specification: dict, part: str) -> tuple[Restorer, dict]:
    """The same weights in a system of which one part does nothing."""
    changed = json.loads(json.dumps(specification))
    if part == "without_refinement":
        changed["refinement"] = {"_target_": "dvface.models.refinement.NoRefinement"}
    if part == "without_prior":
        nothing = {"_target_": "dvface.models.fusion.base.NoInjection", "_partial_": True}
        changed["backbone"]["fusions"] |= {"temporal": nothing, "spatial": nothing}
    other = build_model(changed)
    own = other.state_dict()
    other.load_state_dict({name: value for name, value in model.state_dict().items() if name in own})
    if part == "without_backbone":
        # a zero output layer makes the residual zero
        for parameter in other.backbone.transformer.proj_out.parameters():
            nn.init.zeros_(parameter)
    return other, changed


if __name__ == "__main__":
    source, target = model_folder(sys.argv[1]), Path(sys.argv[2])
    described = json.loads((source / CONFIG_FILE).read_text(encoding="utf-8"))["model"]
    for part in ("without_refinement", "without_backbone", "without_prior"):
        result, description = without(Restorer.from_pretrained(source), described, part)
        result.save_pretrained(target / part, description)
        print(target / part)
