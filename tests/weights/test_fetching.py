"""Downloads, from a real server on this machine; it speaks http, so tests stand in for the secure connection alone."""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import URLError
from urllib.request import build_opener

import pytest

from dvface.errors import UserError
from dvface.weights import Form
from dvface.weights.fetching import SecureRedirects, check_address, fetch

HOST = "https://weights.test"
CONTENT = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Files(BaseHTTPRequestHandler):
    """Sends CONTENT for /whole.pth, half of it for /broken.pth, elsewhere for /moved.pth, and 404 otherwise."""

    def do_GET(self) -> None:
        if self.path == "/moved.pth":
            self.send_response(302)
            self.send_header("Location", "/whole.pth")
            self.end_headers()
            return
        if self.path not in ("/whole.pth", "/broken.pth", "/unmeasured.pth"):
            self.send_error(404)
            return
        self.send_response(200)
        if self.path != "/unmeasured.pth":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if self.path == "/broken.pth" else CONTENT)

    def log_message(self, *_: object) -> None:
        """Tests print nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def get(address: str, tmp_path: Path):
    """`fetch` to TMP/a/file.pth, with the local server in the place of weights.test."""

    def open_locally(url: str):
        return build_opener(SecureRedirects).open(url.replace(HOST, address), timeout=120)

    return partial(fetch, target=tmp_path / "a/file.pth", open_address=open_locally)


def nothing_is_left(folder: Path) -> bool:
    return not [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("sha256", [DIGEST, DIGEST[:8], None])
@pytest.mark.parametrize("name", ["whole.pth", "unmeasured.pth"])
def test_a_file_arrives_whole_and_its_sum_is_told(get, tmp_path: Path, name, sha256) -> None:
    arrived: list[int] = []
    assert get(f"{HOST}/{name}", form=Form("file.pth", sha256, None), advance=arrived.append) == DIGEST
    assert [path.name for path in tmp_path.rglob("*.pth")] == ["file.pth"]
    assert (tmp_path / "a/file.pth").read_bytes() == CONTENT
    assert sum(arrived) == len(CONTENT)
    assert len(arrived) > 1


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (Form("file.pth", "0" * 64), "has the SHA-256"),
        (Form("file.pth", "0" * 8), "has the SHA-256"),
        (Form("file.pth", DIGEST, len(CONTENT) + 1), f"has {len(CONTENT)} bytes instead of {len(CONTENT) + 1}"),
    ],
)
def test_another_file_than_the_published_one_is_not_kept_and_the_old_one_stays(
    get, tmp_path: Path, form, words
) -> None:
    with pytest.raises(UserError, match=words):
        get(f"{HOST}/whole.pth", form=form, advance=lambda size: None)
    assert nothing_is_left(tmp_path)
    (tmp_path / "a/file.pth").write_bytes(b"the one before")
    with pytest.raises(UserError, match=words):
        get(f"{HOST}/whole.pth", form=form, advance=lambda size: None)
    assert (tmp_path / "a/file.pth").read_bytes() == b"the one before"


def test_a_connection_that_breaks_off_leaves_nothing_even_where_no_sum_is_known(get, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"broke off after {len(CONTENT) // 2} of {len(CONTENT)} bytes"):
        get(f"{HOST}/broken.pth", form=Form("file.pth"), advance=lambda size: None)
    assert nothing_is_left(tmp_path)


def test_an_interruption_leaves_nothing(get, tmp_path: Path) -> None:
    def interrupted(size: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(f"{HOST}/whole.pth", form=Form("file.pth"), advance=interrupted)
    assert nothing_is_left(tmp_path)


def test_a_file_that_is_not_there_and_a_server_that_is_not_there_are_one_sentence(get, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.pth cannot be fetched \(HTTP Error 404: Not Found\)"):
        get(f"{HOST}/gone.pth", form=Form("file.pth"), advance=lambda size: None)

    def unreachable(url: str):
        raise URLError("Name or service not known")

    with pytest.raises(UserError, match=r"Name or service not known.*check the connection"):
        fetch(f"{HOST}/a.pth", tmp_path / "a.pth", Form("a.pth"), lambda size: None, unreachable)
    assert nothing_is_left(tmp_path)


@pytest.mark.parametrize(
    "url", ["http://weights.test/a.pth", "file:///etc/hostname", "ftp://w.test/a", "https:///a", "a"]
)
def test_only_https_is_fetched(url, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="over https alone"):
        check_address(url)
    with pytest.raises(UserError, match="over https alone"):
        fetch(url, tmp_path / "a.pth", Form("a.pth"), lambda size: None)
    assert nothing_is_left(tmp_path)


def test_a_server_cannot_lead_to_an_insecure_address(get, address, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{address}/whole.pth is no https address"):
        get(f"{HOST}/moved.pth", form=Form("file.pth"), advance=lambda size: None)
    assert nothing_is_left(tmp_path)
