"""Connectors: feature to feature, ``forward(feature, like) -> feature``.

``like`` is the feature on the other side. Only its shape may be used: in multi-scale
training nobody knows it at build time.
"""

from mmkd.connectors.align import Align
from mmkd.connectors.cwt import CWT
from mmkd.connectors.fitnet import FitNet
from mmkd.connectors.mgd import MGD
from mmkd.connectors.uniformize import Uniformize

__all__ = ['CWT', 'MGD', 'Align', 'FitNet', 'Uniformize']
