"""Checkpoints by address: fetched once, and compared with the hash in their name."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, get_rank


def hash_in(name: str) -> str | None:
    """What publishers write into a name: 'resnet50-0676ba61.pth'. A date is none."""
    date = r'(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\.'
    found = re.search(rf'-(?!{date})([a-f0-9]{{8,}})\.', name)
    return found and found.group(1)


def download(url: str) -> Path:
    """Fetch ``url`` into torch's hub cache, on one rank of each node."""
    if urlparse(url).scheme not in ('http', 'https'):
        raise ValueError(
            f"'{url}': a checkpoint is a file or an http(s) address. Download it and "
            'give the path.'
        )
    hub: str = torch.hub.get_dir()  # type: ignore[no-untyped-call]
    folder = Path(hub) / 'checkpoints'
    file = folder / Path(urlparse(url).path).name
    error: Exception | None = None
    first = int(os.environ.get('LOCAL_RANK', get_rank())) == 0
    if first and not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(
                url, str(file), hash_prefix=hash_in(file.name)
            )
        except Exception as caught:  # network errors come in many classes
            error = caught
    barrier()
    if not file.is_file():
        why = error or "see this node's first rank"
        raise RuntimeError(
            f"Could not download '{url}' ({why}). Without a network, download it "
            f"elsewhere and put it at '{file}'."
        ) from error
    return file
