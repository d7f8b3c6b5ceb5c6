"""The empty prompt's embedding, computed once, so that no text encoder is needed ever after."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from dvface.errors import UserError
from dvface.files import whole_file


def embed_text(source: str, prompt: str = "", tokens: int = 512) -> Tensor:
    """The embedding of a prompt as Wan2.1 is conditioned: encoder states, zeros beyond the prompt's end.

    Args:
        source: a diffusers folder with ``tokenizer/`` and ``text_encoder/`` (umT5-XXL, about 11 GB in bfloat16),
            or its name on the hub.
        prompt: the text; restorers use the empty one.
        tokens: the padded length.

    Returns:
        (1, tokens, dim) float32.

    Raises:
        UserError: the encoder cannot be had.
    """
    from transformers import AutoTokenizer, UMT5EncoderModel  # seconds of import, for this command only

    folder = Path(source)
    for part in ("tokenizer", "text_encoder"):
        if folder.is_dir() and not (folder / part).is_dir():
            raise UserError(f"source={source}: it has no {part}/; name a whole Wan2.1 folder in diffusers' layout")
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, subfolder="tokenizer")
        encoder = UMT5EncoderModel.from_pretrained(
            source, subfolder="text_encoder", use_safetensors=True, dtype=torch.bfloat16
        ).eval()
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(
            f"source={source}: its text encoder cannot be read ({first}); name the folder of a download of "
            "Wan-AI/Wan2.1-T2V-1.3B-Diffusers, or train with text=learned, which needs none"
        ) from error
    batch = tokenizer(prompt, padding="max_length", max_length=tokens, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        states = encoder(batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    return states.float() * batch["attention_mask"][..., None]


def write_embedding(path: Path, embedding: Tensor) -> None:
    """Write the file that ``pretrained.text`` names."""
    with whole_file(path) as temporary:
        save_file({"embedding": embedding.contiguous()}, temporary)
