"use strict";
// What pages share: texts with formulas, the votes of a search, and its tree, which may grow while
// one looks at it. Needs page.css, and no library. All it offers is in `ttc`.
//
// A text is a string, or a list of strings and formulas; a formula is an object
// {tex, rows, display}, or its index in the list that `ttc.load` was given. A node of a tree is
// {path, text, score, finish, multiplicity, kept, is_prompt, answer, right, thought}: `answer` is
// null but at the end of a completion, `right` from 0 to 1, or null where it is not known, and
// `thought` what the model thought before the text, null where it did not.
const ttc = (() => {
  const MATHML = "http://www.w3.org/1998/Math/MathML";
  const UNSEEN = /[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
  const EXCERPT = 160, ANSWER = 28, ENDS_SHOWN = 3;
  let formulas = [];

  // What models wrote goes through textContent: it is never read as markup. What would not be
  // seen, or reverse what stands beside it, is replaced.
  const clean = text => String(text).replace(UNSEEN, "\ufffd");

  function element(tag, text, ...classes) {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = clean(text);
    made.classList.add(...classes);
    return made;
  }

  function mathNode([tag, ...rest]) {
    const made = document.createElementNS(MATHML, tag);
    const attributes = rest.length && !Array.isArray(rest[0]) && typeof rest[0] === "object" ? rest.shift() : {};
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...rest.map(child => Array.isArray(child) ? mathNode(child) : clean(child)));
    return made;
  }

  const formulaOf = part => typeof part === "number" ? formulas[part] : part;
  const parts = text => Array.isArray(text) ? text : [text];

  // The rows of a formula are elements of their own: between them a line may break.
  function formula({tex, rows, display}) {
    const made = element("span", undefined, "math", ...(display ? ["display"] : []));
    made.title = clean(tex);
    rows.forEach((row, index) => {
      const math = document.createElementNS(MATHML, "math");
      if (display) math.setAttribute("display", "block");
      math.append(mathNode(row));
      made.append(...(index ? [document.createElement("wbr")] : []), math);
    });
    return made;
  }

  function rich(text) {
    const made = document.createDocumentFragment();
    for (const part of parts(text)) {
      const before = made.lastChild;
      const [ending] = typeof part === "string" && before?.className === "math"
        && before.childElementCount === 1 && /^[.,;:!?)]+/.exec(part) || [""];
      if (ending) {  // stays on the line of its formula
        before.classList.add("ended");
        before.append(ending);
      }
      made.append(typeof part === "string" ? clean(part.slice(ending.length)) : formula(formulaOf(part)));
    }
    return made;
  }

  // The source of a text, to search in.
  const plain = text => parts(text).map(p => typeof p === "string" ? p : formulaOf(p).tex).join("");

  // The beginning of a text, without line breaks, its formulas within the line.
  function excerpt(text, length) {
    const kept = [];
    let room = length;
    for (const part of parts(text)) {
      if (room <= 0) break;
      if (typeof part === "string") kept.push(part.slice(0, room).replace(/\s+/g, " "));
      else kept.push({...formulaOf(part), display: false});
      room -= typeof part === "string" ? part.length : Math.ceil(formulaOf(part).tex.length / 2);
    }
    if (room < 0) kept.push("…");
    return kept;
  }

  // What a model thought before it answered: closed until one asks for it.
  function thought(text) {
    const made = element("details", undefined, "thought"), inner = element("div", undefined, "text");
    const words = plain(text).split(/\s+/).filter(Boolean).length;
    inner.append(rich(text));
    made.append(element("summary", `thought for ${words} word${words === 1 ? "" : "s"}`), inner);
    return made;
  }

  function mark(right) {
    if (right === null || right === undefined) return "";
    const [sign, name] = right >= 1 ? ["✓", "right"] : right <= 0 ? ["✗", "wrong"]
      : [Math.round(100 * right) + " %", right >= 0.5 ? "right" : "wrong"];
    const made = element("span", sign, name);
    made.setAttribute("role", "img");
    made.setAttribute("aria-label", sign === "✓" || sign === "✗" ? name : `${sign} right`);
    return made;
  }

  function answerOf(answer, right) {
    const made = element("span", undefined, "answer");
    made.append(rich(plain(answer) === "" ? "(none)" : excerpt(answer, ANSWER)), " ", mark(right));
    return made;
  }

  class SearchTree {
    // `isOpen` says of a node whether its step is open when it is added.
    constructor(isOpen = () => true) {
      this.element = element("ul", undefined, "tree");
      this.isOpen = isOpen;
      this.branches = new Map([["", {list: this.element, ends: new Map()}]]);
      this.changed = new Set();
    }

    // A node goes below the nearest of its ancestors that is there.
    add(node) {
      const way = node.path.map((_, depth) => node.path.slice(0, depth).join())
        .filter(key => this.branches.has(key));
      const branch = this.step(node);
      this.branches.get(way.at(-1)).list.append(branch.item);
      this.branches.set(node.path.join(), branch);
      if (node.answer === null || node.answer === undefined) return;
      branch.item.classList.add("end");
      branch.label.append("→ ", answerOf(node.answer, node.right));
      for (const key of way) this.count(this.branches.get(key), node);
    }

    step(node) {
      const box = element("details", undefined, "step", ...(node.kept ? [] : ["pruned"]));
      const line = element("summary"), text = element("span", undefined, "text"), notes = [];
      const whole = element("div", undefined, "text"), list = element("ul", undefined, "tree");
      const item = element("li"), ends = element("span", undefined, "ends");
      box.open = this.isOpen(node);
      if (node.score !== null) {
        box.style.borderLeftColor = `hsl(${120 * node.score} 70% 42%)`;
        line.append(element("span", node.score.toFixed(3), "score"));
      }
      if (node.multiplicity > 1) notes.push("×" + node.multiplicity);
      if (node.finish === "eos") notes.push("end");
      if (node.finish === "length") notes.push("cut");
      if (node.thought && plain(node.text) === "") notes.push("within its thought");
      if (!node.kept) notes.push("not kept");
      if (node.is_prompt) notes.push("asked");
      text.append(rich(excerpt(node.text, EXCERPT)));
      if (node.thought) whole.append(thought(node.thought));
      whole.append(rich(trimmed(node.text)));
      line.append(...(notes.length ? [element("span", notes.join(", "), "notes")] : []), text, ends);
      box.append(line, whole, list);
      item.append(box);
      return {item, list, label: ends, ends: new Map()};
    }

    count(branch, {answer, right, multiplicity}) {
      const key = `${right} ${plain(answer)}`;
      const known = branch.ends.get(key) ?? {answer, right, count: 0};
      known.count += multiplicity;
      branch.ends.set(key, known);
      if (!branch.label) return;
      if (!this.changed.size) queueMicrotask(() => this.relabel());
      this.changed.add(branch);
    }

    // A closed branch shows what its completions came to, the most frequent answers first.
    relabel() {
      for (const {label, ends} of this.changed) {
        const sorted = [...ends.values()].sort((one, other) => other.count - one.count);
        const shown = sorted.slice(0, ENDS_SHOWN).map(({answer, right, count}) => {
          const made = answerOf(answer, right);
          if (count > 1) made.append(` ×${count}`);
          return made;
        });
        if (sorted.length > shown.length) shown.push(element("span", `and ${sorted.length - shown.length} more`));
        label.replaceChildren("→ ", ...shown);
      }
      this.changed.clear();
    }

    openAll(isOpen) {
      for (const box of this.element.querySelectorAll("details.step")) box.open = isOpen;
    }
  }

  function trimmed(text) {
    const [first, ...rest] = parts(text);
    const last = rest.pop();
    if (last === undefined) return typeof first === "string" ? first.trim() : [first];
    return [typeof first === "string" ? first.trimStart() : first, ...rest,
      typeof last === "string" ? last.trimEnd() : last];
  }

  // The whole of a finished search. The way to the completion with the best last step is open, and
  // in a tree of at most `allOpen` steps all that was kept.
  function treeOf(nodes, allOpen = 60) {
    const ends = nodes.filter(node => node.kept && node.finish !== "stop");
    const best = ends.reduce((one, other) => other.score > one.score ? other : one, ends[0] ?? {path: []});
    const onWay = node => node.path.every((place, depth) => place === best.path[depth]);
    const made = new SearchTree(node => onWay(node) || (node.kept && nodes.length <= allOpen));
    for (const node of [...nodes].sort((a, b) => a.path.length - b.path.length)) made.add(node);
    return made;
  }

  // A table of rows, without the columns that hold nothing. A column is [name, cell of row].
  function table(rows, columns) {
    const box = element("div", undefined, "scroll"), made = element("table"), head = element("tr");
    const cells = rows.map(row => columns.map(([, cell]) => cell(row)));
    const isEmpty = cell => cell === "" || cell === null || cell === undefined;
    const filled = columns.map((_, index) => cells.some(row => !isEmpty(row[index])));
    const numbers = columns.map((_, index) => index > 0 && cells.some(row => /^[\d.]+$/.test(row[index])));
    columns.forEach(([name], index) => {
      if (filled[index]) head.append(element("th", name, ...(numbers[index] ? ["number"] : [])));
      if (filled[index]) head.lastChild.scope = "col";
    });
    const body = element("tbody");
    for (const row of cells) {
      const line = element("tr");
      row.forEach((cell, index) => {
        if (!filled[index]) return;
        const made = element("td", undefined, ...(numbers[index] ? ["number"] : []));
        made.dataset.label = columns[index][0];
        made.append(isEmpty(cell) ? "–" : cell);
        line.append(made);
      });
      body.append(line);
    }
    const top = element("thead");
    top.append(head);
    made.append(top, body);
    box.append(made);
    return box;
  }

  function text(value) {
    const made = element("span", undefined, "text");
    made.append(rich(value));
    return made;
  }

  const fixed = number => number === null || number === undefined ? "" : number.toFixed(3);

  function votes(rows) {
    return table(rows, [
      ["answer", row => plain(row.answer) === "" ? "(none)" : text(row.answer)], ["votes", row => row.votes],
      ["summed reward", row => fixed(row.reward_sum)], ["best reward", row => fixed(row.reward_max)],
      ["right", row => mark(row.right)], ["chosen by", row => row.chosen.join(", ")],
    ]);
  }

  return {load: found => { formulas = found; }, element, rich, plain, excerpt, thought, mark, answerOf, text,
    SearchTree, treeOf, table, votes};
})();
