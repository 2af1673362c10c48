"""Docker's images serve where this machine has no program; its engine is a double."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.servers import KafkaServer, NoServer, RedisServer
from tests.servers._jars import OLDEST_JAVA, jars, java_version

DOCKER = """#!/bin/sh
# As much of docker as is asked for: its containers are processes of this machine.
echo "$@" >> {folder}/asked
case "$1" in
    info) exit {status} ;;
    kill) kill -s "${{3#SIG}}" "$(cat {folder}/$4)" ;;
    rm) kill -s KILL "$(cat {folder}/$3)" ;;
    run)
        while [ "$1" != {image} ]; do
            [ "$1" = --name ] && echo $$ > {folder}/$2
            shift
        done
        shift 2
        exec {server} "$@" ;;
esac
"""


JAVA = """#!/bin/sh
# The jars are elsewhere in the image.
for word; do
    shift
    [ "$word" = "/opt/kafka/libs/*" ] && word="{jars}/*"
    set -- "$@" "$word"
done
exec {java} "$@"
"""


def put_docker(
    folder: str, *, status: int = 0, server: str | Path = "", image: str = "redis:7"
) -> None:
    script = DOCKER.format(folder=folder, status=status, server=server, image=image)
    put(Path(folder) / "docker", script)
    (Path(folder) / "cat").symlink_to("/bin/cat")


def put(program: Path, script: str) -> Path:
    program.parent.mkdir(exist_ok=True)
    program.write_text(script)
    program.chmod(0o755)
    return program


def test_an_engine_that_does_not_answer_is_none(
    nothing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_docker(nothing, status=1)
    monkeypatch.setenv("PATH", nothing)
    with pytest.raises(NoServer, match="no Docker engine answers"):
        RedisServer().__enter__()


def test_dockers_image_serves_where_there_is_no_redis_server(
    nothing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("the double of Docker needs a redis-server of this machine")
    # It runs as a server by its name.
    named = Path(nothing) / "hidden" / "redis-server"
    named.parent.mkdir()
    named.symlink_to(Path(program).resolve())
    put_docker(nothing, server=named)
    monkeypatch.setenv("PATH", nothing)
    with RedisServer(fsync="always") as server:
        server.command("SET", "key", "value")
        server.restart(hard=True)
        assert server.command("GET", "key") == "value"
        server.pause()
        server.resume()
        server.stop()
        assert not server.running
    asked = (Path(nothing) / "asked").read_text()
    assert "kill --signal SIGSTOP busway-test-" in asked
    assert f"--volume {server.folder}:{server.folder}" in asked


@pytest.mark.parametrize("found", ["", "an old one"])
def test_dockers_image_serves_where_there_is_no_java_that_would_do(
    nothing: str, monkeypatch: pytest.MonkeyPatch, found: str
) -> None:
    java = shutil.which("java")
    if java is None or java_version(java) < OLDEST_JAVA:
        pytest.skip("the double of Docker needs a Java of this machine")
    script = JAVA.format(jars=jars(), java=java)
    server = put(Path(nothing) / "hidden" / "java", script)
    put_docker(nothing, server=server, image="apache/kafka:4.1.0")
    if found:
        put(Path(nothing) / "java", "#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2")
    monkeypatch.setenv("PATH", nothing)
    with KafkaServer() as kafka:
        kafka.restart(hard=True)
        kafka.pause()
        kafka.resume()
        kafka.stop()
        assert not kafka.running
    asked = (Path(nothing) / "asked").read_text()
    assert f"--volume {kafka.folder}:{kafka.folder}" in asked


def test_without_jars_and_maven_there_is_no_kafka(
    nothing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    put(Path(nothing) / "java", "#!/bin/sh\necho 'openjdk version \"21\" 2023-09-19' >&2")
    monkeypatch.setenv("PATH", nothing)
    monkeypatch.setenv("BUSWAY_KAFKA_JARS", str(tmp_path / "jars"))
    with pytest.raises(NoServer, match="no mvn on PATH"):
        KafkaServer()


MAVEN = """#!/bin/sh
# It is asked for one folder, after which it is called.
for word; do folder="${{word#-DoutputDirectory=}}"; done
[ {status} = 0 ] || {{ echo "no such repository"; exit {status}; }}
/bin/mkdir "$folder"
echo > "$folder/kafka_2.13-4.1.0.jar"
echo fetched >> {folder}/asked
"""


@pytest.mark.parametrize("status", [0, 1])
def test_jars_are_fetched_once_and_what_fails_is_said(
    nothing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int
) -> None:
    put(Path(nothing) / "mvn", MAVEN.format(folder=nothing, status=status))
    monkeypatch.setenv("PATH", nothing)
    monkeypatch.setenv("BUSWAY_KAFKA_JARS", str(tmp_path / "cache" / "jars"))
    if status:
        with pytest.raises(NoServer, match="mvn could not fetch Kafka: no such repository"):
            jars()
        return
    assert jars() == jars() == tmp_path / "cache" / "jars"
    assert (Path(nothing) / "asked").read_text() == "fetched\n"
    assert [each.name for each in (tmp_path / "cache").iterdir()] == ["jars"]


def test_another_who_fetches_them_at_the_same_time_is_no_mistake(
    nothing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = tmp_path / "jars"
    other = f"/bin/mkdir {place}\necho > {place}/kafka_2.13-4.1.0.jar\n"
    put(Path(nothing) / "mvn", MAVEN.format(folder=nothing, status=0) + other)
    monkeypatch.setenv("PATH", nothing)
    monkeypatch.setenv("BUSWAY_KAFKA_JARS", str(place))
    assert jars() == place
