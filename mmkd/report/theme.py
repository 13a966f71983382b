"""How matplotlib draws the report's figures."""

from __future__ import annotations

from typing import Any

from mmkd.report.drawing import GRID, INK, MUTED, PAPER

SIZE = (5.0, 3.5)
STYLE: Any = {
    'svg.fonttype': 'none',
    'svg.hashsalt': 'mmkd',
    'font.family': 'DejaVu Sans',
    'font.size': 12,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.spines.left': False,
    'axes.edgecolor': MUTED,
    'axes.linewidth': 0.8,
    'axes.labelcolor': MUTED,
    'axes.labelsize': 11,
    'axes.axisbelow': True,
    'axes.grid': True,
    'axes.grid.axis': 'y',
    'grid.color': GRID,
    'grid.linewidth': 0.8,
    'xtick.color': MUTED,
    'ytick.color': MUTED,
    'xtick.labelsize': 11,
    'ytick.labelsize': 11,
    'ytick.major.size': 0,
    'xtick.major.size': 3,
    'text.color': INK,
    'lines.linewidth': 1.9,
    'lines.solid_capstyle': 'round',
    'figure.facecolor': PAPER,
    'axes.facecolor': 'none',
}
