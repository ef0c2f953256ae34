"""Run the launcher from hawse's own packages, even if other packages have the same names, such as ``engine``.

This file is installed as share/hawse/boot.py. `cli/launcher/hawse` and `cli/launcher/module.py` run this file with an
interpreter that is isolated (-I) and does not load site-packages (-S). Such an interpreter searches neither the current
directory nor PYTHONPATH. This file then puts the directory of hawse's packages first on the import path. Packages of
the same names in other directories are therefore not imported.

The interpreter compiles this file at every start, so the file must stay short. From the first statement on, SIGINT ends
the process without a traceback. Before the first statement, for about 1 ms, SIGINT ends the interpreter with the
interpreter's own message.
"""

import _signal  # type: ignore[import-not-found]
import posix
import sys

if __name__ == "__main__":
    if _signal.getsignal(_signal.SIGINT) != _signal.SIG_IGN:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    # In the C locale, the interpreter changes LC_CTYPE. Restore the user's value, which the hawse script passes.
    locale = str(sys._xoptions.get("lc_ctype", "C.UTF-8")).encode(errors="surrogateescape")
    if not locale:
        posix.environ.pop(b"LC_CTYPE", None)
        posix.unsetenv(b"LC_CTYPE")
    elif locale != b"C.UTF-8":
        posix.environ[b"LC_CTYPE"] = locale
        posix.putenv(b"LC_CTYPE", locale)
    prefix, version = __file__.rsplit("/", 3)[0], sys.version_info
    packages = f"{prefix}/lib/python{version[0]}.{version[1]}/site-packages"
    try:
        posix.stat(f"{packages}/cli/launcher/launch.py")
    except OSError:
        try:  # in an editable install, the build backend writes the path of the source directory into this file
            with open(f"{packages}/_editable_impl_hawse.pth", encoding="utf-8") as file:
                packages = file.readline().strip()
        except OSError:  # the packages are in another directory, such as Debian's dist-packages
            import os
            import site

            site.main()
            packages = next((path for path in sys.path if os.path.exists(f"{path}/cli/launcher/launch.py")), packages)
    sys.path.insert(0, packages)
    try:
        from cli.launcher.launch import main
    except ModuleNotFoundError as error:
        sys.exit(f"hawse: cannot import {packages}: {error} (install hawse where each user may read, not below /root)")
    main()
