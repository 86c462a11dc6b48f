"""What runs inside of the jail, on its standard library alone: one program, or one set of tests.

Its source is handed to an interpreter that sees nothing of this package. Its input begins with an
order: its length in digits, and JSON that says what to do. It writes one byte once it is ready,
before any code of others runs.

    program   runs a program whose output goes to the caller
    functions runs a program, and then calls its functions as the caller asks, a JSON line each
    tests     runs tests, whose calls of the program's functions go to the caller the same way

Tests and program are in jails of their own and share plain data alone: a program cannot see the
tests, end them, write their verdict, or return an object that is equal to everything.
"""

# pyright: basic
# Strict types would be untrue here: these are the objects of programs that nobody has read.

import __future__

import ast
import builtins
import json
import os
import resource
import sys
from decimal import Decimal
from fractions import Fraction
from typing import Any

READY = b"\0"
HEADER_BYTES = 10
_MANY = 100_000
"""Members of an iterator that are handed over, at most."""


def main() -> None:
    """Drop privileges, set the limits, and do what the order says."""
    order = json.loads(_exactly(int(_exactly(HEADER_BYTES))))
    _shut_in(order["limits"], order["user"])
    sys.set_int_max_str_digits(0)
    {"program": run_program, "functions": serve_functions, "tests": run_tests}[order["do"]](order)


def _exactly(count: int) -> bytes:
    """Read so many bytes and no more: what follows belongs to the program."""
    data = b""
    while len(data) < count:
        if not (part := os.read(0, count - len(data))):
            raise EOFError
        data += part
    return data


def _shut_in(limits: dict[str, int], user: int | None) -> None:
    for name, value in limits.items():
        kind = getattr(resource, name, None)
        if kind is not None:
            hard = resource.getrlimit(kind)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (value, value))
    if user is not None:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)


def run_program(order: dict[str, Any]) -> None:
    """Run a program as the main one; the rest of the input is its own."""
    os.write(1, READY)
    code = compile(order["source"], "main.py", "exec", dont_inherit=True)
    exec(code, {"__name__": "__main__", "__builtins__": builtins})


class Line:
    """The caller, a JSON line each way, on descriptors of our own; 0, 1 and 2 lead nowhere."""

    def __init__(self) -> None:
        self._read = os.fdopen(os.dup(0), "rb")
        self._write = os.dup(1)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nowhere, standard)

    def ready(self) -> None:
        os.write(self._write, READY)

    def say(self, message: Any) -> None:
        data = json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(self._write, data) :]

    def hear(self) -> Any:
        line = self._read.readline()
        if not line:
            os._exit(0)
        return json.loads(line)


def serve_functions(order: dict[str, Any]) -> None:
    """Run a program's statements, and answer calls of what they define."""
    line, objects = Line(), list[Any]()
    names: dict[str, Any] = {"__name__": "solution", "__builtins__": builtins}
    line.ready()
    _run_statements(order["source"], names)
    while True:
        line.say(_answer(line.hear(), names, objects))


def _run_statements(source: str, names: dict[str, Any]) -> None:
    """Run one by one, so that an example that fails leaves what stands around it defined."""
    flags = 0
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            flags |= sum(getattr(__future__, a.name).compiler_flag for a in statement.names)
        module = ast.Module([statement], [])
        try:
            exec(compile(module, "solution.py", "exec", flags, dont_inherit=True), names)
        except SystemExit:
            break
        except Exception:
            continue


def _answer(asked: dict[str, Any], names: dict[str, Any], objects: list[Any]) -> dict[str, Any]:
    def object_of(key: int | str) -> Any:
        return objects[key] if isinstance(key, int) else names[key]

    try:
        target = object_of(asked["on"])
        if asked["do"] == "iterate":
            members = [member for member, _ in zip(target, range(_MANY), strict=False)]
            return {"value": encoded(members, objects)}
        if asked["do"] == "get":
            return {"value": encoded(getattr(target, asked["name"]), objects)}
        given = [decoded(argument, object_of) for argument in asked["arguments"]]
        named = {k: decoded(v, object_of) for k, v in asked["named"].items()}
        value = target(*given, **named)
        return {
            "value": encoded(value, objects),
            "arguments": [encoded(argument, objects) for argument in given],
        }
    except BaseException as error:
        return {"error": type(error).__name__, "text": _safe_text(error)}


def _safe_text(error: BaseException) -> str:
    try:
        return str(error)[:500]
    except BaseException:
        return ""


_SCALARS = (bool, int, float, str)


def encoded(value: Any, objects: list[Any]) -> Any:
    """Return plain data as JSON; other objects are kept, and stand as their number or name."""
    if value is None:
        return None
    for kind in _SCALARS:
        if isinstance(value, kind):
            return value if type(value) is kind else kind(value)
    if isinstance(value, list):
        return [encoded(member, objects) for member in list.__iter__(value)]
    for kind in (tuple, set, frozenset):
        if isinstance(value, kind):
            return {kind.__name__: [encoded(member, objects) for member in value]}
    if isinstance(value, dict):
        return {"dict": [[encoded(k, objects), encoded(v, objects)] for k, v in value.items()]}
    if isinstance(value, bytes | bytearray):
        return {"bytes": bytes(value).hex()}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, Decimal | Fraction):
        return {type(value).__name__: str(value)}
    if isinstance(value, Remote):
        return {"object": value.key}
    objects.append(value)
    return {"object": len(objects) - 1}


def decoded(data: Any, object_of: Any) -> Any:
    """Return the value that `encoded` was given; `object_of` makes something of a number."""
    if isinstance(data, list):
        return [decoded(member, object_of) for member in data]
    if not isinstance(data, dict):
        return data
    ((kind, content),) = data.items()
    if kind == "object":
        return object_of(content)
    if kind == "dict":
        return {decoded(k, object_of): decoded(v, object_of) for k, v in content}
    if kind == "bytes":
        return bytes.fromhex(content)
    if kind == "complex":
        return complex(*content)
    if kind in ("Decimal", "Fraction"):
        return {"Decimal": Decimal, "Fraction": Fraction}[kind](content)
    members = [decoded(member, object_of) for member in content]
    return {"tuple": tuple, "set": set, "frozenset": frozenset}[kind](members)


class GraderFault(BaseException):
    """The tests cannot be run as they are."""


class Ended(BaseException):
    """The program is gone; not an Exception, which tests may expect."""


class Remote:
    """A function or another object of the program, at the other end of the line."""

    def __init__(self, line: Line, key: int | str) -> None:
        self._line, self.key = line, key

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        reply = self._ask(
            do="call",
            arguments=[self._sent(argument) for argument in arguments],
            named={name: self._sent(value) for name, value in named.items()},
        )
        for mine, theirs in zip(arguments, reply.get("arguments", ()), strict=False):
            _changed(mine, decoded(theirs, self._object))
        return decoded(reply["value"], self._object)

    def __iter__(self) -> Any:
        return iter(decoded(self._ask(do="iterate")["value"], self._object))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return decoded(self._ask(do="get", name=name)["value"], self._object)

    def _object(self, key: int | str) -> "Remote":
        return Remote(self._line, key)

    def _sent(self, value: Any) -> Any:
        kept: list[Any] = []
        data = encoded(value, kept)
        if kept:
            raise GraderFault(f"a test hands over a {type(kept[0]).__name__}, which is not data")
        return data

    def _ask(self, **asked: Any) -> dict[str, Any]:
        self._line.say({"on": self.key, **asked})
        reply = self._line.hear()
        if "ended" in reply:
            raise Ended
        if "error" in reply:
            raise _error(str(reply["error"]), str(reply.get("text", "")))
        return reply


def _error(name: str, text: str) -> Exception:
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(text)
        except TypeError:  # such as UnicodeDecodeError, which wants more
            pass
    return RuntimeError(f"{name}: {text}")


def _changed(mine: Any, theirs: Any) -> None:
    """Make an argument what the program made of it."""
    if isinstance(mine, list) and isinstance(theirs, list):
        mine[:] = theirs
    elif (isinstance(mine, dict) and isinstance(theirs, dict)) or (
        isinstance(mine, set) and isinstance(theirs, set)
    ):
        mine.clear()
        mine.update(theirs)


def run_tests(order: dict[str, Any]) -> None:
    """Run each test in the names that the setup defines, and say which passed."""
    line = Line()
    line.ready()
    names: dict[str, Any] = {"__name__": "tests", "__builtins__": builtins}
    try:
        exec(compile(order["setup"], "setup.py", "exec"), names)
        names |= {name: Remote(line, name) for name in order["names"]}
        passed = [_passes(test, names) for test in order["tests"]]
    except BaseException as error:
        line.say({"fault": f"{type(error).__name__}: {error}"})
    else:
        line.say({"passed": passed})


def _passes(test: str, names: dict[str, Any]) -> bool:
    try:
        exec(compile(test, "test.py", "exec"), names)
    except (Exception, Ended, SystemExit):
        return False
    return True


if __name__ == "__main__":
    main()
