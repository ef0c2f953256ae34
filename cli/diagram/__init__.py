"""Draw the document of ``hawse network map`` as a tree, as Mermaid, as DOT or as SVG.

``document`` is the map as JSON values. Names of networks, containers and hosts are untrusted input. Each format escapes
every name.
"""
