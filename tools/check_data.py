#!/usr/bin/env python3
r"""Say whether the data of a config is there, or what is missing and where to get it.

For configs, ours or any of mmpretrain, mmdet and mmseg, and for data sets by the word
in which our configs' names end. Without any: for every data set of our configs.

    python tools/check_data.py configs/frskd/frskd_resnet18_1xb32_cub200.py
    python tools/check_data.py cub200 coco --root /datasets

Every set is built, its images are counted and their files looked for, and one image
goes through the pipeline. Nothing is downloaded. The exit status is 1 if something is
missing.
"""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmengine.config import Config

sys.path.append(str(Path(__file__).resolve().parent))
from _shared import need_mmkd  # noqa: E402

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'
FILES = ('img_path', 'seg_map_path')  # in what a data set knows of an image
ROLES = ('train', 'val', 'test')


def known() -> dict[str, Path]:
    """One of our configs for each data set, by the end of their names, less a size."""
    files = sorted(CONFIGS.glob('*/*_*_*.py'))
    ours = (file for file in files if file.parent.name not in ('_base_', 'demo'))
    last = re.compile(r'_([^_]+?)(-\d+x\d+)?$')
    return {last.search(file.stem)[1]: file for file in ours}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=f'Names: {", ".join(sorted(known()))}.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'what', nargs='*', help="configs, also 'mmdet::…', or names: in1k mine.py"
    )
    parser.add_argument(
        '--root',
        type=Path,
        metavar='DIR',
        help="where your data sets are, in place of the folder 'data' that configs "
        'name: --root /datasets',
    )
    return parser.parse_args(argv)


def single(dataset: Any) -> Iterator[Any]:
    """The data sets inside of a data set that joins or repeats others."""
    inner = dataset.get('datasets') or [dataset.get('dataset')]
    if inner == [None]:
        yield dataset
        return
    for one in inner:
        yield from single(one)


def sets_of(config: Config) -> dict[str, Any]:
    """Configs of data sets, each once, by what they are for: 'val, test'."""
    found: list[tuple[list[str], Any]] = []
    for role in ROLES:
        loader = config.get(f'{role}_dataloader')
        if loader and 'dataset' not in loader:
            raise ValueError(f'{role}_dataloader has no dataset.')
        for dataset in single(loader.dataset) if loader else ():
            same = [roles for roles, other in found if other == dataset]
            same[0].append(role) if same else found.append(([role], dataset))
    names = [', '.join(dict.fromkeys(roles)) for roles, _ in found]
    return {
        f'{name} {place}' if names.count(name) > 1 else name: dataset
        for place, (name, (_, dataset)) in enumerate(zip(names, found), 1)
    }


def paths_in(dataset: Any) -> list[Path]:
    """What the config of a data set says must be there: root, list, folders."""
    root = Path(dataset.get('data_root') or '').expanduser()
    prefix = dataset.get('data_prefix') or ''
    folders = [prefix] if isinstance(prefix, str) else list(prefix.values())
    names = [dataset.get('ann_file'), *folders]
    parts = [root / name for name in names if isinstance(name, str) and name]
    return [root, *parts] if dataset.get('data_root') else parts


def move(dataset: Any, root: Path) -> None:
    """Put ``root`` where the config says 'data'."""
    for key in ('data_root', 'ann_file'):
        first, *rest = Path(dataset.get(key) or '.').parts or ('',)
        if first == 'data':
            dataset[key] = str(root.joinpath(*rest))


def look(dataset: Any) -> tuple[int, str]:
    """Build a data set; how many images it has, and what the first one is like."""
    from mmengine.registry import DATASETS

    dataset.pop('filter_cfg', None)  # all images count, also those without objects
    if str(dataset.type).startswith('CIFAR'):
        dataset.download = False
    for path in paths_in(dataset):
        if not path.exists():
            raise FileNotFoundError(f"there is no '{path}'.")
    built = DATASETS.build(dataset)
    if not len(built):
        raise ValueError('it has no images.')
    infos = (built.get_data_info(place) for place in range(len(built)))
    files = [str(info[key]) for info in infos for key in FILES if info.get(key)]
    lost = [name for name in files if not Path(name).is_file()]
    if lost:
        raise FileNotFoundError(
            f"there is no '{lost[0]}'; of {len(files)} files {len(lost)} are missing."
        )
    shape = getattr(built[0]['inputs'], 'shape', ())
    return len(built), f'{len(built)} images; the first is read as {tuple(shape)}'


def report(role: str, dataset: Any) -> str | None:
    """Print about a data set; what would help, if something is missing."""
    from mmkd.datasets import ARCHIVES

    name = str(dataset.type).rpartition('.')[2]
    paths = paths_in(dataset)
    archive = ARCHIVES.get(name)
    names = [str(dataset.get('split')), *map(str, paths)]
    published = archive.count(*names) if archive else None
    try:
        count, said = look(dataset)
    except Exception as error:  # of any kind: the packages' data sets differ in this
        why, *_ = str(error).splitlines() or [repr(error)]
        if not archive or not published:  # not the published set, but one of its form
            print(f'  {role}, {name}: MISSING: {why}')
            return ''
        missing = archive.missing(dataset.get('data_root') or '.')
        if missing and not isinstance(error, FileNotFoundError):
            why = f"there is no '{missing}'."
        print(f'  {role}, {name}: MISSING:', why.removeprefix(f'{name}: '))
        return f'{name}. {archive.help()}'
    print(f'  {role}, {name}: {said}')
    if archive and published not in (None, count):
        print(f'  WARNING: {published} images are published ({archive.source}).')
    return None


def check(name: str, root: Path | None) -> bool:
    """Check all sets of a config, or of a name's; whether nothing is missing."""
    from mmengine.registry import DefaultScope

    from mmkd.build import read_config

    config = read_config(known().get(name, name))
    print(name)
    helps = []
    with DefaultScope.overwrite_default_scope(config.get('default_scope')):
        for role, dataset in sets_of(config).items():
            if root:
                move(dataset, root)
            helps.append(report(role, dataset))
    if not helps:
        raise ValueError(f"'{name}' has no train_dataloader, nor one for val or test.")
    for text in dict.fromkeys(filter(None, helps)):
        print('\n'.join(f'  {line}' for line in text.splitlines()))
    return all(text is None for text in helps)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    need_mmkd()
    warnings.simplefilter('ignore')  # of the packages that configs import
    import mmkd  # noqa: F401
    from mmkd.launch import short_errors

    with short_errors():
        good = [check(name, args.root) for name in args.what or sorted(known())]
    sys.exit(0 if all(good) else 1)


if __name__ == '__main__':
    main()
