#!/usr/bin/env python3
"""Write a report on training runs; ``python -m mmkd.report`` is the same.

tools/report.py work_dirs/teacher work_dirs/student work_dirs/kd --out report
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent))
from _shared import need_mmkd  # noqa: E402

need_mmkd()
from mmkd.report.command import main  # noqa: E402

if __name__ == '__main__':
    main()
