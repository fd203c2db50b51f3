"""The use cases: each gathers by ports, lets ``core`` decide, and applies what was decided.

ingesting/      records to committed state, mini-batches and dead letters
training/       mini-batches to candidates and checkpoints
releasing/      candidates to champions, and back
serving/        triggers to published lists
background.py   a thread that repeats one step
"""
