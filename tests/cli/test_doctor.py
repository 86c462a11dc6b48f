"""`ttc doctor`, and what `ttc solve` refuses, as subprocesses."""

import json

from tests.cli.test_solve import PROBLEM, ttc

POLICY_CHECKS = [
    *("reachable", "version", "model", "context", "BOS", "template", "token ids"),
    *("stop strings", "seeds", "repeats", "prefix cache", "speed", "keep-alive"),
]
PRM_CHECKS = [
    *("reachable", "version", "model", "context", "labels", "judgement", "speed", "keep-alive")
]


def test_the_demo_servers_are_examined_and_found_fit():
    done = ttc("doctor", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["ok"] is True
    assert [server["role"] for server in found["servers"]] == ["policy", "prm", "pair"]
    names = [[check["name"] for check in server["checks"]] for server in found["servers"]]
    assert names == [POLICY_CHECKS, PRM_CHECKS, ["roles"]]
    checks = [check for server in found["servers"] for check in server["checks"]]
    assert {frozenset(check) for check in checks} == {frozenset({"name", "status", "seen", "fix"})}
    by_name = {check["name"]: check for check in found["servers"][0]["checks"]}
    for name in ("BOS", "template", "token ids", "stop strings", "seeds", "prefix cache"):
        assert by_name[name]["status"] == "ok", by_name[name]
    assert not [check for check in checks if check["status"] in ("warn", "fail")]


def test_swapped_servers_are_told_by_doctor_and_refused_by_solve(demo_servers):
    policy, prm = demo_servers
    swapped = ("--policy", prm, "--prm", policy)
    doctor = ttc("doctor", *swapped)
    solve = ttc("solve", *swapped, PROBLEM)
    twice = ttc("solve", "--policy", policy, "--prm", policy, PROBLEM)
    assert doctor.returncode == solve.returncode == twice.returncode == 1
    assert "fix: exchange the URLs of --policy and --prm" in doctor.stdout
    assert doctor.stdout.splitlines()[-1].startswith("Not ready: ")
    assert "exchange the URLs of --policy and --prm" in solve.stderr
    assert "both serve ttc-demo-policy" in twice.stderr
    for refused in (solve, twice):
        assert len(refused.stderr.splitlines()) == 1
        assert refused.stdout == ""


def test_nothing_listening_is_found_and_bad_usage_is_not_examined():
    gone = ttc("doctor", "--policy", "http://127.0.0.1:9", "--prm", "http://127.0.0.1:9")
    assert gone.returncode == 1
    assert gone.stdout.count("fail  reachable") == 2
    assert "nothing answers at http://127.0.0.1:9" in " ".join(gone.stdout.split())
    bad = ttc("doctor", "--policy", "gpu1:8000", "--prm", "http://x")
    assert (bad.returncode, bad.stdout) == (2, "")


def test_demo_servers_that_cannot_start_are_one_line(demo_servers):
    taken = demo_servers.policy.rsplit(":")[-1]
    done = ttc("up", "--policy-port", taken, "--prm-port", "0")
    assert (done.returncode, done.stdout) == (1, "")
    assert "did not start" in done.stderr
    assert "address already in use" in done.stderr
    assert len(done.stderr.splitlines()) == 1
