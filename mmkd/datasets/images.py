"""Classification sets of the distillation papers, read as their archives unpack.

Only those that mmpretrain lacks. Labels are places in the sorted list of classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmengine.dataset import BaseDataset

from mmkd.datasets.archives import ARCHIVES
from mmkd.registry import DATASETS


class ImageSet(BaseDataset):  # type: ignore[misc]
    """Images in folders and lists. A subclass says which; its archive, what is where.

    Args:
        data_root: The folder into which the archive was unpacked.
        split: One of the archive's splits.
        **kwargs: ``pipeline``, ``indices`` and the rest of mmengine's BaseDataset.
    """

    def __init__(self, data_root: str, split: str, **kwargs: Any) -> None:
        name = type(self).__name__
        archive = ARCHIVES[name]
        if split not in archive.images:
            raise ValueError(f"{name}: split='{split}' is none of {[*archive.images]}.")
        missing = archive.missing(data_root)
        if missing:
            raise FileNotFoundError(
                f"{name}: there is no '{missing}'.\n{archive.help()}"
            )
        self.split = split
        self.root = Path(data_root).expanduser()
        super().__init__(data_root=str(self.root), **kwargs)

    def classes(self) -> Iterable[str]:
        """Names of the classes, in any order, the same for every split."""
        raise NotImplementedError

    def samples(self) -> Iterable[tuple[Path, str]]:
        """Each image of the split, as (file, class)."""
        raise NotImplementedError

    def load_data_list(self) -> list[dict[str, Any]]:
        """One dict for each image, with ``img_path`` and ``gt_label``."""
        classes = sorted(self.classes())
        self._metainfo.setdefault('classes', tuple(classes))
        label = {name: place for place, name in enumerate(classes)}
        rows = list(self.samples())
        odd = next((row for row in rows if row[1] not in label), None)
        if odd:
            raise ValueError(
                f"{type(self).__name__}: '{odd[0]}' is of '{odd[1]}', which is none of "
                f'the {len(classes)} classes in {self.root}.'
            )
        return [dict(img_path=str(file), gt_label=label[name]) for file, name in rows]

    def get_cat_ids(self, idx: int) -> list[int]:
        """The class of an image, for mmengine's ClassBalancedDataset."""
        return [int(self.get_data_info(idx)['gt_label'])]


@DATASETS.register_module()
class CINIC10(ImageSet):
    """CINIC-10 (1810.03505): splits ``train``, ``valid`` and ``test`` of 32x32 images.

    To train on two of them, join them with mmengine's ConcatDataset.
    """

    def classes(self) -> Iterable[str]:
        """The folders."""
        return _folders(self.root / self.split)

    def samples(self) -> Iterable[tuple[Path, str]]:
        """What is in the folders."""
        files = sorted((self.root / self.split).glob('*/*.png'))
        return ((file, file.parent.name) for file in files)


@DATASETS.register_module()
class TinyImageNet(ImageSet):
    """TinyImageNet: 64x64 images, splits ``train`` and ``val``; test has no labels.

    Classes are called by their WordNet ids.
    """

    def classes(self) -> Iterable[str]:
        """The ids of wnids.txt."""
        return _lines(self.root / 'wnids.txt')

    def samples(self) -> Iterable[tuple[Path, str]]:
        """Folders of classes; for ``val`` lines of file, id and box."""
        if self.split == 'train':
            files = sorted((self.root / 'train').glob('*/images/*.JPEG'))
            return ((file, file.parents[1].name) for file in files)
        rows = (row.split() for row in _lines(self.root / 'val/val_annotations.txt'))
        return ((self.root / 'val/images' / row[0], row[1]) for row in rows)


@DATASETS.register_module()
class MIT67(ImageSet):
    """MIT67, indoor scenes (Quattoni and Torralba, CVPR 2009): ``train`` and ``test``.

    The authors' split takes a part of the images: 80 and 20 of each class.
    """

    def classes(self) -> Iterable[str]:
        """The folders."""
        return _folders(self.root / 'Images')

    def samples(self) -> Iterable[tuple[Path, str]]:
        """Lines of class/file."""
        names = _lines(self.root / f'{self.split.title()}Images.txt')
        return ((self.root / 'Images' / name, name.split('/')[0]) for name in names)


@DATASETS.register_module()
class StanfordDogs(ImageSet):
    """Stanford Dogs (Khosla et al., 2011): splits ``train`` and ``test``.

    A class is called by its folder, WordNet id and breed.
    """

    def classes(self) -> Iterable[str]:
        """The folders."""
        return _folders(self.root / 'Images')

    def samples(self) -> Iterable[tuple[Path, str]]:
        """Cells of class/file in a file of Matlab."""
        try:
            from mat4py import loadmat
        except ImportError as error:
            raise ImportError(
                'StanfordDogs: its lists are files of Matlab, which mat4py reads. '
                'mmpretrain brings it; else: pip install mat4py'
            ) from error
        cells = loadmat(str(self.root / 'lists' / f'{self.split}_list.mat'))
        names = (cell[0] for cell in cells['file_list'])
        return ((self.root / 'Images' / name, name.split('/')[0]) for name in names)


@DATASETS.register_module()
class Stanford40(ImageSet):
    """Stanford 40 Actions (Yao et al., ICCV 2011): splits ``train`` and ``test``."""

    def classes(self) -> Iterable[str]:
        """The actions that there are lists for."""
        lists = (self.root / 'ImageSplits').glob('*_train.txt')
        return (file.stem[: -len('_train')] for file in lists)

    def samples(self) -> Iterable[tuple[Path, str]]:
        """A list of files for each action."""
        for action in sorted(self.classes()):
            for name in _lines(self.root / f'ImageSplits/{action}_{self.split}.txt'):
                yield self.root / 'JPEGImages' / name, action


def _folders(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.is_dir()]


def _lines(file: Path) -> list[str]:
    """What is in a file, without empty lines and space around."""
    lines = (line.strip() for line in file.read_text().splitlines())
    return [line for line in lines if line]
