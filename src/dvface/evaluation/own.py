"""Our own model's restorations of held-out footage, as video files that anyone can measure and look at."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from dvface.data.pairs import VideoPair
from dvface.errors import UserError
from dvface.files import sha256, write_json
from dvface.inference.whole import WholePicture
from dvface.inference.windows import WindowedRestorer
from dvface.models.restorer import Restorer, best_device
from dvface.report.progress import Progress
from dvface.video.write import EXACT, write_video

RESTORED, INPUT, REFERENCE = "restored", "input", "reference"
MADE_FROM = "restored.json"


def restore_held_out(
    checkpoint: Path, pairs: Sequence[VideoPair], out: Path, say: Callable[[str], None]
) -> dict[str, Path]:
    """Restore every degraded clip; write it, its degraded and its clean side, exact to the last bit, below ``out``.

    Clips that were restored already by these weights are kept, so a run that was cut short goes on.

    Args:
        checkpoint: a model folder.
        pairs: held-out footage.
        out: the output folder.
        say: is told what is taken over.

    Returns:
        Side -> folder of its videos: ``restored``, ``input``, ``reference``.

    Raises:
        UserError: one of these folders holds something that no earlier call wrote; the model cannot be read.
    """
    folders = {side: out / side for side in (RESTORED, INPUT, REFERENCE)}
    weights = {file.name: sha256(file) for file in sorted(checkpoint.iterdir()) if file.is_file()}
    clips = dict(zip(_names(pairs), pairs, strict=True))
    made_from = {name: {**weights, "clip": pair.digest()} for name, pair in clips.items()}
    before = _read(out / MADE_FROM)
    _refuse_foreign(folders, before)
    model = WindowedRestorer(WholePicture(Restorer.from_pretrained(checkpoint).to(best_device())))
    kept = {name for name, made in made_from.items() if before.get(name) == made}
    for folder in folders.values():
        for name in before.keys() - kept:
            (folder / f"{name}.mkv").unlink(missing_ok=True)
    write_json(out / MADE_FROM, made_from)
    kept &= {video.stem for video in folders[RESTORED].glob("*.mkv")}
    if kept:
        say(f"{len(kept)} of {len(pairs)} clips were restored before by the same weights and are kept")
    total = sum(len(pair.degraded) for name, pair in clips.items() if name not in kept)
    with Progress("restore held-out footage", total=total) as bar:
        for name, pair in clips.items():
            if name in kept:
                continue
            restored = []
            for frame in model(pair.degraded):
                restored.append(frame)
                bar.advance(note=name)
            # the restored one last: where it is, the clip is whole
            for side, frames in ((INPUT, pair.degraded), (REFERENCE, pair.clean), (RESTORED, restored)):
                write_video(folders[side] / f"{name}.mkv", frames[pair.measured_from :], pair.rate, **EXACT)
    return folders


def _refuse_foreign(folders: Mapping[str, Path], own: Collection[str]) -> None:
    """What somebody else put there must be neither deleted nor measured."""
    for folder in folders.values():
        for path in sorted(folder.iterdir()) if folder.exists() else []:
            if path.suffix != ".mkv" or path.stem not in own:
                raise UserError(f"{path} was not written by this command; choose another folder: out=FOLDER")


def _names(pairs: Sequence[VideoPair]) -> list[str]:
    """A file name for each clip: the set's name, with a number where the set has several."""
    names, counts = [], dict.fromkeys((pair.name for pair in pairs), 0)
    several = len(pairs) > len(counts)
    for pair in pairs:
        counts[pair.name] += 1
        names.append(f"{pair.name}-{counts[pair.name]:03d}" if several else pair.name)
    return names


def _read(path: Path) -> dict[str, Any]:
    """What the file says; nothing where there is none or it is no JSON."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
