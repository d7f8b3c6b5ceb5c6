"""The MLflow runs that hold an experiment's runs together: one for each experiment of a study."""

from collections.abc import Mapping
from typing import Any

from dvface.config.build import build
from dvface.studies.study import Study
from dvface.tracking.run import Status
from dvface.tracking.store import PARENT_TAG, TrackingStore


def open_parents(logger: Mapping[str, Any], study: Study, changes: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """The parent run of each experiment, made where there is none; the store is initialised first.

    A parent has the tags ``study`` and ``variant``, ``ablation`` with what the experiment changes against the baseline,
    and no ``run_folder``: it trains nothing.

    Args:
        logger: where runs are tracked, as in the configuration.
        study: the study.
        changes: label to what it changes against the baseline.

    Returns:
        MLflow's run id by label; nothing where runs are not tracked.
    """
    store = _local(logger)
    if store is None:
        return {}
    store.initialise()
    known = {
        run.tags["variant"]: run.id
        for run in store.runs(filter=f"tags.study = '{study.name}'")
        if PARENT_TAG not in run.tags and "run_folder" not in run.tags
    }
    parents = {}
    for label in study.experiments:
        tags = {"study": study.name, "variant": label, "mlflow.note.content": study.question}
        if label in known:
            run = store.open_run(known[label])
        else:
            run = store.start_run(study.name, f"{study.name} {label}", tags)
        run.set_tags({**tags, "ablation": "\n".join(changes[label]) or "baseline"})
        parents[label] = run.id
    return parents


def close_parents(logger: Mapping[str, Any], states: Mapping[str, Status]) -> None:
    """End parent runs.

    Args:
        logger: where runs are tracked, as in the configuration.
        states: how each ended, by MLflow's run id.
    """
    if (store := _local(logger)) is not None:
        for run_id, state in states.items():
            store.open_run(run_id).finish(state)


def _local(logger: Mapping[str, Any]) -> TrackingStore | None:
    """The store on this machine; what is mirrored from it to a server brings the parents along with their runs."""
    store = build(logger)
    return TrackingStore(store.uri, store.artifact_root) if isinstance(store, TrackingStore) else None
