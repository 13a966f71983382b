"""What tools/benchmark.py measures with.

by_hand.py has loops, and cheapest.py losses, that know nothing of mmkd. pairs.py,
batches.py and cases.py say what is measured, ways.py builds it, clock.py and machine.py
read time and memory. steps.py, growth.py, ranks.py, teachers.py, losses.py, razor.py
and startup.py measure one thing each; jobs.py calls them; page.py and charts.py show
what came out.
"""
