"""Study files that tests write."""

from pathlib import Path
from typing import Any

import yaml

PLAIN: dict[str, Any] = {
    "question": "Does it matter?",
    "baseline": "plain",
    "experiments": {"plain": "exp=tiny", "other": "exp=tiny fusion=symmetric"},
    "shared": ["data.workers=0"],
    "seeds": [0, 1],
    "measures": ["psnr"],
    "footage": "held_out",
    "budget": {"codebook": 2, "prior": 3, "restorer": 4},
}


def write_study(name: str, **changes: Any) -> Path:
    """``experiments/NAME/study.yaml`` in the working directory: `PLAIN` with changes; None takes a key away."""
    path = Path("experiments") / name / "study.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    tree = {key: value for key, value in {**PLAIN, **changes}.items() if value is not None}
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    return path
