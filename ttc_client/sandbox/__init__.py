"""Run programs that nobody has read: in a jail, under limits, without believing what they say.

`jail` says how a process is shut in, `process` runs one under limits, `guest` is what runs inside,
and `sandbox` puts programs to tests. Knows nothing of problems.
"""
