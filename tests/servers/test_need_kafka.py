"""What `tools/need_kafka.sh` installs, and where: its programs are doubles that only note calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from ._machine import NEEDS_LISTS, Machine

JAVA_17 = "apt-get install -y -q --no-install-recommends openjdk-17-jre-headless maven kcat openssl"
ANY_JAVA = JAVA_17.replace("openjdk-17", "default")
ALL = ("java", "mvn", "kcat", "openssl")

# A Debian whose Java is another one.
HAS_NO_17 = 'case "$*" in *openjdk-17*) exit 100 ;; esac'


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    folder = tmp_path / "bin"
    folder.mkdir()
    return Machine(folder, "need_kafka.sh")


def test_root_installs_debians_packages(machine: Machine) -> None:
    machine.has("id", "echo 0")
    machine.has("apt-get")
    machine.run()
    assert machine.asked.count("apt-get") == 1
    assert JAVA_17 in machine.asked


def test_a_debian_with_another_java_gives_that(machine: Machine) -> None:
    machine.has("id", "echo 0")
    machine.has("apt-get", HAS_NO_17)
    machine.run()
    before, _, after = machine.asked.partition(JAVA_17)
    assert (before.count("apt-get"), after.count(ANY_JAVA)) == (0, 1)
    assert "apt-get update" not in machine.asked


def test_the_lists_of_packages_are_fetched_when_they_are_missing(machine: Machine) -> None:
    machine.has("id", "echo 0")
    machine.has("apt-get", NEEDS_LISTS)
    machine.run()
    assert JAVA_17 in machine.asked.partition("apt-get update")[2]


def test_nothing_is_installed_for_who_is_not_root(machine: Machine) -> None:
    machine.has("id", "echo 1000")
    machine.has("apt-get")
    machine.has("sudo")
    said = machine.run()
    assert "no Kafka here, so its tests will not run" in said
    assert "apt-get" not in machine.asked
    assert "sudo" not in machine.asked


def test_ci_installs_with_sudo(machine: Machine) -> None:
    machine.has("id", "echo 1000")
    machine.has("apt-get")
    machine.has("sudo")
    machine.run(CI="true")
    assert f"sudo -n env DEBIAN_FRONTEND=noninteractive {JAVA_17}" in machine.asked


def test_where_all_is_there_the_jars_are_fetched_and_nothing_is_installed(
    machine: Machine,
) -> None:
    for name in ("id", "apt-get", "python", *ALL):
        machine.has(name)
    assert machine.run("python") == ""
    (asked,) = machine.asked.splitlines()[-1:]
    assert asked.startswith("python ")
    assert asked.endswith("tools/kafka/prepare.py")
    assert "apt-get" not in machine.asked


def test_what_cannot_be_fetched_is_said_and_no_failure(machine: Machine) -> None:
    for name in ("id", *ALL):
        machine.has(name)
    machine.has("python", "exit 1")
    assert "no Kafka here, so its tests will not run" in machine.run("python")


def test_nothing_is_installed_where_a_server_is_named(machine: Machine) -> None:
    machine.has("id", "echo 0")
    machine.has("apt-get")
    machine.run(BUSWAY_TEST_KAFKA_URL="kafka://elsewhere:1/")
    assert machine.asked == ""


def test_an_engine_of_docker_is_enough(machine: Machine) -> None:
    machine.has("id", "echo 1000")
    machine.has("docker")
    assert "will not run" not in machine.run()
    machine.has("docker", "exit 1")
    assert "will not run" in machine.run()
