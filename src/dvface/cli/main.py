"""`dvface <command>`: parses, imports what the command needs and nothing before, prints errors in one sentence."""

import errno
import gc
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from dvface.errors import UserError
from dvface.weights import WeightsMissing

app = typer.Typer(
    help="Video face restoration: train, restore, measure, compare.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Hydra overrides, such as exp=tiny or stages.restorer.steps=500."),
]


@app.callback()
def describe() -> None:
    """Video face restoration: train, restore, measure, compare."""


@app.command()
def train(overrides: Overrides = None) -> None:
    """Train the stages of an experiment; the last line names the run folder.

    Examples: dvface train · dvface train exp=ablation_no_temporal · dvface train stage=restorer start_from=RUN ·
    dvface train trainer=dry-run (prints plan and cost) · trainer=profile · trainer=debug (overfits one batch)

    A run that was interrupted goes on when the same words are given again, or by resume=RUN. fork=RUN goes on from a
    copy under changed settings, with optimiser and place in the data; warm_start=RUN starts from all of its weights;
    weights_only=RUN_OR_FILE from those that fit. Several machines: docs/training.md.
    """
    from dvface.cli.commands import train as work

    work(overrides or [])


@app.command()
def sweep(overrides: Overrides = None) -> None:
    """Train every combination of values: dvface sweep exp=a,b seed=0,1,2 [KEY=VALUE]...

    Each job is a dvface train of its own; the same command again skips finished jobs and goes on with the others.
    launcher.jobs=4 runs four at once, launcher.gpus=[0,1,2,3] gives each its own GPU; launcher=slurm
    launcher.partition=NAME launcher.minutes=1440 submits them instead (pip install 'dvface[cluster]'). Also range(0,5),
    choice(a,b), exp=glob(ablation_*); quote a comma that is none: key='a,b'. Logs: runs/sweeps/NAME.
    """
    from dvface.cli.commands import sweep as work

    code = work(overrides or [])
    if code:
        raise typer.Exit(code)


@app.command()
def study(overrides: Overrides = None) -> None:
    """Train what a study lacks: dvface study name=fusion [launcher.jobs=2] [hours=8] [KEY=VALUE]...

    A study is experiments/NAME/study.yaml: a question, experiments, seeds, measures, and one budget of steps for all.
    The same command again skips finished runs and goes on with the others; further words hold for all runs. Then:
    dvface compare study=NAME. launcher as in dvface sweep; run folders and logs: runs/studies/NAME.
    """
    from dvface.cli.commands import study as work

    code = work(overrides or [])
    if code:
        raise typer.Exit(code)


@app.command()
def restore(overrides: Overrides = None) -> None:
    """Restore a video, or a folder of them: dvface restore input=old.mp4 output=new.mp4 [mode=faces].

    Sound, subtitles, frame times, colours and size stay. Modes: aligned (the clip is the crop of one face), faces
    (find, follow and restore each face, leave the rest alone), frame (the whole picture); auto looks at the clip.
    More: fidelity=0.3, export=side_by_side|split, codec=h265 quality=20 bits=10, output=FOLDER (numbered pictures),
    dry_run=true. An interrupted job goes on by the same words.
    """
    from dvface.cli.restore import restore as work

    code = work(overrides or [])
    if code:
        raise typer.Exit(code)


@app.command("app")
def web_page(overrides: Overrides = None) -> None:
    """Restore videos on a web page of this machine: dvface app [port=7860] [checkpoint=small|newest|RUN].

    One job at a time, the others wait; uploads are limited (limits.megabytes, .seconds, .pixels) and removed again. The
    page answers this machine alone; host=0.0.0.0 lets everybody in who can reach it.
    """
    from dvface.cli.app import app as work

    work(overrides or [])


@app.command()
def evaluate(overrides: Overrides = None) -> None:
    """Measure restored videos: dvface evaluate restored=FILE_OR_FOLDER reference=FILE_OR_FOLDER [out=FOLDER].

    Videos or folders of frames, matched by name; several methods: restored={ours:DIR,theirs:DIR}; or checkpoint=RUN
    data=paired data.source.held_out=SHARDS for a model of ours (newest: the newest run's).
    metrics=[psnr,ssim,niqe], a group such as metrics=fidelity|identity|time|paper|all, or both; all names:
    dvface config list metrics. A measure whose network is not at hand is left out and named; dvface weights shows which
    are.

    Videos out of step, or of other sizes or frame counts, are refused; mismatch=align compares the frames that belong
    together, mismatch=truncate the first ones as they lie. report=paper prints the published numbers beside ours.
    Numbers per frame, clip and set, with 95 % bootstrap intervals, as JSON, CSV, Markdown, LaTeX and report.html. Cut
    short, the same command goes on.
    """
    from dvface.cli.commands import evaluate as work

    work(overrides or [])


@app.command()
def prepare(overrides: Overrides = None) -> None:
    """Turn raw footage into shards of aligned face clips: dvface prepare input=FOLDER output=FOLDER [layout=folder].

    Cuts, faces, tracks, smoothed landmarks, crops, quality filters, duplicates, a split in which no person and no
    recording crosses; then train/, validation/ and test/ with shards and manifests, and report.html, which shows what
    was kept and why the rest was not. A run that was interrupted goes on when the same command is given again.

    layout=folder|frames|vfhq|hdtf|voxceleb2|celebvhq|rfv_lq says how the input lies; crop=aligned|centred, size=512,
    clip_frames=17, rate=25 thins faster footage; scenes=adaptive|content|none; detector=best takes the best whose
    weights are at hand, or retinaface_resnet50|retinaface_mobilenet|dlib; filters=default|none|vfhq,
    filters.sharpness.least=40, '~filters.motion'; identity=dlib|none, duplicates=5|null; split.by=identity|source,
    split.validation=0.05, split.test=0. All keys: dvface config show --command prepare; meanings: conf/prepare.yaml.

    jobs=4 works on four cores; a file that gives no sign of life for time_limit=120 seconds is given up. On a cluster:
    `ray start` on its machines, then RAY_ADDRESS=HEAD:6379 dvface prepare … engine=ray (see dvface degrade --help).
    """
    from dvface.cli.commands import prepare as work

    work(overrides or [])


@app.command()
def degrade(overrides: Overrides = None) -> None:
    """Make a paired data set: dvface degrade input=FOLDER output=FOLDER [recipe=vfhq] [seed=0] [format=videos|shards].

    The input is a folder of videos or of folders of frames, one video, or a folder of clean shards. A run that was
    interrupted goes on when the same command is given again. clip_frames=17 cuts videos into clips of 17 frames,
    jobs=4 works on four cores, preview=true writes a picture of what the recipe does and nothing else.

    On a cluster: pip install 'dvface[cluster]', `ray start --head` on one machine, `ray start --address=HEAD:6379` on
    the others, then RAY_ADDRESS=HEAD:6379 dvface degrade … engine=ray; without RAY_ADDRESS Ray starts on this machine.
    """
    from dvface.cli.commands import degrade as work

    work(overrides or [])


@app.command("testset")
def build_testset(overrides: Overrides = None) -> None:
    """Turn a known test set's own files into a folder of videos: dvface testset protocol=NAME input=… output=….

    protocol=vfhq_test (its GT and LR_Blind frames), hdtf (clips of 81 frames, degraded by recipe=vfhq seed=0), rfv_lq
    and voxceleb2 (really degraded, without reference). The sets themselves come from their makers; nothing is
    downloaded. testset.json says what of the protocol is the paper's and what nobody knows.
    """
    from dvface.cli.commands import testset as work

    work(overrides or [])


@app.command()
def compare(overrides: Overrides = None) -> None:
    """Compare runs with a baseline: dvface compare study=NAME, or runs=[A,B,tag=VALUE], or all that are finished.

    Runs that differ in their seed alone are one variant. Writes comparison/comparison.html, one page that needs no
    network: means with intervals over seeds and clips, paired tests corrected for their number, curves, the same clips
    through every variant, and a conclusion in plain words; the same as Markdown, LaTeX and CSV.

    An entry of runs is a run's name or folder, a folder of runs, tag=value, or an MLflow filter such as
    "runs=[\"tags.exp = 'tiny'\"]". Further words: baseline=VARIANT, footage=SET, measures=[psnr].
    """
    from dvface.cli.commands import compare as work

    work(overrides or [])


@app.command()
def reproduce(
    run: Annotated[str, typer.Argument(help="A run folder, or a run's MLflow name or id.")],
    overrides: Overrides = None,
) -> None:
    """Rebuild a run's command, say whether it still means the same: dvface reproduce RUN [train=true] [name=NAME].

    Each key that differs from the stored configuration is named, and whether commit, code, versions, machine and data
    do. train=true makes the run again under another name and compares the final numbers. Exit code 1 where
    configuration or numbers are not the same.
    """
    from dvface.cli.reproduce import reproduce as work

    code = work(run, overrides or [])
    if code:
        raise typer.Exit(code)


@app.command()
def leaderboard(overrides: Overrides = None) -> None:
    """Put a result into experiments/leaderboard.csv and .md: dvface leaderboard run=RUN, or evaluation=FOLDER.

    The folder is what dvface evaluate checkpoint=… wrote. The same run replaces its row. A run of code that is not that
    of a commit is refused unless dirty=true. Without either the board is printed. file=PATH.csv is another board.
    """
    from dvface.cli.leaderboard import leaderboard as work

    work(overrides or [])


@app.command()
def sync(overrides: Overrides = None) -> None:
    """Bring recorded runs to an MLflow server: dvface sync to=http://HOST:5000 [run=NAME_OR_ID] [runs=runs].

    Parameters, curves, tags, artifacts, parents, states and times; again, only what is new is sent. logger=server does
    so while a run trains. Without to=, MLFLOW_TRACKING_URI of the environment says where.
    """
    from dvface.cli.sync import sync as work

    work(overrides or [])


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 5000,
    runs: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs"),
) -> None:
    """Open the MLflow page of all runs on this machine."""
    from dvface.cli.commands import interface

    interface(port, runs)


@app.command()
def summary(overrides: Overrides = None) -> None:
    """Parameters and operations of an experiment's model by part: dvface summary [exp=NAME] [frames=17] [json=true]."""
    from dvface.cli.commands import summary as work

    work(overrides or [])


@app.command()
def export(overrides: Overrides = None) -> None:
    """Turn a training checkpoint into a model folder: dvface export checkpoint=LAST.CKPT output=FOLDER.

    The checkpoint is RUN/stages/STAGE/last.ckpt. weights=averaged|raw chooses between the moving average and the
    weights themselves; the command says which it took.
    """
    from dvface.cli.commands import export as work

    work(overrides or [])


@app.command()
def text(overrides: Overrides = None) -> None:
    """Compute the empty prompt's embedding once: dvface text source=WAN_FOLDER output=text.safetensors."""
    from dvface.cli.commands import text as work

    work(overrides or [])


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="A data set, or one of several splits.")],
) -> None:
    """Check a data set against its manifest; exit code 1 when a file is missing, changed or not listed."""
    from dvface.cli.commands import verify as work

    if work(folder):
        raise typer.Exit(1)


@app.command()
def benchmark(overrides: Overrides = None) -> None:
    """Measure speed against a rival in the same run: dvface benchmark [parts=degradation,prepare,loading,…].

    degradation: our recipes against the same steps written plainly; recipes=vfhq,dove clips=16 frames=17 size=512.
    prepare: raw footage to clips, step by step, against decoding alone; input=FOLDER detector=best.
    loading: shards to batches, and degraded on the way, against decord alone; frames=17 size=512 rounds=5.
    training: steps of our trainer against a bare PyTorch loop; exp=tiny steps=40.
    These two also watch memory while batches=2000 pass.
    evaluation: measures with a reference against pyiqa's (pip install 'dvface[iqa]'); frames=17 size=512 rounds=5.
    restoring: from file to file, part by part; checkpoint=small frames=17.
    On demand only, with random weights:
    autoencoders: decoding with Wan's, whole, tiled and chunked, and with lighter ones; frames=17 size=512 rounds=5.
    full_size: on a GPU, bfloat16, plain and compiled; exp=dvface sizes=33x720x1280,81x512x512 rounds=5.
    """
    from dvface.cli.commands import benchmark as work

    work(overrides or [])


@app.command()
def weights(overrides: Overrides = None) -> None:
    """List pretrained networks: whose they are, what uses them, which are here: dvface weights [json=true].

    fetch=NAME[,NAME] downloads into ~/.cache/dvface/weights, fetch=missing all that have an address; nothing else ever
    does. verify=true checks the SHA-256 of all files that are here; exit code 1 when one is wrong.
    """
    from dvface.cli.commands import weights as work

    if work(overrides or []):
        raise typer.Exit(1)


@app.command()
def doctor() -> None:
    """Say what this machine has and lacks; exit code 1 when dvface cannot work."""
    from dvface.cli.commands import doctor as work

    if work():
        raise typer.Exit(1)


config = typer.Typer(help="Show, check, compare and list configurations.", no_args_is_help=True)
app.add_typer(config, name="config")


@config.command()
def show(
    overrides: Overrides = None,
    command: Annotated[str, typer.Option(help="Whose, such as prepare or degrade.")] = "train",
) -> None:
    """Print a composed configuration: dvface config show [exp=NAME]."""
    from dvface.cli.commands import show_config

    show_config(command, overrides or [])


@config.command()
def validate(overrides: Overrides = None) -> None:
    """Check a training configuration and do nothing else."""
    from dvface.cli.commands import validate_config

    validate_config(overrides or [])


@config.command()
def diff(one: str, other: str) -> None:
    """What two experiments differ in: dvface config diff tiny ablation_no_temporal."""
    from dvface.cli.commands import diff_config

    diff_config(one, other)


@config.command("list")
def list_variants(group: Annotated[str | None, typer.Argument(help="One group only.")] = None) -> None:
    """Groups and their variants."""
    from dvface.cli.commands import list_config

    list_config(group)


def _run() -> None:
    """The command; an error lets go of what its frames hold, since loader workers that are held never end."""
    try:
        app()
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)
        gc.collect()
        raise


def run() -> None:
    """The console script: user errors end in one sentence and exit code 2, Ctrl-C in 130."""
    try:
        _run()
    except (UserError, WeightsMissing) as error:
        # A loader's worker hands over its whole traceback as text; the last line is the sentence.
        print(f"error: {str(error).splitlines()[-1].removeprefix('dvface.errors.UserError: ')}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.filename is None and error.errno != errno.ENOSPC:
            raise
        where = f": {error.filename}" if error.filename else ""
        print(f"error: {error.strerror}{where}; choose another place or make room", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    run()
