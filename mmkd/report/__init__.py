"""The report: what training runs have reached, on one page.

``python -m mmkd.report RUN [RUN …]``; in a checkout, ``tools/report.py``.
"""
