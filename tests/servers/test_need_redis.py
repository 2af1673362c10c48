"""What `tools/need_redis.sh` installs, and where: its programs are doubles that only note calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from ._machine import NEEDS_LISTS, Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    folder = tmp_path / "bin"
    folder.mkdir()
    return Machine(folder, "need_redis.sh")


INSTALL = "apt-get install -y -q --no-install-recommends redis-server openssl gcc libc6-dev"


def test_root_installs_debians_package_and_starts_no_service(machine: Machine) -> None:
    machine.has("id", "echo 0")
    machine.has("apt-get")
    machine.run()
    assert INSTALL in machine.asked
    if not Path("/usr/sbin/policy-rc.d").exists():
        before, _, after = machine.asked.partition(INSTALL)
        assert "tee /usr/sbin/policy-rc.d" in before
        assert "rm -f /usr/sbin/policy-rc.d" in after


def test_the_lists_of_packages_are_fetched_when_they_are_missing(machine: Machine) -> None:
    machine.has("id", "echo 0")
    machine.has("apt-get", NEEDS_LISTS)
    machine.run()
    assert machine.asked.count(INSTALL) == 2
    assert "apt-get update" in machine.asked.split(INSTALL)[1]


def test_nothing_is_installed_for_who_is_not_root(machine: Machine) -> None:
    machine.has("id", "echo 1000")
    machine.has("apt-get")
    machine.has("sudo")
    said = machine.run()
    assert "no Redis here, so its tests will not run" in said
    assert "apt-get" not in machine.asked
    assert "sudo" not in machine.asked


def test_ci_installs_with_sudo(machine: Machine) -> None:
    machine.has("id", "echo 1000")
    machine.has("apt-get")
    machine.has("sudo")
    machine.run(CI="true")
    assert f"sudo -n env DEBIAN_FRONTEND=noninteractive {INSTALL}" in machine.asked


def test_nothing_is_installed_where_all_is_there(machine: Machine) -> None:
    for name in ("id", "apt-get", "redis-server", "openssl", "cc"):
        machine.has(name)
    assert machine.run() == machine.asked == ""


def test_nothing_is_installed_where_a_server_is_named(machine: Machine) -> None:
    machine.has("id", "echo 0")
    machine.has("apt-get")
    machine.run(BUSWAY_TEST_REDIS_URL="redis://elsewhere:1/0")
    assert machine.asked == ""


def test_an_engine_of_docker_is_enough(machine: Machine) -> None:
    machine.has("id", "echo 1000")
    machine.has("docker")
    assert "will not run" not in machine.run()
    machine.has("docker", "exit 1")
    assert "will not run" in machine.run()
