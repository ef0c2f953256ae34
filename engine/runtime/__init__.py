"""Run container processes in namespaces, with their file systems, streams and logs. Networks are set up elsewhere.

A hostfs container runs on the host's own files. Any other container has the files of an image or a directory, and is
created by crun.

A parameter ``run`` is the path of HAWSE_RUN.

Because the supervisor (`engine.runtime.supervisor`) must use little memory, the modules that it imports have few
imports. They do not import the module typing: they set ``TYPE_CHECKING`` themselves.
"""
