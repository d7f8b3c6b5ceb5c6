"""Whom the page lets in, and what it says where it cannot start."""

import os
import socket
from pathlib import Path

import pytest

from dvface.app import serve
from dvface.app.settings import AppSettings
from dvface.config.compose import load, resolve
from dvface.config.schema import validated
from dvface.errors import UserError


def settings(*overrides: str) -> AppSettings:
    return validated(AppSettings, resolve(load("app", list(overrides))))


def test_the_page_is_for_this_machine_alone_unless_told_otherwise() -> None:
    chosen = settings()
    assert chosen.host == "127.0.0.1"
    assert serve.warning(chosen.host, chosen.port) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::"])
def test_another_host_is_warned_of_aloud(host: str) -> None:
    said = serve.warning(host, 7860)
    assert said is not None
    assert said.startswith("WARNING")
    assert host in said
    assert "no password" in said


def test_no_option_shares_the_page_with_the_world() -> None:
    with pytest.raises(UserError, match="share"):
        settings("share=true")


@pytest.mark.parametrize("override", ["port=0", "port=70000", "limits.seconds=0", "limits.megabytes=-1", "waiting=-1"])
def test_impossible_settings_are_refused_by_name(override: str) -> None:
    with pytest.raises(UserError, match=override.partition("=")[0].rpartition(".")[2]):
        settings(override)


def test_a_taken_port_is_one_sentence_with_another_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"port={port} cannot be used .* such as port={port % 65535 + 1}"):
            serve.listening("127.0.0.1", port)


def test_without_gradio_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"uv pip install 'dvface\[app\]'"):
        serve.require_gradio()


def test_gradio_is_told_to_tell_nobody_and_to_write_into_the_pages_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GRADIO_ANALYTICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY", "DISABLE_TELEMETRY", "GRADIO_SHARE"):
        monkeypatch.setenv(name, "True")
    monkeypatch.setenv("GRADIO_TEMP_DIR", "/elsewhere")
    serve.keep_quiet(tmp_path)
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert os.environ["GRADIO_SHARE"] == "False"
    assert Path(os.environ["GRADIO_TEMP_DIR"]).is_relative_to(tmp_path)
