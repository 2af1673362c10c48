#!/bin/sh
# Sees to it that there is a Kafka for the tests, where that is possible; it never fails. Its
# argument is a Python of 3.11 or newer.
#
# Looked for in this order: BUSWAY_TEST_KAFKA_URL, Java and Maven on PATH, Debian's packages (as
# root; under CI=true with sudo, too), a Docker engine. With Java and Maven, Apache Kafka's jars are
# fetched, once, into ~/.cache/busway or BUSWAY_KAFKA_JARS. What still cannot be tested after that
# is listed at the end of the tests' run, and fails it when CI=true.

# Who names a server wants no other one installed, except where nothing may stay untested.
if [ -n "$BUSWAY_TEST_KAFKA_URL" ] && [ "$CI" != true ]; then
    exit 0
fi

have() {
    for program in "$@"; do
        command -v "$program" >/dev/null 2>&1 || return 1
    done
}

as_root=""
if [ "$(id -u)" != 0 ]; then
    as_root="sudo -n"
    [ "$CI" = true ] || as_root="no"
fi

install() {
    $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "$@"
}

# Java's package has its version in its name, which is another one in each Debian.
install_all() {
    install openjdk-17-jre-headless maven kcat openssl ||
        install default-jre-headless maven kcat openssl
}

if ! have java mvn kcat openssl && [ "$as_root" != no ] && have apt-get; then
    echo "need_kafka: installing Debian's openjdk-17-jre-headless, maven and kcat"
    if ! install_all >/dev/null 2>&1; then
        # The lists may be missing, or too old to name what the mirror still has.
        $as_root apt-get update -q >/dev/null
        install_all || echo "need_kafka: apt-get could not install them" >&2
    fi
fi

if have java && [ -n "$1" ] && "$1" "${0%/*}/kafka/prepare.py"; then
    exit 0
fi
if docker info >/dev/null 2>&1; then
    exit 0
fi
echo "need_kafka: no Kafka here, so its tests will not run, but for a few on librdkafka's mock" >&2
echo "need_kafka: broker. Install Java 17 and Maven, start Docker, or name one in" >&2
echo "need_kafka: BUSWAY_TEST_KAFKA_URL." >&2
exit 0
