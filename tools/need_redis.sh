#!/bin/sh
# Sees to it that there is a Redis for the tests, where that is possible; it never fails.
#
# Looked for in this order: BUSWAY_TEST_REDIS_URL, redis-server on PATH, Debian's package (as root;
# under CI=true with sudo, too), a Docker engine. What still cannot be tested after that is listed
# at the end of the tests' run, and fails it when CI=true.

# Who names a server wants no other one installed, except where nothing may stay untested.
if [ -n "$BUSWAY_TEST_REDIS_URL" ] && [ "$CI" != true ]; then
    exit 0
fi

# A compiler makes what moves a server's clock.
if command -v redis-server >/dev/null 2>&1 && command -v openssl >/dev/null 2>&1 &&
    command -v cc >/dev/null 2>&1; then
    exit 0
fi

as_root=""
if [ "$(id -u)" != 0 ]; then
    as_root="sudo -n"
    [ "$CI" = true ] || as_root="no"
fi

# A server in the background would hold port 6379, and is nobody's wish: the tests start their own.
install() {
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null || return 1
        $as_root chmod 755 "$policy"
        written=yes
    fi
    $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "$@"
    status=$?
    [ "$written" = yes ] && $as_root rm -f "$policy"
    return $status
}

if [ "$as_root" != no ] && command -v apt-get >/dev/null 2>&1; then
    echo "need_redis: installing Debian's redis-server, openssl and gcc"
    if install redis-server openssl gcc libc6-dev >/dev/null 2>&1; then
        exit 0
    fi
    # The lists may be missing, or too old to name what the mirror still has.
    $as_root apt-get update -q >/dev/null
    if install redis-server openssl gcc libc6-dev; then
        exit 0
    fi
    echo "need_redis: apt-get could not install redis-server" >&2
fi

if command -v redis-server >/dev/null 2>&1 || docker info >/dev/null 2>&1; then
    exit 0
fi
echo "need_redis: no Redis here, so its tests will not run. Install redis-server, start Docker," >&2
echo "need_redis: or name one in BUSWAY_TEST_REDIS_URL." >&2
