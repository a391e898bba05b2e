"""What a translator changed: content kept, bias moved, content moved (CDvG spec section 7). For evaluation only: it needs bias labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Translate = Callable[[Tensor, Tensor], Tensor]


def _floats(images: Tensor) -> Tensor:
    """[N, C, S, S] in [-1, 1]; bytes are scaled."""
    return images.float() / 127.5 - 1 if images.dtype == torch.uint8 else images.float()


class Reader(nn.Module):
    """Reads content and bias of an image: one small convolutional network, two heads."""

    def __init__(self, channels: int, classes: int, biases: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(channels, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
            nn.AdaptiveMaxPool2d(4), nn.Flatten(), nn.Linear(1024, 128), nn.ReLU(),
        )  # fmt: skip
        self.content, self.bias = nn.Linear(128, classes), nn.Linear(128, biases)

    @classmethod
    def fit(cls, images: Tensor, labels: Tensor, bias: Tensor, steps: int = 500, most: int = 20_000) -> Reader:
        """Fitted with Adam on images [N, C, S, S] whose bias does not depend on the class; moves no generator but its own."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            reader = cls(images.shape[1], int(labels.max()) + 1, int(bias.max()) + 1)
            optimizer = torch.optim.Adam(reader.parameters(), 2e-3)
            n = min(most, len(images))
            rows = torch.randperm(len(images))[:n]
            with torch.enable_grad():
                for _ in range(steps):
                    part = rows[torch.randint(n, (64,))]
                    h = reader.trunk(_floats(images[part]))
                    loss = F.cross_entropy(reader.content(h), labels[part]) + F.cross_entropy(
                        reader.bias(h), bias[part]
                    )
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
        return reader.eval().requires_grad_(False)

    @torch.no_grad()
    def read(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(content, bias) [N] of images [N, C, S, S]."""
        hs = [self.trunk(_floats(part)) for part in images.split(256)]
        h = torch.cat(hs)
        return self.content(h).argmax(1), self.bias(h).argmax(1)


@torch.no_grad()
def report(
    translate: Translate,
    reader: Reader,
    images: Tensor,
    labels: Tensor,
    modes: Sequence[int],
    usual: Mapping[int, int] | None = None,
) -> tuple[dict[str, float], Tensor]:
    """Shares over all images and all modes m; ``content_moved`` over m ≠ y alone.

    ``content_kept``: still read as y; ``bias_moved``: bias read as m's (``usual[m]``, else m); ``content_moved``: content read as m; ``content_read``: the reader's own
    accuracy on the untranslated images, the ceiling of ``content_kept``. Also a grid [rows, 1 + modes, C, S, S] in [-1, 1]: an image and its translations.
    ValueError without images.
    """
    if not len(images):
        raise ValueError("there is no held-out image of a class that the translator knows")
    x = _floats(images)
    kept, moved, content = [], [], []
    columns = [x[:10]]
    for m in modes:
        target = torch.full((len(x),), m)
        translated = torch.cat([translate(a, b).cpu() for a, b in zip(x.split(256), target.split(256), strict=True)])
        read_content, read_bias = reader.read(translated)
        kept.append(read_content == labels)
        moved.append(read_bias == (usual or {}).get(m, m))
        content.append((read_content == m)[labels != m])
        columns.append(translated[:10])
    own, _ = reader.read(x)
    found = {
        "content_kept": float(torch.cat(kept).double().mean()),
        "bias_moved": float(torch.cat(moved).double().mean()),
        "content_moved": float(torch.cat(content).double().mean()) if len(torch.cat(content)) else 0.0,
        "content_read": float((own == labels).double().mean()),
    }
    return found, torch.stack(columns, 1)
