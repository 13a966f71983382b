"""Files that are whole: a killed process or a full disk never leaves half of one."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from mmengine.dist import get_rank
from mmengine.fileio import LocalBackend, register_backend

# A part with this bit is none to torch, which then gives whatever is in memory.
FOLDER = 0x10


@contextmanager
def whole(file: str | Path) -> Iterator[Path]:
    """Write a file so that it is either whole or what it was before.

    Args:
        file: Its name.

    Yields:
        The file to write to, which takes the name in the end. If that fails it is
        deleted; a killed process leaves it, and the next one writes over it.
    """
    file = Path(file)
    # mmengine has some files written by every rank.
    rank = f'.{get_rank()}' if get_rank() else ''
    part = file.with_name(f'{file.name}{rank}.part')
    try:
        yield part
        with open(part, 'rb+') as written:
            os.fsync(written.fileno())  # power may fail as well
        part.replace(file)
    except OSError as error:
        part.unlink(missing_ok=True)
        was = 'What was there before is as it was.' if file.is_file() else ''
        text = f"'{file}' could not be written: {error.strerror}. {was}"
        raise OSError(error.errno, text.strip()) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def save(content: Any, file: str | Path) -> None:
    """``torch.save``, whole or not at all."""
    memory = io.BytesIO()
    torch.save(content, memory)  # to a file, it would not say why it fails
    # Not getbuffer(): Python 3.12.1 crashes when an error leaves one behind.
    with whole(file) as part:
        part.write_bytes(memory.getvalue())


def damaged_part(file: str | Path) -> str | None:
    """The first part of an archive that is not what its checksum says; None: all are.

    Without checksums (torch can leave them out) nothing is known of the parts.
    """
    with ZipFile(file) as archive:
        parts = archive.infolist()
        for part in parts:
            if part.external_attr & FOLDER:
                return part.filename
        return archive.testzip() if any(part.CRC for part in parts) else None


def is_whole(file: str | Path) -> bool:
    """Whether a checkpoint of torch is there, with nothing missing or changed."""
    try:
        return damaged_part(file) is None
    except (BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError):
        return False


class WholeFiles(LocalBackend):  # type: ignore[misc]
    """mmengine's way to the disk, which writes over a file in place, made safe."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes; the folder is made if it is not there."""
        Path(filepath).parent.mkdir(parents=True, exist_ok=True)
        with whole(filepath) as part:
            part.write_bytes(obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text, likewise."""
        self.put(obj.encode(encoding), filepath)


def register_safe_writer() -> None:
    """Make mmengine write checkpoints through this module."""
    register_backend('local', WholeFiles, force=True, prefixes='')
