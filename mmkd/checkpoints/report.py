"""How the tensors of a file met those of a model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Report:
    """How the tensors of a file met those of a model."""

    what: str
    matched: int
    missing: list[str]
    mismatched: dict[str, str]
    unexpected: list[str]

    @property
    def share(self) -> float:
        """Matched tensors, as a share of the model's."""
        return self.matched / max(
            1, self.matched + len(self.missing) + len(self.mismatched)
        )

    @property
    def used(self) -> float:
        """Matched tensors, as a share of the file's."""
        return self.matched / max(
            1, self.matched + len(self.unexpected) + len(self.mismatched)
        )

    def __str__(self) -> str:
        lines = [
            f'{self.what}: {self.matched} tensors matched ({self.share:.1%} of the '
            f'model), {len(self.missing)} missing, {len(self.mismatched)} of another '
            f'shape, {len(self.unexpected)} not used'
        ]
        for name, keys in (
            ('missing', self.missing),
            ('another shape', list(self.mismatched.values())),
            ('not used', self.unexpected),
        ):
            if keys:
                more = f' and {len(keys) - 4} more' if len(keys) > 4 else ''
                lines.append(f'  {name}: {", ".join(keys[:4])}{more}')
        return '\n'.join(lines)
