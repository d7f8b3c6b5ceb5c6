"""`dvface evaluate`: videos of any method, or our own model's restorations, measured."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from dvface.config.compose import load, resolve
from dvface.config.schema import validated
from dvface.evaluation.settings import EvaluateSettings


def evaluate(overrides: Sequence[str]) -> None:
    """Measure, write the files and print the table."""
    from dvface.evaluation.evaluate import Measures
    from dvface.evaluation.evaluate import evaluate as work
    from dvface.evaluation.published import beside_published, measured_table
    from dvface.evaluation.tables import footnotes
    from dvface.evaluation.writing import main_table, write_results

    settings = validated(EvaluateSettings, resolve(_filled(load("evaluate", overrides))))
    if settings.report == "paper":
        measured_table(settings.testset)
    out = Path(settings.out)
    with_reference = settings.checkpoint is not None or settings.reference is not None
    measures = Measures(settings.metrics, with_reference)
    if settings.checkpoint is None:
        methods = _methods(settings)
        reference = None if settings.reference is None else Path(settings.reference)
    else:
        methods, reference = _restored_by(settings, out, overrides)
    results = work(methods, reference, measures, out, settings.mismatch, print)
    write_results(results, out)
    print(main_table(results).text(), end="")
    print(footnotes(results).text())
    if settings.report == "paper":
        print(beside_published(results, settings.testset).text())
    print(f"wrote: {out / 'metrics.json'}")
    print(f"page: {out / 'report.html'}")


def _filled(tree: DictConfig) -> DictConfig:
    """Only held-out clips are read, so where the training set lies need not be said."""
    source = tree.data.source
    if OmegaConf.is_missing(source, "train") and not OmegaConf.is_missing(source, "held_out"):
        source.train = source.held_out
    return tree


def _methods(settings: EvaluateSettings) -> dict[str, Path]:
    if isinstance(settings.restored, dict):
        return {name: Path(path) for name, path in settings.restored.items()}
    assert settings.restored is not None
    return {"restored": Path(settings.restored)}


def _restored_by(settings: EvaluateSettings, out: Path, overrides: Sequence[str]) -> tuple[dict[str, Path], Path]:
    """Our model's restorations, with what it was given, and the clean clips."""
    from dvface.cli.checkpoints import chosen_model
    from dvface.config.build import build
    from dvface.evaluation.own import INPUT, REFERENCE, RESTORED, restore_held_out
    from dvface.tracking.provenance import provenance, write_provenance

    assert settings.checkpoint is not None
    model = chosen_model(settings.checkpoint, Path(settings.runs))
    print(f"model: {model}")
    source = build(settings.data.source)
    pairs = source.held_out()
    folders = restore_held_out(model, pairs, out, print)
    manifests = {name: source.manifests()[name] for name in dict.fromkeys(pair.name for pair in pairs)}
    record = provenance(manifests, settings.seed, overrides)
    write_provenance(out, replace(record, program="evaluate", model=str(model.resolve())))
    return {side: folders[side] for side in (RESTORED, INPUT)}, folders[REFERENCE]
