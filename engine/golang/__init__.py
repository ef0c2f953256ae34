"""Go's formats as Docker's API and output use them: patterns, quoting, numbers, times, durations and sizes."""
