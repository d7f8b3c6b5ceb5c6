"""The text command on a small umT5 that transformers itself wrote."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from dvface.cli.commands import text
from dvface.errors import UserError
from dvface.models.text_embedding import embed_text


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``tokenizer/`` and ``text_encoder/``, as Wan2.1's has them."""
    folder = tmp_path_factory.mktemp("umt5")
    words = Tokenizer(WordLevel({"<pad>": 0, "</s>": 1, "<unk>": 2, "face": 3}, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    words.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder / "tokenizer")
    torch.manual_seed(0)
    config = UMT5Config(vocab_size=8, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, dropout_rate=0.0)
    UMT5EncoderModel(config).to(torch.bfloat16).save_pretrained(folder / "text_encoder")
    return folder


def test_beyond_the_prompt_s_end_there_are_zeros(encoder: Path) -> None:
    empty = embed_text(str(encoder), "", tokens=6)
    assert empty.shape == (1, 6, 16)
    assert empty[0, 0].abs().max() > 0, "the end-of-sequence token"
    assert empty[0, 1:].abs().max() == 0
    word = embed_text(str(encoder), "face", tokens=6)
    assert [bool(token.abs().max() > 0) for token in word[0]] == [True, True, False, False, False, False]


def test_padding_does_not_change_what_the_prompt_means(encoder: Path) -> None:
    short, long = (embed_text(str(encoder), "face", tokens) for tokens in (2, 12))
    torch.testing.assert_close(short, long[:, :2], atol=2e-2, rtol=0)


def test_the_command_writes_a_file_and_says_how_to_use_it(
    encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "text.safetensors"
    text([f"source={encoder}", f"output={target}", "tokens=6"])
    assert torch.equal(load_file(target)["embedding"], embed_text(str(encoder), "", tokens=6))
    assert f"pretrained.text.path={target}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["output=x"], "source has no value"),
        (["source=/nowhere/at/all", "output=x"], "cannot be read"),
        (["source=.", "output=x"], "it has no tokenizer/"),
        (["sauce=x", "output=x"], "did you mean 'source'"),
        (["source=x", "output=x", "tokens=none"], "whole number"),
    ],
)
def test_mistakes_are_named(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        text(words)
