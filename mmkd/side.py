"""Side: what a term reads on one side, and what it passes through."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mmkd.arguments import naming
from mmkd.paths import Player, is_role, parse, resolve, split_network
from mmkd.recorder import Recorder
from mmkd.registry import make

Levels = list[Tensor]
Records = Mapping[str, Recorder]
Roles = Callable[[str, str], Player]
STUDENT = 'student'
TEACHER = 'teacher'


class Place(NamedTuple):
    """Where something is read.

    Args:
        network: The name of the network.
        path: In that network.
        name: What the config calls it; '' if it has no names.
    """

    network: str
    path: str
    name: str


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
        self.named = isinstance(paths, Mapping)
        groups = dict(paths) if isinstance(paths, Mapping) else {'': paths}
        self.places: list[Place] = []
        for name, own in groups.items():
            if not as_list(own):
                raise ValueError(f'{where}: {paths} names no module.')
            self.places += [self._place(path, name) for path in as_list(own)]
        if not self.places:
            raise ValueError(f'{where}: {paths} names no module.')
        self.configs = list(connectors)
        self.chains = nn.ModuleList()

    def _place(self, path: Any, name: str) -> Place:
        if not isinstance(path, str):
            raise ValueError(f'{self.where}: {path!r} is not a path.')
        network, rest = split_network(path)
        if not is_role(rest):
            with naming(self.where):
                parse(rest)
        return Place(network or self.network, rest, name)

    @property
    def paths(self) -> list[str]:
        """The paths, each in its network."""
        return [place.path for place in self.places]

    @property
    def names(self) -> list[str]:
        """What the config calls the levels, in order."""
        return list(dict.fromkeys(place.name for place in self.places))

    def networks(self) -> set[str]:
        """All networks that are read."""
        return {place.network for place in self.places}

    def reads(self, network: str) -> list[str]:
        """The paths in a network."""
        return [place.path for place in self.places if place.network == network]

    def text(self, place: Place) -> str:
        """A place as a config writes it."""
        own = place.network == self.network
        return place.path if own else f'{place.network}/{place.path}'

    def __str__(self) -> str:
        return str([self.text(place) for place in self.places])

    # -- building ---------------------------------------------------------------------

    def resolve(self, networks: Mapping[str, nn.Module], roles: Roles) -> list[str]:
        """Give all paths the full names of what is there; raise if there is nothing.

        Args:
            networks: By their names.
            roles: From a network's name and a role to what plays it.

        Returns:
            What the roles became, in words.
        """
        said, places = [], []
        for place in self.places:
            with naming(f"{self.where} '{self.text(place)}'"):
                if place.network not in networks:
                    raise ValueError(
                        f"there is no network '{place.network}', only {list(networks)}."
                    )
                players = partial(roles, place.network)
                found = resolve(networks[place.network], place.path, players)
            if is_role(place.path):
                said.append(f'{self.where}: {self.text(place)} is {", ".join(found)}')
            places += [place._replace(path=path) for path in found]
        self.places = places
        return said

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

    # -- a step -----------------------------------------------------------------------

    def recorded(self, records: Records) -> list[Levels]:
        """The levels of each path."""
        try:
            return [records[network][path] for network, path, _ in self.places]
        except RuntimeError as error:
            raise RuntimeError(f'{self.where}: {error}') from error

    def formed(self, levels: Sequence[Tensor], counts: Sequence[int]) -> Any:
        """Levels as the config has them: a list; or a dict, if it names them.

        A name that stands for one level has the level itself, any other a list.

        Args:
            levels: All of them.
            counts: How many each path gave.
        """
        if not self.named:
            return list(levels)
        rest, groups = iter(levels), dict[str, Levels]()
        for place, count in zip(self.places, counts):
            groups.setdefault(place.name, []).extend(next(rest) for _ in range(count))
        return {name: own[0] if len(own) == 1 else own for name, own in groups.items()}

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
