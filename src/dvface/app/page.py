"""The page: what stands where, and what happens at a press of a button."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr

from dvface.app import texts
from dvface.app.engine import MODES
from dvface.app.jobs import Job, Jobs
from dvface.app.limits import Limits
from dvface.app.work import Restored
from dvface.errors import UserError

LOOK_EVERY = 0.4
"""Seconds between two looks at a job."""


def build_page(checkpoint: str, limits: Limits, jobs: Jobs[Restored]) -> gr.Blocks:
    """The page for one checkpoint.

    Args:
        checkpoint: its name, as it is shown.
        limits: of uploads.
        jobs: does the work.
    """
    handlers = Handlers(limits, jobs)
    with gr.Blocks(title="dvface: restore faces in videos", analytics_enabled=False) as page:
        gr.HTML(texts.ABOUT)
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=320):
                video = gr.Video(
                    label="Video",
                    sources=["upload", "webcam"],
                    include_audio=True,
                    webcam_options=gr.WebcamOptions(mirror=False),
                    buttons=[],
                    elem_id="dv-video",
                )
                gr.HTML(texts.accepted(limits))
                mode = gr.Radio(
                    [(f"{name}: {what}", name) for name, what in MODES.items()],
                    value="auto",
                    label="Mode",
                    elem_id="dv-mode",
                )
                fidelity = gr.Slider(
                    0,
                    1,
                    0,
                    step=0.05,
                    label="Fidelity",
                    info="0 is fully restored, 1 keeps the input; in between mixes both.",
                    elem_id="dv-fidelity",
                    buttons=[],
                )
                with gr.Row():
                    restore = gr.Button(
                        "Restore", variant="primary", interactive=False, min_width=100, elem_id="dv-restore"
                    )
                    cancel = gr.Button("Cancel", variant="stop", interactive=False, min_width=100, elem_id="dv-cancel")
                gr.HTML(texts.checkpoint(checkpoint))
            with gr.Column(scale=6, min_width=320):
                status = gr.HTML(texts.idle(), elem_id="dv-status")
                result = gr.HTML(texts.empty(), elem_id="dv-result")
        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        video.change(handlers.choose, video, [status, restore], queue=False, **private)
        restore.click(
            handlers.restore,
            [video, mode, fidelity],
            [status, result, restore, cancel],
            concurrency_limit=None,  # each only looks at its job; `jobs` does one at a time
            **private,
        )
        cancel.click(handlers.cancel, None, [cancel], queue=False, **private)
        page.unload(handlers.leave)
    page.queue(max_size=1000, api_open=False)
    return page


class Handlers:
    """What the page's events do.

    Args:
        limits: of uploads.
        jobs: does the work.
    """

    def __init__(self, limits: Limits, jobs: Jobs[Restored]) -> None:
        self._limits = limits
        self._jobs = jobs

    def choose(self, video: str | None, request: gr.Request) -> tuple[str, Any]:
        """A video was chosen or taken away: say whether it fits."""
        busy = self._jobs.busy(_owner(request))
        if video is None:
            return texts.idle(), gr.Button(interactive=False)
        try:
            upload = self._limits.admit(Path(video))
        except UserError as error:
            return texts.refused(_without_folder(str(error), video)), gr.Button(interactive=False)
        return texts.chosen(upload), gr.Button(interactive=not busy)

    async def restore(
        self, video: str | None, mode: str, fidelity: float, request: gr.Request
    ) -> AsyncIterator[tuple[Any, Any, Any, Any]]:
        """Put the video in the line and show how it goes until it is over."""
        idle, working = gr.Button(interactive=True), gr.Button(interactive=False)
        try:
            if video is None:
                raise UserError("choose a video first")
            await asyncio.to_thread(self._limits.admit, Path(video))
            job = self._jobs.submit(Path(video), _owner(request), mode, fidelity)
        except UserError as error:
            yield texts.refused(_without_folder(str(error), video)), gr.skip(), gr.skip(), gr.skip()
            return
        yield texts.standing(job, job.standing, self._jobs.ahead(job)), texts.empty(), working, idle
        said = ""
        while not (standing := job.standing).phase.over:
            sentence = texts.standing(job, standing, self._jobs.ahead(job))
            if sentence != said:
                said = sentence
                yield sentence, gr.skip(), gr.skip(), gr.skip()
            await asyncio.sleep(LOOK_EVERY)
        yield texts.standing(job, standing, 0), self._result(job), idle, gr.Button("Cancel", interactive=False)

    def _result(self, job: Job[Restored]) -> Any:
        restored = job.standing.result
        return gr.skip() if restored is None else texts.result(job, restored)

    def cancel(self, request: gr.Request) -> Any:
        """End the page's job."""
        return gr.Button("Stopping…", interactive=False) if self._jobs.cancel(_owner(request)) else gr.skip()

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        self._jobs.forget(_owner(request))


def _owner(request: gr.Request) -> str:
    return str(request.session_hash)


def _without_folder(sentence: str, video: str | None) -> str:
    """The server's folders say nothing to who uploaded a file."""
    return sentence if video is None else sentence.replace(f"{Path(video).parent}/", "")
