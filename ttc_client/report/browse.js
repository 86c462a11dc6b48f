// The browser of a report's problems: a list that one filters and sorts, and the problem chosen.
const byId = id => document.getElementById(id);
const data = JSON.parse(byId("problems").textContent);
const [list, view, treeBox, searches] = ["list", "view", "tree", "searches"].map(byId);
const [words, outcome, judge, level, order] = ["words", "outcome", "judge", "level", "order"].map(byId);
const EXCERPT_LENGTH = 90, LEVEL_LENGTH = 20, ROWS = 100;
let chosen = null, shown = [], tree = null, searchName = null;

ttc.load(data.formulas);
const problems = data.problems.map((problem, place) => ({
  ...problem, place, button: null,
  source: `${problem.id} ${ttc.plain(problem.text)} ${ttc.plain(problem.answer)}`.toLowerCase(),
}));

const isRight = search => search.right >= 0.5;
const judged = problem => problem.searches.filter(search => !judge.value || search.strategy === judge.value);
const share = problem => {
  const found = judged(problem);
  return found.length ? found.filter(isRight).length / found.length : NaN;
};
const OUTCOMES = {
  "": () => true, right: found => found === 1, wrong: found => found === 0,
  mixed: found => found > 0 && found < 1,
};
const collator = new Intl.Collator("en", {numeric: true});
const ORDERS = {
  set: (a, b) => a.place - b.place,
  hardest: (a, b) => (share(a) - share(b)) || a.place - b.place,
  easiest: (a, b) => (share(b) - share(a)) || a.place - b.place,
  level: (a, b) => collator.compare(a.level, b.level) || a.place - b.place,
  text: (a, b) => collator.compare(a.source, b.source),
};

function row(problem) {
  const item = ttc.element("li"), button = ttc.element("button");
  const marks = ttc.element("span", undefined, "marks");
  for (const search of problem.searches) {
    const made = ttc.mark(search.right);
    made.title = `${search.name}: ${isRight(search) ? "right" : "wrong"}`;
    made.setAttribute("aria-label", made.title);
    marks.append(made);
  }
  const text = ttc.element("span", undefined, "excerpt");
  text.append(ttc.rich(ttc.excerpt(problem.text, EXCERPT_LENGTH)));
  button.type = "button";
  button.title = problem.id;
  button.append(marks, ...(problem.level ? [ttc.element("span", problem.level.slice(0, LEVEL_LENGTH), "level")] : []), text);
  button.onclick = () => choose(problem);
  button.tabIndex = -1;
  problem.button = button;
  item.append(button);
  return item;
}

function filter() {
  const wanted = words.value.trim().toLowerCase().split(/\s+/);
  shown = problems.filter(problem => OUTCOMES[outcome.value](share(problem))
    && (!level.value || problem.level === level.value)
    && wanted.every(word => problem.source.includes(word)));
  shown.sort(ORDERS[order.value]);
  list.replaceChildren();
  extend(shown.indexOf(chosen));
  byId("count").textContent = `${shown.length} of ${problems.length} problems`;
  if (!shown.length) clear();
  else if (!shown.includes(chosen)) choose(shown[0]);
}

// Rows are added as one comes to them: to lay out formulas takes long where there are hundreds.
function extend(place) {
  const known = list.children.length, wanted = Math.max(ROWS, place + ROWS / 2);
  if (place < known - ROWS / 2 && known) return;
  const added = shown.slice(known, Math.max(wanted, known));
  list.append(...added.map(problem => problem.button?.parentElement ?? row(problem)));
}

function clear() {
  chosen = null;
  for (const box of [view, searches, treeBox]) box.replaceChildren();
  view.append(ttc.element("p", "No problem is like this: take a filter away."));
  byId("steps").hidden = true;
}

function choose(problem) {
  for (const [one, isIt] of [[chosen, false], [problem, true]]) {
    if (!one?.button) continue;
    one.button.tabIndex = isIt ? 0 : -1;
    if (isIt) one.button.setAttribute("aria-current", "true");
    else one.button.removeAttribute("aria-current");
  }
  chosen = problem;
  const gold = ttc.element("p", "Gold answer: ");
  gold.append(ttc.text(problem.answer));
  const statement = ttc.element("p", undefined, "text");
  statement.append(ttc.rich(problem.text));
  const title = ttc.element("h3", problem.level ? `${problem.id}, level ${problem.level}` : problem.id);
  view.replaceChildren(title, statement, gold);
  const names = problem.searches.map(search => search.strategy);
  const index = Math.max(0, names.indexOf(searchName));
  searches.replaceChildren(...problem.searches.map((search, place) => pill(search, place === index)));
  show(problem.searches[index]);
}

function pill(search, isChosen) {
  const label = ttc.element("label", undefined, "pill"), input = ttc.element("input");
  Object.assign(input, {type: "radio", name: "search", checked: isChosen});
  input.onchange = () => { searchName = search.strategy; show(search); };
  label.append(input, ttc.element("span", search.name), " ", ttc.mark(search.right));
  return label;
}

function show(search) {
  tree = search?.tree?.length ? ttc.treeOf(search.tree) : null;
  byId("steps").hidden = !tree;
  const note = search?.note ? [ttc.element("p", search.note)] : [];
  treeBox.replaceChildren(...(search ? [ttc.votes(search.votes), ...note] : []), ...(tree ? [tree.element] : []));
}

function move(event) {
  const steps = {ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity}[event.key];
  if (!steps || !shown.length) return;
  event.preventDefault();
  const place = Math.min(shown.length - 1, Math.max(0, shown.indexOf(chosen) + steps));
  extend(place);
  choose(shown[place]);
  chosen.button.focus();
}

function options(select, names) {
  select.append(...names.map(name => Object.assign(ttc.element("option", name), {value: name})));
  if (!names.length) select.parentElement.hidden = true;
}

options(judge, [...new Set(problems.flatMap(problem => problem.searches.map(search => search.strategy)))]);
options(level, [...new Set(problems.map(problem => problem.level).filter(Boolean))].sort(collator.compare));
words.oninput = filter;
for (const select of [outcome, judge, level, order]) select.onchange = filter;
list.onkeydown = move;
list.onscroll = () => {
  if (list.scrollTop + 2 * list.clientHeight > list.scrollHeight) extend(list.children.length);
};
byId("open").onclick = () => tree.openAll(true);
byId("close").onclick = () => tree.openAll(false);
filter();
