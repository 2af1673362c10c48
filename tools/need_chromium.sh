#!/bin/sh
# Sees to it that there is a browser for the tests, where that is possible; it never fails.
#
# chromium (or google-chrome) and chromedriver on PATH, else Debian's packages (as root; under CI=true with sudo, too).
# Without them the test that looks at a page is listed at the end of the run, and fails it when
# CI=true.

there() {
    { command -v chromium || command -v chromium-browser || command -v google-chrome; } \
        >/dev/null 2>&1 && command -v chromedriver >/dev/null 2>&1
}

if there; then
    exit 0
fi

as_root=""
if [ "$(id -u)" != 0 ]; then
    as_root="sudo -n"
    [ "$CI" = true ] || as_root="no"
fi

install() {
    $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends chromium chromium-driver
}

if [ "$as_root" != no ] && command -v apt-get >/dev/null 2>&1; then
    echo "need_chromium: installing Debian's chromium and chromium-driver"
    install >/dev/null 2>&1 && exit 0
    # The lists may be missing, or too old to name what the mirror still has.
    $as_root apt-get update -q >/dev/null
    install && exit 0
    echo "need_chromium: apt-get could not install chromium and chromium-driver" >&2
fi
echo "need_chromium: no browser here, so no page is looked at. Install chromium and" >&2
echo "need_chromium: chromium-driver." >&2
