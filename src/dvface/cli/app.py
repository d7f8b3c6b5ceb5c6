"""`dvface app`: the web page."""

from collections.abc import Sequence
from pathlib import Path

from dvface.app.settings import AppSettings
from dvface.config.compose import load, resolve
from dvface.config.schema import validated


def app(overrides: Sequence[str]) -> None:
    """Open the model and serve the page until interrupted."""
    from dvface.app.engine import ModelEngine
    from dvface.app.serve import require_gradio, serve
    from dvface.cli.checkpoints import chosen_model

    settings = validated(AppSettings, resolve(load("app", overrides)))
    require_gradio()
    checkpoint = chosen_model(settings.checkpoint, Path(settings.runs))
    engine = ModelEngine(checkpoint, name_of(checkpoint), window=settings.window, overlap=settings.overlap)
    print(f"model: {checkpoint}")
    serve(engine, settings)


def name_of(checkpoint: Path) -> str:
    """What the page calls a model folder: a run's folder name rather than ``model``, which all have."""
    folder = checkpoint.resolve()
    return f"{folder.parent.parent.name}/{folder.parent.name}" if folder.name == "model" else folder.name
