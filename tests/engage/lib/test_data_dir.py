from pathlib import Path

from engage.lib.data_dir import socket_dir

SOCKET_NAME = "/.s.PGSQL.5432.lock"
LONGEST_SOCKET = 107  # bytes, Linux


def test_sockets_are_inside_a_short_data_folder():
    assert socket_dir(Path("/srv/a shop/var")) == Path("/srv/a shop/var/run")


def test_sockets_of_a_long_data_folder_are_outside_and_its_own():
    one, other = (Path("/srv") / (letter * 120) for letter in "ab")
    assert not socket_dir(one).is_relative_to(one)
    assert socket_dir(one) == socket_dir(one)
    assert socket_dir(one) != socket_dir(other)


def test_longest_folder_inside_leaves_room_for_the_socket():
    folder = Path("/" + "a" * 85)
    assert socket_dir(folder) == folder / "run"
    assert len(str(folder / "run") + SOCKET_NAME.removesuffix(".lock")) <= LONGEST_SOCKET
