// The page of a single search: its votes, its candidates and its tree.
const byId = id => document.getElementById(id);
const data = JSON.parse(byId("search").textContent);
ttc.load(data.formulas);

function candidate(found) {
  const box = ttc.element("details", undefined, "step"), line = ttc.element("summary");
  const steps = ttc.element("div", undefined, "steps");
  if (found.reward !== null) {
    box.style.borderLeftColor = `hsl(${120 * found.reward} 70% 42%)`;
    line.append(ttc.element("span", found.reward.toFixed(3), "score"));
  }
  line.append(ttc.element("span", found.notes, "notes"), ttc.answerOf(found.answer, null));
  if (found.thought !== null) steps.append(ttc.thought(found.thought));
  for (const {text, score} of found.steps) {
    const step = ttc.element("p", undefined, "text");
    if (score !== null) step.append(ttc.element("span", score.toFixed(3), "score"));
    step.append(ttc.rich(text));
    steps.append(step);
  }
  box.append(line, steps);
  return box;
}

byId("problem").append(ttc.rich(data.problem));
byId("answer").append(ttc.plain(data.answer) === "" ? "none" : ttc.rich(data.answer));
byId("votes").append(ttc.votes(data.votes));
byId("candidates").append(...data.candidates.map(candidate));
const tree = ttc.treeOf(data.tree);
byId("tree").append(tree.element);
byId("open").onclick = () => tree.openAll(true);
byId("close").onclick = () => tree.openAll(false);
