"""Run the launcher from hawse's own packages, whatever else is called ``cli``, ``engine`` or ``drivers``.

Installed as share/hawse/boot.py, which `cli/launcher/hawse` and `cli/launcher/module.py` give to an interpreter that is
isolated (-I) and loads no site packages (-S). Such an interpreter searches neither the current directory nor
PYTHONPATH. The directory of hawse's packages comes first on its path, so no other distribution's package of the same
name is imported, unless pip has overwritten hawse's files with it.

The interpreter compiles this file at every start: keep it short. SIGINT ends the process without a traceback from the
first statement on. Before that, for about 1 ms, it ends the interpreter with a message of the interpreter's own.
"""

import _signal  # type: ignore[import-not-found]
import posix
import sys


def packages_directory() -> str:
    """Return the directory of hawse's packages; ``site`` knows where they are if this is an editable install."""
    prefix = __file__.rsplit("/", 3)[0]
    directory = f"{prefix}/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    if holds_launcher(directory):
        return directory
    import site

    site.main()
    return next(filter(holds_launcher, sys.path), directory)


def holds_launcher(directory: str) -> bool:
    """Tell whether hawse's launcher can be imported from this directory."""
    try:
        posix.stat(f"{directory}/cli/launcher/launch.py")
    except OSError:
        return False
    return True


if __name__ == "__main__":
    if _signal.getsignal(_signal.SIGINT) == _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    sys.path.insert(0, packages_directory())
    from cli.launcher.launch import main

    main()
