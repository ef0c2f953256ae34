"""Check name resolution inside a container; print each input line ``NAME ADDRESS`` that the resolver does not
confirm.
"""

import sys

from prober import knows

for line in sys.stdin:
    name, address = line.split()
    if not knows(name, address):
        print(name)
