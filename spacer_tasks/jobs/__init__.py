"""What became of jobs: records of them, their states, outcomes and answers."""
