"""The Wan transformer with its weights frozen and small adapters that learn."""

from collections.abc import Callable, Sequence

from torch import nn

from dvface.contracts import LatentLayout
from dvface.models.backbones.one_step import OneStep
from dvface.models.backbones.text import TextCondition
from dvface.models.backbones.wan import WanBackbone


class WanLoRABackbone(WanBackbone):
    """`WanBackbone` whose linear layers W become W + (alpha/rank)·B·A, of which only A and B learn.

    LoRA (arXiv 2106.09685) by peft. B starts at zero, so that the fresh backbone equals the bare one. Fusions and
    a learned text embedding learn too; so does an output layer that started at zero, for frozen it would stay
    nothing.

    Args:
        rank: rows of A.
        alpha: the adapters' strength is alpha/rank.
        targets: the layers that get adapters, by the end of their names in diffusers' blocks: ``to_q``,
            ``to_k``, ``to_v``, ``to_out.0`` of both attentions, ``ffn.net.0.proj``, ``ffn.net.2``.
        patch_size: see `WanBackbone`.
        token_dim: see `WanBackbone`.
        heads: see `WanBackbone`.
        layers: see `WanBackbone`.
        feed_forward_dim: see `WanBackbone`.
        zero_output: see `WanBackbone`; false for pretrained weights.
        text: see `WanBackbone`.
        one_step: see `WanBackbone`.
        fusions: see `WanBackbone`.
        layout: see `WanBackbone`.

    Raises:
        ValueError: ``rank`` or ``alpha`` is not positive, a target is no linear layer of the blocks, or see
            `WanBackbone`.
    """

    def __init__(
        self,
        rank: int,
        alpha: float,
        targets: Sequence[str],
        patch_size: Sequence[int],
        token_dim: int,
        heads: int,
        layers: int,
        feed_forward_dim: int,
        zero_output: bool,
        text: TextCondition,
        one_step: OneStep,
        fusions: Callable[..., nn.ModuleList],
        layout: LatentLayout,
    ) -> None:
        super().__init__(
            patch_size, token_dim, heads, layers, feed_forward_dim, zero_output, text, one_step, fusions, layout
        )
        if rank < 1 or alpha <= 0:
            raise ValueError(f"backbone.rank and backbone.alpha must be positive, got {rank} and {alpha}")
        self.train_output = zero_output
        self._check_targets(targets)
        # peft takes seconds to import, and only this backbone needs it.
        from peft import LoraConfig, inject_adapter_in_model

        inject_adapter_in_model(
            LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets)),  # type: ignore[arg-type]
            self.transformer,
        )
        self.requires_grad_(False)
        self.unfreeze()

    def unfreeze(self) -> None:
        """Adapters, fusions, the text embedding and an output layer that started at zero learn, nothing else."""
        for name, parameter in self.transformer.named_parameters():
            parameter.requires_grad_("lora_" in name)
        self.transformer.proj_out.requires_grad_(self.train_output)
        self.text.requires_grad_(True)
        self.fusions.requires_grad_(True)

    def _check_targets(self, targets: Sequence[str]) -> None:
        linear = [name for name, layer in self.transformer.blocks.named_modules() if isinstance(layer, nn.Linear)]
        allowed = sorted({name.split(".", 1)[1] for name in linear})
        for target in targets:
            if not any(name.endswith(f".{target}") for name in linear):
                raise ValueError(
                    f"backbone.targets: no layer of Wan's blocks is called {target}; one of: {', '.join(allowed)}"
                )
        if not targets:
            raise ValueError(f"backbone.targets is empty, so nothing of Wan could learn; of: {', '.join(allowed)}")
