"""Does full-size DVFace with its fusion at initialisation give the bits of the bare diffusers Wan model?

Random weights, CPU, float32; about 9 GB of memory. Run: .venv/bin/python experiments/bit_for_bit/compare.py
"""

import time

import torch

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.models.restorer import Restorer

started = time.monotonic()
torch.manual_seed(0)
model: Restorer = build(resolve(load("train", ["exp=dvface"]).model)).eval()
print(f"built {model.parameter_counts()} in {time.monotonic() - started:.0f} s")
with torch.inference_mode():
    video = torch.rand(1, 3, 5, 128, 128) * 2 - 1
    views = model.views(video)
    prior = model.prior(views)
    ours = model.backbone.predict(views.latents, prior)
    timestep = torch.tensor([float(model.backbone.one_step.timestep)])
    text = torch.zeros(1, 1, 4096)
    bare = model.backbone.transformer(views.latents, timestep, text).sample
    padding = model.backbone.transformer(views.latents, timestep, torch.zeros(1, 512, 4096)).sample
    for fusion in model.backbone.fusions:
        torch.nn.init.normal_(fusion.spatial.output.weight, std=0.02)
    injected = model.backbone.predict(views.latents, prior)
print(f"latents {tuple(views.latents.shape)}, tokens {views.latents[0, 0].numel() // 4}")
print(f"velocity: mean {bare.mean():.4f}, deviation {bare.std():.4f}")
print(f"equal bit for bit: {torch.equal(ours, bare)}")
print(f"one zero token against 512: largest difference {(padding - bare).abs().max():.1e}")
print(f"with the fusion's output layers perturbed: largest difference {(injected - bare).abs().max():.3f}")
print(f"{time.monotonic() - started:.0f} s in all")
