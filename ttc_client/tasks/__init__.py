"""What is asked and how it is judged: prompt, answer extraction, equivalence, grading.

One file per task; `table` lists them.
"""
