"""Many training jobs from one command: every combination of values, each in a process or cluster job of its own."""
