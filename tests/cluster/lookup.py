"""``lookup.py`` inside a sandbox: print the input lines ``NAME ADDRESS`` that its resolver does not confirm."""

import sys

from prober import knows

for line in sys.stdin:
    name, address = line.split()
    if not knows(name, address):
        print(name)
