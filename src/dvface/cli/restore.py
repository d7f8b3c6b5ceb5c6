"""`dvface restore`."""

from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from dvface.cli.checkpoints import chosen_model
from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.config.schema import RestoreSettings, validated
from dvface.errors import UserError
from dvface.files import orderly_end
from dvface.video.find import is_frame_folder, is_video_file

if TYPE_CHECKING:
    from dvface.inference.options import RestoreReport


def restore(overrides: Sequence[str]) -> int:
    """A video in, a video out; or a folder of them. Returns the exit code: 1 where videos of a folder were refused."""
    from dvface.inference.checks import check_paths
    from dvface.inference.folder import restore_folder
    from dvface.inference.job import restore_file
    from dvface.inference.options import RestoreOptions, RestoreReport
    from dvface.inference.plan import plan
    from dvface.models.restorer import Restorer, best_device

    settings = validated(RestoreSettings, resolve(load("restore", overrides)))
    options = RestoreOptions(**{field.name: getattr(settings, field.name) for field in fields(RestoreOptions)})
    source, target = Path(settings.input), Path(settings.output)
    pictures = source.is_dir() and is_frame_folder(source)
    many = source.is_dir() and not (pictures and not any(map(is_video_file, source.iterdir())))
    if not many:
        check_paths(source, target, options.overwrite)  # before the model is opened
    checkpoint = chosen_model(settings.checkpoint, Path(settings.runs))
    model = Restorer.from_pretrained(checkpoint).to(best_device())
    print(f"model: {checkpoint}", flush=True)
    detector = cache(lambda: build(settings.detector))

    def one(video: Path, output: Path) -> RestoreReport:
        said: list[str] = []

        def say(line: str) -> None:
            said.append(line)
            _print(line)

        with orderly_end():
            report = restore_file(model, video, output, options, detector, say=say)
        _tell(report, said)
        return report

    if many and pictures:
        print(f"note: the pictures in {source} are left alone, since it holds videos", flush=True)
    if settings.dry_run:
        if many:
            raise UserError("dry_run=true is for one video; name one of the folder")
        for line in plan(model, source, target, options, detector).lines():
            print(line)
        return 0
    if not many:
        one(source, target)
        return 0
    report = restore_folder(source, target, options.overwrite, one, _print)
    print(
        f"restored {len(report.restored)} videos into {target}; {len(report.present)} were there already, "
        f"{len(report.refused)} were left out"
    )
    for name, reason in report.refused.items():
        print(f"left out {name}: {reason}")
    return 1 if report.refused else 0


def _print(line: str) -> None:
    print(line, flush=True)


def _tell(report: "RestoreReport", said: Sequence[str]) -> None:
    for note in (note for note in report.notes if note not in said):
        print(f"note: {note}")
    faces = "" if report.faces is None else f", {report.faces} face track{'' if report.faces == 1 else 's'}"
    print(f"restored {report.frames} frames{faces}: {report.output}")
