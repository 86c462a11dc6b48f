// The page of the gateway: asks for searches, and draws them while they grow. Uses tree.js.
const byId = id => document.getElementById(id);
const examples = JSON.parse(byId("examples").textContent);
const status = byId("status"), runs = byId("runs");
const fields = Object.fromEntries(["example", "problem", "profile", "other", "n", "seed", "key"].map(id => [id, byId(id)]));
let going = null;

const headers = () => {
  const key = fields.key.value.trim();
  return {"Content-Type": "application/json", ...(key ? {Authorization: `Bearer ${key}`} : {})};
};

async function asked(path, options = {}) {
  const reply = await fetch(path, {headers: headers(), ...options});
  if (reply.ok) return reply;
  const told = await reply.json().catch(() => ({}));
  if (reply.status === 401) byId("locked").hidden = false;
  throw new Error(told.error?.message ?? `the gateway answered ${reply.status}`);
}

// Formulas come in a list of their own, which each run has for itself.
const resolved = (rich, formulas) => Array.isArray(rich)
  ? rich.map(part => typeof part === "number" ? formulas[part] : part) : rich;
const resolvedNode = (node, formulas) => ({...node, text: resolved(node.text, formulas), answer: resolved(node.answer, formulas)});

class Run {
  constructor(heading) {
    this.box = ttc.element("section", undefined, "run");
    this.spent = ttc.element("p", "", "spent");
    this.race = ttc.element("ol", undefined, "race");
    this.race.setAttribute("aria-label", "Answers by what speaks for them");
    this.rows = new Map();
    this.told = ttc.element("div");
    this.tree = new ttc.SearchTree(node => node.finish === "stop");
    this.formulas = [];
    this.box.append(ttc.element("h2", heading), this.spent, this.race, this.told, this.tree.element);
    runs.append(this.box);
  }

  news({nodes, faded, leaders, formulas, tokens, in_flight, seconds}) {
    this.formulas.push(...formulas);
    for (const node of nodes) this.tree.add(resolvedNode(node, this.formulas));
    for (const path of faded) this.fade(path);
    this.vote(leaders.map(({key, answer, share}) => ({key, share, answer: resolved(answer, this.formulas)})));
    this.spend(tokens, seconds, in_flight ? `${in_flight} in flight` : "");
  }

  spend(tokens, seconds, more) {
    const parts = [`${tokens.toLocaleString("en")} tokens`, `${seconds.toFixed(1)} s`, more];
    this.spent.textContent = parts.filter(Boolean).join(" · ");
  }

  fade(path) {
    const box = this.tree.branches.get(path.join())?.item.firstChild;
    if (!box) return;
    box.classList.add("pruned");
    box.open = false;
  }

  vote(leaders) {
    const seen = new Set(leaders.map(({key}) => key));
    for (const [key, row] of this.rows) if (!seen.has(key)) { row.remove(); this.rows.delete(key); }
    leaders.forEach(({key, answer, share}, place) => {
      let row = this.rows.get(key);
      if (!row) {
        row = ttc.element("li");
        row.append(ttc.answerOf(answer, null), ttc.element("span", undefined, "bar"), ttc.element("span", undefined, "share"));
        this.rows.set(key, row);
      }
      const percent = `${Math.round(100 * share)} %`;
      row.children[1].style.width = `${100 * share}%`;
      row.children[2].textContent = percent;
      if (this.race.children[place] !== row) this.race.insertBefore(row, this.race.children[place] ?? null);
    });
  }

  result(told) {
    const line = ttc.element("p", undefined, "verdict");
    const answer = ttc.element("strong", typeof told.answer === "string" ? told.answer || "none" : JSON.stringify(told.answer));
    line.append(answer, ttc.element("span", `  decided by ${told.decided_by}${told.note ? "; " + told.note : ""}`, "muted"));
    this.told.replaceChildren(line, this.links(told.id));
  }

  links(id) {
    const line = ttc.element("p"), link = ttc.element("a", "Link to this search"), json = ttc.element("a", "Export as JSON");
    link.href = `?search=${id}`;
    json.href = "#";
    json.onclick = event => { event.preventDefault(); save(id).catch(failed); };
    line.append(link, " · ", json);
    return line;
  }

  failed(message) {
    this.told.replaceChildren(ttc.element("p", message, "wrong"));
  }
}

async function save(id) {
  const blob = await (await asked(`/ttc/searches/${id}/result.json`)).blob();
  const link = Object.assign(document.createElement("a"), {href: URL.createObjectURL(blob), download: `${id}.json`});
  link.click();
  URL.revokeObjectURL(link.href);
}

async function* events(reply) {
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let left = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const blocks = (left + part.value).split("\n\n");
    left = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n"), named = lines.find(line => line.startsWith("event: "));
      const data = lines.find(line => line.startsWith("data: "));
      if (data) yield [named?.slice(7), JSON.parse(data.slice(6))];
    }
  }
}

async function search(model, signal) {
  const run = new Run(model.split(":").at(-1));
  const extension = fields.n.value ? {n: Number(fields.n.value)} : undefined;
  const body = {model, messages: [{role: "user", content: fields.problem.value}], ttc: extension,
    seed: fields.seed.value ? Number(fields.seed.value) : undefined};
  try {
    const reply = await asked("/ttc/searches", {method: "POST", body: JSON.stringify(body), signal});
    for await (const [name, data] of events(reply)) {
      if (name === "news") run.news(data);
      else if (name === "result") run.result(data);
      else run.failed(data.error.message);
    }
    return run;
  } catch (error) {
    run.failed(signal.aborted ? "Stopped." : error.message);
    return null;
  }
}

const failed = error => { status.textContent = error.message; };

async function submit(event) {
  event.preventDefault();
  going?.abort();
  const own = going = new AbortController();
  runs.replaceChildren();
  byId("stop").disabled = false;
  status.textContent = "Searching …";
  const models = [...new Set([fields.profile.value, fields.other.value].filter(Boolean))];
  const found = await Promise.all(models.map(model => search(model, own.signal)));
  if (going !== own) return;
  byId("stop").disabled = true;
  const answers = found.filter(Boolean).map(run => run.told.querySelector("strong")?.textContent).filter(Boolean);
  status.textContent = answers.length ? `Done. ${answers.length > 1 ? "Answers" : "Answer"}: ${answers.join(", ")}` : "No answer.";
}

async function load() {
  const {data} = await (await asked("/v1/models")).json();
  const profiles = data.filter(model => model.ttc);
  const option = ({id, ttc: about}) => Object.assign(ttc.element("option",
    `${id.split(":").at(-1)}: ${about.strategy} at N=${about.n}`), {value: id});
  fields.profile.replaceChildren(...profiles.map(option));
  fields.other.replaceChildren(Object.assign(ttc.element("option", "nothing"), {value: ""}), ...profiles.map(option));
}

async function showKept(id) {
  const told = await (await asked(`/ttc/searches/${id}`)).json();
  const run = new Run(told.heading), formulas = told.formulas;
  const rich = value => resolved(value, formulas);
  fields.problem.value = ttc.plain(rich(told.problem));
  run.tree.element.remove();
  const tree = ttc.treeOf(told.tree.map(node => resolvedNode(node, formulas)));
  const answer = ttc.element("p", undefined, "verdict"), strong = ttc.element("strong");
  strong.append(ttc.plain(rich(told.answer)) === "" ? "none" : ttc.rich(rich(told.answer)));
  answer.append(strong, " ", ttc.element("span", told.note, "muted"));
  run.told.replaceChildren(answer, run.links(id), ttc.votes(told.votes.map(vote => ({...vote, answer: rich(vote.answer)}))));
  run.box.append(tree.element);
  run.spend(told.tokens, told.seconds, told.demo ? "demo models" : "");
}

for (const example of ["Your own", ...examples]) {
  fields.example.append(Object.assign(ttc.element("option", example), {value: example}));
}
fields.example.onchange = () => {
  if (fields.example.selectedIndex) fields.problem.value = fields.example.value;
};
fields.key.onchange = () => load().then(() => { status.textContent = ""; }, failed);
fields.problem.onkeydown = event => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("form").requestSubmit();
};
byId("form").onsubmit = submit;
byId("stop").onclick = () => going?.abort();
fields.problem.value = examples[0];
fields.example.selectedIndex = 1;
const kept = new URLSearchParams(location.search).get("search");
load().then(() => kept && showKept(kept)).catch(failed);
