"""Commands that travel together."""

import threading

import pytest
import redis

from engage.lib.redis import Commands, _own_link, client, key


def send(*commands):
    together = Commands()
    for command in commands:
        together.add(*command)
    return together.execute()


def test_answers_come_in_the_order_of_the_commands(redis_keys):
    name = key("list")
    together = Commands()
    together.lpush(name, "a", b"b", 3)
    together.ltrim(name, 0, 1)
    together.expire(name, 60)
    together.lrange(name, 0, -1)
    together.get(key("nothing"))
    assert len(together) == 5
    assert together.execute() == [3, b"OK", 1, [b"3", b"b"], None]


def test_error_of_one_command_stands_in_its_place(redis_keys):
    name = key("text")
    answers = send(("SET", name, "x"), ("LPUSH", name, 1), ("GET", name))
    assert isinstance(answers[1], redis.ResponseError)
    assert [answers[0], answers[2]] == [b"OK", b"x"]


def test_connection_that_was_closed_is_opened_again(redis_keys):
    [number] = send(("CLIENT", "ID"))
    client().client_kill_filter(_id=number)
    assert send(("SET", key("text"), "x"), ("GET", key("text"))) == [b"OK", b"x"]


def test_answers_of_a_failed_exchange_are_not_taken_for_later_ones(redis_keys):
    send(("PING",))
    _own_link()._connection._sock.settimeout(0.001)
    with pytest.raises(redis.TimeoutError):
        send(("BLPOP", key("nothing"), 0.05))
    assert send(("ECHO", "later")) == [b"later"]


def test_large_commands_arrive_whole(redis_keys):
    text = b"x" * 3_000_000
    assert send(("SET", key("large"), text), ("GET", key("large"))) == [b"OK", text]


def test_every_thread_has_its_own_connection():
    found = [send(("CLIENT", "ID"))[0]]
    thread = threading.Thread(target=lambda: found.append(send(("CLIENT", "ID"))[0]))
    thread.start()
    thread.join()
    assert len(set(found)) == 2
