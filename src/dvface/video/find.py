"""What counts as a video: a file with a video's suffix, or a folder of numbered pictures."""

from pathlib import Path

from dvface.video.read import FRAME_SUFFIXES, frame_files

VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".ts")


def is_video_file(path: Path) -> bool:
    """Whether the name is that of a video file; the content is not looked at."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def is_frame(path: Path) -> bool:
    """Whether the name is that of a png or jpg picture."""
    return path.suffix.lower() in FRAME_SUFFIXES


def is_frame_folder(path: Path) -> bool:
    """Whether the folder ``path`` holds pictures."""
    return bool(frame_files(path))
