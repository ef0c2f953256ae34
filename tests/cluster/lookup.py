"""Check name resolution inside a container.

Each input line is ``NAME ADDRESS``. The program prints each NAME that does not resolve to its ADDRESS.
"""

import sys

from prober import knows

for line in sys.stdin:
    name, address = line.split()
    if not knows(name, address):
        print(name)
