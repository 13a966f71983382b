"""Side: what a term reads on one side, and what it passes through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmkd.arguments import naming
from mmkd.paths import Player, find_method, find_module, is_role, parse, play
from mmkd.recorder import Recorder
from mmkd.registry import make

Levels = list[Tensor]
Records = Mapping[str, Recorder]
STUDENT = 'student'


class Side:
    """The paths of one side of a term, and the connectors behind them.

    Args:
        where: The place in the config: 'terms.loss_kd.student'.
        paths: A path, several, or names with a path (or several) each.
        network: The network of paths that name none.
        connectors: Configs of what each level passes through, one after another.
    """

    def __init__(
        self,
        where: str,
        paths: str | Sequence[str] | Mapping[str, Any],
        network: str,
        connectors: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.where = where
        self.network = network
        self.names: list[str] | None = None
        if isinstance(paths, Mapping):
            several = [(n, p) for n, own in paths.items() for p in as_list(own)]
            self.names, self.paths = [n for n, _ in several], [p for _, p in several]
        else:
            self.paths = as_list(paths)
        if not self.paths:
            raise ValueError(f'{where}: {paths} names no module.')
        with naming(where):
            for path in self.paths:
                if not is_role(path):
                    parse(path)
        self.configs = list(connectors)
        self.chains = nn.ModuleList()

    def network_of(self, path: str) -> str:
        """The network that a path is in."""
        before, found, _ = path.partition('/')
        return before if found else self.network

    def networks(self) -> set[str]:
        """All networks that are read."""
        return {self.network_of(path) for path in self.paths}

    def reads(self, network: str) -> list[str]:
        """The paths in a network."""
        return [path for path in self.paths if self.network_of(path) == network]

    def cast(self, players: Mapping[str, Any]) -> dict[str, list[str]]:
        """Replace roles by what plays them; tell what they became.

        Args:
            players: For each network a function from a role to what plays it.
        """
        became: dict[str, list[str]] = {}
        names, paths = [], []
        for i, path in enumerate(self.paths):
            if is_role(path):
                with naming(f"{self.where} '{path}'"):
                    role: Player = play(path, players[self.network_of(path)])
                became[path] = list(role)
            for one in became.get(path, [path]):
                paths.append(one)
                names.append(self.names[i] if self.names else '')
        self.paths, self.names = paths, names if self.names else None
        return became

    def check(self, networks: Mapping[str, nn.Module]) -> None:
        """Raise if a path names no module of its network."""
        for path in self.paths:
            with naming(f"{self.where} '{path}'"):
                tap = parse(path)
                module = find_module(networks[self.network_of(path)], tap.module)
                find_method(module, tap.method)

    def recorded(self, records: Records) -> list[Levels]:
        """The levels of each path."""
        return [records[self.network_of(path)][path] for path in self.paths]

    def formed(self, levels: Sequence[Tensor], counts: Sequence[int]) -> Any:
        """Levels as the config has them: in a row, or by their names.

        Args:
            levels: All of them.
            counts: How many each path gave.
        """
        if self.names is None:
            return list(levels)
        rest, named = iter(levels), dict[str, Levels]()
        for name, count in zip(self.names, counts):
            named.setdefault(name, []).extend(next(rest) for _ in range(count))
        return {n: own[0] if len(own) == 1 else own for n, own in named.items()}

    def build(self, source: Tensor, target: Tensor, where: str) -> Tensor:
        """Build the connectors of the next level; return what comes out of them."""
        if not self.configs:
            return source
        chain = Chain()
        for config in self.configs:
            shapes = [tuple(x.shape[1:]) for x in (source, target)]
            connector = make(where, config, source=shapes[0], target=shapes[1])
            chain.append(connector)
            with torch.no_grad(), naming(where):
                source = connector(source, like=target)
        self.chains.append(chain)
        return source

    def connected(self, feature: Tensor, like: Tensor, level: int) -> Tensor:
        """A level behind its connectors."""
        if not len(self.chains):
            return feature
        result: Tensor = self.chains[level](feature, like=like)
        return result


class Chain(nn.ModuleList):
    """Connectors one after another, all told what the result is compared with."""

    def forward(self, feature: Tensor, like: Tensor) -> Tensor:
        """Pass ``feature`` through all of them."""
        for connector in self:
            feature = connector(feature, like=like)
        return feature


def as_list(value: Any) -> list[Any]:
    """None as nothing, one thing as a list of it."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def shapes(levels: Sequence[Tensor]) -> list[tuple[int, ...]]:
    """The shapes of levels, for errors."""
    return [tuple(level.shape) for level in levels]
