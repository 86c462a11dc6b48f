"""The deploy files against their schemas, the launch scripts and the client's settings."""

import json
import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from ttc_client import Servers
from ttc_client.bench.recipe import shipped_recipes
from ttc_client.bench.shards import find_shard
from ttc_client.gateway.metrics import HELP
from ttc_client.gateway.profiles import read_profiles
from ttc_client.settings import config
from ttc_client.settings.config import load_settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "servers" / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
OBJECTS = [doc for path in MANIFESTS for doc in yaml.safe_load_all(path.read_text())]
SETTINGS = {f"TTC_{name.upper()}" for name in config.SETTINGS}


def validate(tool: str, *arguments: str | Path) -> None:
    command = [Path(sys.executable).with_name(tool), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def the_object(kind: str, name: str) -> dict[str, Any]:
    (found,) = [o for o in OBJECTS if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return found


def container(name: str) -> dict[str, Any]:
    """Return the container of a Deployment or Job."""
    (workload,) = [
        o for o in OBJECTS if o["metadata"]["name"] == name and o["kind"] in ("Deployment", "Job")
    ]
    (found,) = workload["spec"]["template"]["spec"]["containers"]
    return found


def dry_run(command: list[str]) -> str:
    """Return what a launch script, mounted at /ttc, would run."""
    script, *arguments = command
    local = [ROOT / script.removeprefix("/ttc/"), "--dry-run", *arguments]
    done = subprocess.run(local, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_compose_file_is_valid() -> None:
    validate("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_kubernetes_manifest_is_valid(path: Path) -> None:
    validate("kubernetes-validate", "--strict", path)


@pytest.mark.parametrize(("name", "port"), [("policy", "8000"), ("prm", "8001")])
def test_compose_starts_the_servers_by_the_launch_scripts(name: str, port: str) -> None:
    service = yaml.safe_load(COMPOSE.read_text())["services"][name]
    assert f"--port {port} " in dry_run(service["entrypoint"] + service["command"])
    assert service["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert service["healthcheck"]["test"][-1] == f"http://localhost:{port}/health"


def test_compose_gives_each_server_a_gpu_and_the_client_both_urls() -> None:
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    devices = [
        services[name]["deploy"]["resources"]["reservations"]["devices"][0]["device_ids"]
        for name in ("policy", "prm")
    ]
    assert devices == [["0"], ["1"]]
    client = services["client"]
    assert client["environment"]["TTC_POLICY"] == "http://policy:8000"
    assert client["environment"]["TTC_PRM"] == "http://prm:8001"
    assert set(client["environment"]) <= SETTINGS
    built = client["build"]["dockerfile_inline"]
    copied = [line.split()[1:-1] for line in built.splitlines() if line.startswith("COPY")]
    assert all((ROOT / path).exists() for paths in copied for path in paths)


@pytest.mark.parametrize(("name", "port"), [("policy", 8000), ("prm", 8001)])
def test_a_pod_runs_a_launch_script_on_the_port_it_is_reached_at(name: str, port: int) -> None:
    server = container(name)
    shown = dry_run(server["command"] + server["args"])
    assert f"--port {port} " in shown
    assert server["ports"] == [{"name": "http", "containerPort": port}]
    assert server["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert "--data-parallel-size 1 --tensor-parallel-size 1 " in shown


@pytest.mark.parametrize("name", ["policy", "prm"])
def test_a_pod_is_given_every_file_that_its_script_reads(name: str) -> None:
    pod = the_object("Deployment", name)["spec"]["template"]["spec"]
    (launch,) = [v["configMap"] for v in pod["volumes"] if v["name"] == "launch"]
    paths = {item["path"] for item in launch["items"]}
    script = f"scripts/launch_{name}"
    assert paths == {script, "scripts/lib/launch.sh", "servers/templates/llama3.jinja"}
    assert all((ROOT / item["path"]).name == item["key"] for item in launch["items"])
    readme = (DEPLOY / "README.md").read_text()
    assert all(f"--from-file={path}" in readme for path in paths)


def test_policies_are_replicas_behind_a_router_that_finds_them() -> None:
    policies = the_object("Deployment", "policy")["spec"]
    assert policies["replicas"] > 1
    (command,) = container("policy-router")["args"]
    labels = policies["template"]["metadata"]["labels"]
    assert f"--selector app={labels['app']} --service-discovery-port 8000" in command
    assert "--policy consistent_hash" in command
    routed = the_object("Service", "policy")["spec"]["selector"]
    router = the_object("Deployment", "policy-router")["spec"]["template"]["metadata"]["labels"]
    assert routed == router


def test_the_client_job_reaches_both_servers() -> None:
    job = container("ttc")
    environment = {variable["name"]: variable["value"] for variable in job["env"]}
    ports = {
        name: the_object("Service", name)["spec"]["ports"][0]["port"] for name in ("policy", "prm")
    }
    assert environment == {
        "TTC_POLICY": f"http://policy:{ports['policy']}",
        "TTC_PRM": f"dns+http://prm:{ports['prm']}",
        "TTC_SESSION_HEADER": "X-Session-ID",
    }
    assert set(environment) <= SETTINGS
    assert the_object("Service", "prm")["spec"]["clusterIP"] == "None"
    load_settings({}, environment)
    template = the_object("Job", "ttc")["spec"]["template"]
    (rule,) = the_object("NetworkPolicy", "prm")["spec"]["ingress"]
    (allowed,) = rule["from"]
    assert template["metadata"]["labels"] == allowed["podSelector"]["matchLabels"]


def test_the_indexed_job_has_a_pod_for_each_shard_that_it_names(tmp_path: Path) -> None:
    spec, pod = the_object("Job", "ttc-bench")["spec"], container("ttc-bench")
    arguments = dict(pairwise(pod["args"]))
    shards = [
        find_shard(arguments["--shard"], {"JOB_COMPLETION_INDEX": str(index)}, tmp_path)
        for index in range(spec["completions"])
    ]
    assert [str(shard) for shard in shards] == [f"{i}/10" for i in range(1, 11)]
    assert spec["completionMode"] == "Indexed"
    assert spec["podReplacementPolicy"] == "Failed"
    assert arguments["--recipe"] in shipped_recipes()
    assert pod["env"] == container("ttc")["env"]
    (mount,) = pod["volumeMounts"]
    assert arguments["--out"].startswith(mount["mountPath"] + "/")
    template = spec["template"]
    assert template["metadata"] == the_object("Job", "ttc")["spec"]["template"]["metadata"]
    (volume,) = template["spec"]["volumes"]
    claim = the_object("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


def test_the_gateway_serves_both_models_with_keys_on_the_port_it_is_reached_at() -> None:
    pod = container("ttc-gateway")
    environment = {v["name"]: v["value"] for v in pod["env"] if "value" in v}
    keys = {v["name"]: v["valueFrom"]["secretKeyRef"] for v in pod["env"] if "value" not in v}
    assert {key["name"] for key in keys.values()} == {"ttc-gateway"}
    assert {key["key"] for key in keys.values()} == set(keys)
    assert set(keys) == {"TTC_POLICY_API_KEY", "TTC_PRM_API_KEY"}
    job = {variable["name"]: variable["value"] for variable in container("ttc")["env"]}
    assert environment == job
    arguments = dict(pairwise(pod["args"]))
    assert arguments["--port"] == str(
        the_object("Service", "ttc-gateway")["spec"]["ports"][0]["port"]
    )
    mounts = {mount["mountPath"] for mount in pod["volumeMounts"]}
    files = [Path(arguments[flag]) for flag in ("--keys", "--profiles")]
    assert {str(file.parent) for file in files} == mounts
    lines = tomllib.loads(the_object("ConfigMap", "ttc-gateway")["data"]["profiles.toml"])
    settings = replace(load_settings({}, {}), servers=Servers(policy="http://x", prm="http://y"))
    profiles = read_profiles([f"{name}={line}" for name, line in lines.items()], None, settings)
    assert set(profiles) == {"fast", "hard"}


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    dashboard = json.loads((DEPLOY / "grafana.json").read_text())
    asked = {target["expr"] for panel in dashboard["panels"] for target in panel["targets"]}
    names = {name for expr in asked for name in re.findall(r"ttc_\w+", expr)}
    assert {re.sub("_(bucket|sum|count)$", "", name) for name in names} == set(HELP)
