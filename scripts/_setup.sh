# shellcheck shell=sh
# Sourced by scripts/nexscout, test and lint, with $root set to the checkout's folder.
#
# The fast way is this file: a checksum of what a set-up depends on is compared with the stamp that the last one left, and
# no Python is started for that. The slow way is _setup.py.

venv=${root:?}/.venv
unset PYTHONHOME # would lead the virtual environment's Python astray

# The model is fetched once into the virtual environment, so that a fresh NEXSCOUT_HOME needs no second download.
# A file that the user names is the user's: it is neither fetched nor replaced.
models=$venv/share/nexscout-models
model_is_ours=
if [ -z "${NEXSCOUT_EMBEDDED_MODEL-}" ]; then
    model_is_ours=yes
    NEXSCOUT_EMBEDDED_MODEL=$models/SmolLM2-135M-Instruct.Q4_1.gguf
fi
export NEXSCOUT_EMBEDDED_MODEL

# is_ready KIND: is everything in place? The paths are part of cksum's output: a checkout that was moved is not.
is_ready() {
    [ -x "$venv/bin/python" ] && [ -x "$venv/bin/nexscout" ] && [ -f "$venv/setup-$1" ] || return 1
    key=$(cksum "$root/pyproject.toml" "$root/constraints.txt" "$venv/pyvenv.cfg" 2>/dev/null) || return 1
    [ "$key" = "$(cat "$venv/setup-$1" 2>/dev/null)" ]
}

# has_model: the file is there, or is not ours to fetch, or could not be had in the last ten minutes.
has_model() {
    [ -z "$model_is_ours" ] || [ -f "$NEXSCOUT_EMBEDDED_MODEL" ] || [ -n "$(find "$models/failed" -mmin -10 2>/dev/null)" ]
}

# find_python: sets $python to an interpreter of 3.11 or newer that can make virtual environments.
find_python() {
    no_venv=
    for python in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python3.14 python; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' </dev/null >/dev/null 2>&1; then
            "$python" -c 'import ensurepip, venv' </dev/null >/dev/null 2>&1 && return 0
            no_venv=${no_venv:-$python}
        fi
        if [ -n "${PYTHON-}" ]; then
            break # what was asked for is taken or refused, never replaced
        fi
    done
    if [ -n "$no_venv" ]; then
        echo "nexscout: $no_venv cannot make virtual environments (no module venv or ensurepip)." >&2
        echo "On Debian and Ubuntu: apt install python3-venv. Or set PYTHON to another Python 3.11 or newer." >&2
    elif [ -n "${PYTHON-}" ]; then
        echo "nexscout: PYTHON=$PYTHON is not a working Python 3.11 or newer. Unset it, or set it to one." >&2
    else
        echo "nexscout: needs Python 3.11 or newer, and found none (looked for python3, python3.11 to 3.14, python)." >&2
        echo "Install one, or set PYTHON to its path." >&2
    fi
    return 1
}

# setup run|dev [--no-model]: makes sure that the package (dev: and the tools) are installed and the model is there.
setup() {
    if is_ready "$1" && { [ "${2-}" = --no-model ] || has_model; }; then
        return 0
    fi
    find_python || exit 6
    "$python" "$root/scripts/_setup.py" "$@" ${model_is_ours:+--own-model} </dev/null >&2 || exit
}
