"""``lookup.py`` inside a sandbox: prints those of the lines ``NAME ADDRESS`` that its resolver does not confirm."""

import sys

from prober import knows

for line in sys.stdin:
    name, address = line.split()
    if not knows(name, address):
        print(name)
