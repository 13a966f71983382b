"""Distillers: the model that a Runner trains in place of the plain student."""

from mmkd.distillers.base import BaseDistiller
from mmkd.distillers.offline import Distiller
from mmkd.distillers.self_distill import SelfDistiller

__all__ = ['BaseDistiller', 'Distiller', 'SelfDistiller']
