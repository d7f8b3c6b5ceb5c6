import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.comparison.fabricated import Numbers, fabricate

from dvface.comparison.compare import compare
from dvface.comparison.settings import CompareSettings
from dvface.config.compose import load, resolve
from dvface.config.schema import validated
from dvface.errors import UserError
from dvface.seeding import derive_generator
from dvface.tracking.store import SqliteStore

ABLATION = ["exp=ablation_no_temporal"]
NONE = {"study": None, "runs": None, "baseline": None, "footage": None, "measures": None, "out": None}


def noise(*key: object) -> float:
    return float(derive_generator(0, "test", str(key)).normal())


def numbers(variant: str, shift: float = 0.0, luck: float = 0.0) -> Numbers:
    """Clips that differ much, seeds that differ by ``luck``, a rest that is small."""

    def of(seed: int, clip: int) -> dict[str, float]:
        psnr = 30 + 3 * noise(clip) + luck * noise(variant, seed) + 0.01 * noise(variant, seed, clip)
        return {"psnr": psnr + shift, "stlpips_alex": 0.3 - shift / 10 + 0.001 * noise("l", variant, seed, clip)}

    return of


@pytest.fixture
def root(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def run(root: Path, **given: object) -> list[str]:
    said: list[str] = []
    compare(CompareSettings(**{**NONE, "folder": str(root), **given}), said.append)
    return said


def trained(root: Path, variant: str, of: Numbers, words: Sequence[str] = (), seeds: Sequence[int] = (0, 1, 2), **more):
    for seed in seeds:
        fabricate(root / "tiny" / f"{variant}-{seed}", of, seed, words, **more)


def differences(folder: str = "comparison") -> list[dict[str, str]]:
    return list(csv.DictReader(Path(folder, "differences.csv").read_text().splitlines()))


def test_what_is_better_is_said_to_be_and_what_is_only_lucky_is_not(root: Path) -> None:
    trained(root, "full", numbers("full"))
    trained(root, "worse", numbers("worse", shift=-1), ABLATION)
    trained(root, "lucky", numbers("lucky", luck=0.3), ["fusion=symmetric"])
    said = run(root, baseline="tiny (full-0)")
    worse = next(
        line for line in said if line.startswith("ablation_no_temporal is worse than tiny (full-0): psnr -1.0")
    )
    assert "higher for 0 of 3 seeds and 0 of 12 clips" in worse
    assert any(line.startswith("No difference shown between tiny (lucky-0) and tiny (full-0): psnr") for line in said)
    assert any("By other measures, as hints: ablation_no_temporal is worse (stlpips_alex +0." in line for line in said)
    assert any(line.startswith("3 seeds tell little") for line in said)
    found = {(one["variant"], one["measure"]): one for one in differences()}
    lucky = found["tiny (lucky-0)", "psnr"]
    assert lucky["shown"] == "no"
    assert float(lucky["p_clips"]) < 0.001  # what clips alone would have called a difference
    assert float(lucky["low"]) < 0 < float(lucky["high"])
    assert float(found["ablation_no_temporal", "psnr"]["difference"]) == pytest.approx(-1, abs=0.01)


def test_an_equal_variant_has_no_difference(root: Path) -> None:
    trained(root, "full", numbers("same"), clips=range(3))
    trained(root, "twin", numbers("same"), ABLATION, clips=range(3))
    said = run(root, measures=["psnr"])
    assert any(
        line.startswith("No difference shown between ablation_no_temporal and tiny: psnr +0.00") for line in said
    )
    assert {one["p_holm"] for one in differences()} == {"1.0"}


def test_one_seed_speaks_of_the_trained_models_alone(root: Path) -> None:
    trained(root, "full", numbers("full"), seeds=[4])
    trained(root, "worse", numbers("worse", shift=-1), ABLATION, seeds=[4])
    said = run(root, measures=["psnr"])
    assert any(line.startswith("The trained model of ablation_no_temporal is worse than that of tiny") for line in said)
    assert any("holds for these trained models, not for the methods" in line for line in said)
    (test,) = differences()
    assert (test["covers"], test["p_seeds"]) == ("clips", "")
    assert float(test["p"]) == pytest.approx(2 / 2**12)


def test_five_clips_of_one_seed_can_show_nothing_and_it_is_said(root: Path) -> None:
    trained(root, "full", numbers("full"), seeds=[0], clips=range(5))
    trained(root, "worse", numbers("worse", shift=-9), ABLATION, seeds=[0], clips=range(5))
    assert any("none, however large, could have been shown" in line for line in run(root, measures=["psnr"]))


def test_missing_seeds_and_unfinished_runs_are_said_and_the_rest_is_compared(root: Path) -> None:
    trained(root, "full", numbers("full"))
    trained(root, "worse", numbers("worse", shift=-1), ABLATION, seeds=[0, 1])
    trained(root, "worse", numbers("worse"), ABLATION, seeds=[2], finished=False)
    said = run(root)
    assert "tiny/worse-2 is left out: it is not finished." in said
    assert any(line.startswith("ablation_no_temporal has the seeds 0, 1;") for line in said)
    assert {one["seeds"] for one in differences()} == {"2"}


def test_other_footage_is_not_compared(root: Path) -> None:
    trained(root, "full", numbers("full"), seeds=[0])
    trained(root, "other", numbers("other"), ABLATION, seeds=[0], draw_of=1)
    said = run(root)
    assert any("cannot be compared with tiny: they were measured on different clips" in line for line in said)
    assert any("Nothing is ranked" in line for line in said)
    assert "**" not in Path("comparison/comparison.md").read_text().split("## Differences")[0]


def test_seeds_with_clips_of_their_own_are_independent(root: Path) -> None:
    for seed in range(3):
        trained(root, "full", numbers("full"), seeds=[seed], draw_of=seed + 1)
        trained(root, "worse", numbers("worse", shift=-1), ABLATION, seeds=[seed], draw_of=seed + 1)
    said = run(root, measures=["psnr"])
    assert "The seed of a run also draws its held-out clips: each seed has clips of its own." in said
    assert differences()[0]["clips"] == "36"
    assert differences()[0]["p"] == differences()[0]["p_seeds"]


def test_runs_of_before_clips_were_kept_have_means_and_no_tests(root: Path) -> None:
    for name, words in (("full", []), ("old", ABLATION)):
        folder = fabricate(root / "tiny" / name, numbers(name), words=words)
        found = json.loads((folder / "metrics.json").read_text())
        (folder / "metrics.json").write_text(json.dumps({k: v for k, v in found.items() if "clips" not in k}))
    said = run(root, measures=["psnr"])
    assert any("was measured before numbers of clips were kept" in line for line in said)
    assert [one["difference"] for one in differences()] == [""]


def test_measures_that_a_run_lacks_and_code_that_differs_are_said(root: Path) -> None:
    trained(root, "full", numbers("full"), seeds=[0])
    of = numbers("less")
    trained(root, "less", lambda seed, clip: {"psnr": of(seed, clip)["psnr"]}, ABLATION, seeds=[0], source="two")
    said = run(root)
    assert "Left out: fvd: no network." in said
    assert any(line.startswith("The runs were trained by different versions of the code") for line in said)
    (missing,) = [one for one in differences() if one["measure"] == "stlpips_alex"]
    assert missing["reason"] == "ablation_no_temporal has no numbers of clips of it"


def test_everything_on_the_page_is_escaped_and_nothing_is_loaded(root: Path) -> None:
    hostile = "<script>alert(1)</script>"
    trained(root, "full", numbers("full"), seeds=[0], clips=range(2))
    fabricate(root / "tiny" / "a&b", numbers("x"), 0, [*ABLATION, "trainer.log_every=7"], clips=range(2))
    path = root / "tiny" / "a&b" / "config.yaml"
    path.write_text(path.read_text().replace("exp: ablation_no_temporal", f"exp: '{hostile}'"))
    run(root)
    page = Path("comparison/comparison.html").read_text()
    assert hostile not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "default-src 'none'" in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert hostile not in Path("comparison/comparison.md").read_text()


def test_the_same_clip_of_every_variant_plays_from_one_button_while_there_is_room(root: Path, monkeypatch) -> None:
    trained(root, "full", numbers("full"), seeds=[0], clips=range(2), videos=True)
    trained(root, "worse", numbers("worse"), ABLATION, seeds=[0], clips=range(1, 3), videos=True)
    run(root)
    page = Path("comparison/comparison.html").read_text()
    assert page.count('<video src="data:video/mp4;base64,') == 3 + 4  # input, variants, clean; clip-0 lacks one
    assert page.count("<button") == 2
    assert "ablation_no_temporal: there is no video of this clip with seed 0." in page
    assert "script-src 'sha256-" in page
    monkeypatch.setattr("dvface.comparison.writing.MOST_BYTES", 1)
    run(root)
    page = Path("comparison/comparison.html").read_text()
    assert "<video" not in page
    assert "Not in this page, which is full" in page


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"runs": ["ful-0"]}, r"there is no such run below .*; did you mean 'full-0'\?"),
        ({"runs": ["exp=tiny"]}, "no tracking store yet"),
        ({"baseline": "tinny"}, r"baseline=tinny: there is no such variant; did you mean 'tiny'\?"),
        ({"measures": ["psnt"]}, r"measures=psnt: no run has it; did you mean 'psnr'\?"),
        ({"measures": ["fvd"]}, "it was left out: no network"),
        ({"footage": "held_put"}, r"it did not measure footage=held_put; did you mean 'held_out'\?"),
        ({"study": "fusion", "runs": ["full-0"]}, "leave out one of them"),
        ({"study": "no_such_study_here"}, "there is no study 'no_such_study_here'"),
    ],
)
def test_mistakes_end_in_one_sentence(given, sentence, root: Path) -> None:
    trained(root, "full", numbers("full"), seeds=[0], clips=range(1))
    with pytest.raises(UserError, match=sentence) as raised:
        run(root, **given)
    assert "\n" not in str(raised.value)


def test_runs_are_found_by_name_folder_tag_and_filter(root: Path) -> None:
    trained(root, "full", numbers("full"), seeds=[0, 1], clips=range(1))
    store = SqliteStore(root)
    for seed, colour in ((0, "red"), (1, "blue")):
        tags = {"run_folder": str(root / "tiny" / f"full-{seed}"), "colour": colour}
        store.start_run("dvface", f"tiny full-{seed}", tags).finish()
    store.start_run("dvface", "a parent", {"colour": "red"}).finish()

    def seeds(*entries: str) -> set[str]:
        run(root, runs=list(entries))
        return {row["seed"] for row in csv.DictReader(Path("comparison/numbers.csv").read_text().splitlines())}

    assert seeds("full-1") == seeds("tiny/full-1") == seeds(str(root / "tiny" / "full-1")) == {"1"}
    assert seeds("tiny full-0", "full-1") == seeds(str(root)) == seeds(str(root / "tiny")) == {"0", "1"}
    assert seeds("colour=red") == {"0"}
    assert seeds("tags.colour = 'blue'") == {"1"}
    with pytest.raises(UserError, match=r"no run has the tag 'color'; did you mean 'colour'\?"):
        run(root, runs=["color=red"])
    with pytest.raises(UserError, match=r"no run has that value of the tag 'colour'; did you mean 'red'\?"):
        run(root, runs=["colour=redd"])
    with pytest.raises(UserError, match="is not an MLflow search expression"):
        run(root, runs=["tags.colour == 'blue'"])


@pytest.mark.parametrize(
    ("word", "entries"),
    [
        ("runs=[tiny/first,exp=small]", ["tiny/first", "exp=small"]),
        ("runs=exp=small", ["exp=small"]),
        ("runs=[20261122-120000,7]", ["20261122-120000", "7"]),
        ("runs=[\"tags.exp = 'tiny' and metrics.x < 3\", b]", ["tags.exp = 'tiny' and metrics.x < 3", "b"]),
    ],
)
def test_what_the_command_line_takes_for_runs(word: str, entries: list[str]) -> None:
    assert validated(CompareSettings, resolve(load("compare", [word]))).runs == entries


def test_a_study_is_compared_with_its_baseline_and_says_what_is_missing(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "experiments" / "heads"
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(
        "question: Do more heads help?\nbaseline: two\n"
        "experiments: {four: [fusion.spatial.heads=4], two: [fusion.spatial.heads=2]}\n"
        "seeds: [0, 1]\nmeasures: [stlpips_alex, psnr]\nfootage: held_out\n"
        "budget: {codebook: 2, prior: 2, restorer: 2}\n"
    )
    for label, seed in (("two", 0), ("two", 1), ("four", 0)):
        fabricate(root / "studies" / "heads" / f"{label}-seed{seed}", numbers(label), seed)
    said = run(root, study="heads")
    assert "four, seed 1, is missing: it has not begun." in said
    text = Path("comparison/heads/comparison.md").read_text()
    assert "**Do more heads help?**" in text
    assert "## Differences to two" in text
    assert text.index("### stlpips_alex") < text.index("### psnr")
    assert {one["variant"] for one in differences("comparison/heads")} == {"four"}
