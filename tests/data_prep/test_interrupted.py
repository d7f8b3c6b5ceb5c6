"""Killed at any point and started again, a run ends with the same bytes as one that was left in peace."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.data_prep.footage import RATE, contents, run
from tests.training.processes import CONTEXT, PATIENCE, Command

from dvface.cli.main import run as main
from dvface.data.shards import verify
from dvface.data_prep.engines import cluster
from dvface.data_prep.folder import alone
from dvface.errors import UserError
from dvface.video.write import write_video


def killed_by_itself(left: int, words: list[str]) -> None:
    """A command that ends as if by a power cut just before the file number ``left`` appears."""
    really = Path.replace

    def replace(self: Path, target: str | Path) -> Path:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return really(self, target)

    Path.replace = replace  # type: ignore[method-assign]
    sys.argv = ["dvface", *words]
    main()


def kill(point: int, *words: str) -> int | None:
    """The exit code of a command that kills itself, in a process that has imported everything."""
    process = CONTEXT.Process(target=killed_by_itself, args=(point, ["degrade", *words]))
    process.start()
    process.join()
    return process.exitcode


@pytest.fixture(scope="module")
def clean(carphone: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clean")
    for number in range(3):
        write_video(folder / f"{number}.mp4", carphone[20 * number : 20 * number + 7, :64, :80], RATE)
    (folder / "bad.mp4").write_text("no video")
    return folder


@pytest.mark.parametrize(
    ("words", "points"),
    [
        # Files appear in this order: degrade.json, footage.json, then two sides and a part for each clip …
        (["format=videos"], (1, 4, 5, 13)),  # … then rejected.jsonl and the manifest
        (["format=shards", "clip_frames=3", "clips_per_shard=2"], (3, 6)),
    ],
)
def test_killed_at_many_points_it_ends_with_the_same_bytes(
    clean: Path, words: list[str], points: tuple[int, ...], tmp_path: Path
) -> None:
    undisturbed = contents(run(clean, tmp_path / "undisturbed", *words))
    out = tmp_path / "out"
    commands = [f"input={clean}", f"output={out}", "recipe=light", "jobs=1", *words]
    for point in points:
        killed = tmp_path / f"killed-{point}"
        commands[1] = f"output={killed}"
        assert kill(point, *commands) == -signal.SIGKILL
        assert contents(killed) != undisturbed
        assert not (killed / "manifest.jsonl").exists()
        assert contents(run(clean, killed, *words)) == undisturbed
        assert verify(killed) == []


def test_what_is_done_is_not_done_again(clean: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [f"input={clean}", f"output={out}", "recipe=light", "jobs=1"]
    assert kill(7, *command) == -signal.SIGKILL
    first = out / "clean" / "0.mp4"
    before = first.stat().st_mtime_ns
    run(clean, out)
    assert first.stat().st_mtime_ns == before


def test_killed_after_the_manifest_only_the_remains_are_swept_away(clean: Path, tmp_path: Path) -> None:
    out = run(clean, tmp_path / "out")
    before = contents(out)
    (out / ".parts").mkdir()
    (out / ".parts" / "0.jsonl").write_text("{}\n")
    (out / "clean" / ".0-abcd.mp4").write_text("half")
    assert contents(run(clean, out)) == before


def test_with_the_parent_killed_among_its_workers_it_ends_with_the_same_bytes(clean: Path, tmp_path: Path) -> None:
    words = ["clip_frames=1", "clips_per_shard=1"]
    undisturbed = contents(run(clean, tmp_path / "undisturbed", *words))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "dvface.cli.main", "degrade", f"input={clean}", f"output={out}", "recipe=light"]
    process = subprocess.Popen([*command, "jobs=2", *words], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + PATIENCE
    while len(list(out.glob(".parts/*.jsonl"))) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert contents(run(clean, out, *words)) == undisturbed


def test_ctrl_c_says_how_to_go_on(clean: Path, tmp_path: Path) -> None:
    words = ["clip_frames=1", "clips_per_shard=1"]
    out = tmp_path / "out"
    command = [sys.executable, "-m", "dvface.cli.main", "degrade", f"input={clean}", f"output={out}", "recipe=light"]
    process = subprocess.Popen(
        [*command, "jobs=2", *words], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + PATIENCE
    while len(list(out.glob(".parts/*.jsonl"))) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: workers get it too
    said, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "interrupted; the same command goes on from here" in said
    assert "Traceback" not in said + errors
    assert contents(run(clean, out, *words)) == contents(run(clean, tmp_path / "undisturbed", *words))


def test_two_at_once_are_kept_apart(clean: Path, tmp_path: Path) -> None:
    with alone(tmp_path / "out"), pytest.raises(UserError, match="another process is at work"):
        run(clean, tmp_path / "out")
    run(clean, tmp_path / "out")


def test_the_exit_code_is_0_if_anything_was_written_and_2_if_nothing(clean: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "bad.mp4").write_text("no video")
    codes = {}
    for source in (clean, tmp_path / "bad"):
        words = [f"input={source}", f"output={tmp_path / 'out' / source.name}", "recipe=light", "jobs=1"]
        command = Command(["degrade", *words], tmp_path / "said" / source.name)
        codes[source] = command.wait()
        assert "Traceback" not in command.words()
        assert "bad.mp4: cannot be opened as a video" in command.words()
    assert codes == {clean: [0], tmp_path / "bad": [2]}


@pytest.mark.slow
def test_a_cluster_writes_the_same_bytes(clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="Ray is the optional extra dvface[cluster]")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    one, other = run(clean, tmp_path / "one"), run(clean, tmp_path / "other", "engine=ray", "jobs=2")
    assert contents(one) == contents(other)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"dvface\[cluster\]"):
        list(cluster(str, [1], 1))
