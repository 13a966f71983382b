"""Hooks: what runs beside training."""

from mmkd.hooks.export_student import ExportStudent, student_checkpoint

__all__ = ['ExportStudent', 'student_checkpoint']
