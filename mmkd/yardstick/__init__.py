"""What tools/benchmark.py measures with.

by_hand.py has loops, and cheapest.py losses, that know nothing of mmkd. pairs.py builds
the models, clock.py reads time and memory. steps.py, growth.py, ranks.py, teachers.py,
losses.py and startup.py measure one thing each; page.py and charts.py show it.
"""
