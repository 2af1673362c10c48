#!/bin/sh
# Says what to do when this machine's Python cannot make the virtual environment.
# It is a shell script because an old Python could not even parse a newer one's.
python="$1"

if ! command -v "$python" >/dev/null 2>&1; then
    echo "Busway needs Python 3.11 or newer, and there is no '$python' here." >&2
    echo "Install it (Debian, Ubuntu: apt install python3 python3-venv), or name another one:" >&2
    echo "    make PYTHON=/path/to/python3.12 ..." >&2
    exit 1
fi

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "Busway needs Python 3.11 or newer, but '$python' is $("$python" --version 2>&1)." >&2
    echo "Install a newer one and name it:" >&2
    echo "    make PYTHON=python3.12 ..." >&2
    exit 1
fi

if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    echo "'$python' has no venv module, so no virtual environment can be made." >&2
    echo "Debian, Ubuntu: apt install python3-venv" >&2
    echo "Elsewhere: install Python with its standard library whole, or name another one:" >&2
    echo "    make PYTHON=/path/to/python3.12 ..." >&2
    exit 1
fi
