/** How many unchanged lines stand around a change. */
const CONTEXT = 3;

type Step = { readonly sign: " " | "-" | "+"; readonly line: string };

/** The difference of two texts as `diff -u` writes it, without its head; no lines: there is none. */
export function unifiedDiff(before: string, after: string): readonly string[] {
  const steps = editScript(linesOf(before), linesOf(after));
  const changed = steps.flatMap(({ sign }, index) => (sign === " " ? [] : [index]));
  const lines: string[] = [];
  let at = 0;
  while (at < changed.length) {
    let last = at;
    // Changes whose surroundings touch are one hunk.
    while (last + 1 < changed.length && changed[last + 1]! - changed[last]! <= 2 * CONTEXT) last += 1;
    const from = Math.max(0, changed[at]! - CONTEXT);
    const to = Math.min(steps.length, changed[last]! + CONTEXT + 1);
    lines.push(hunkHead(steps, from, to), ...steps.slice(from, to).map(({ sign, line }) => sign + line));
    at = last + 1;
  }
  return lines;
}

function linesOf(text: string): readonly string[] {
  return text === "" ? [] : text.replace(/\n$/, "").split("\n");
}

function hunkHead(steps: readonly Step[], from: number, to: number): string {
  const range = (absent: "-" | "+"): string => {
    const start = steps.slice(0, from).filter(({ sign }) => sign !== absent).length;
    const count = steps.slice(from, to).filter(({ sign }) => sign !== absent).length;
    return `${count === 0 ? start : start + 1},${count}`;
  };
  return `@@ -${range("+")} +${range("-")} @@`;
}

/** What is more is told as everything taken out and everything put in: the table would have a million cells. */
const MAX_CELLS = 4_000_000;

/** The fewest lines taken out and put in, by the longest common subsequence of what lies between equal ends. */
function editScript(before: readonly string[], after: readonly string[]): readonly Step[] {
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head += 1;
  let tail = 0;
  while (
    tail < before.length - head &&
    tail < after.length - head &&
    before[before.length - 1 - tail] === after[after.length - 1 - tail]
  )
    tail += 1;
  const keep = (lines: readonly string[]): Step[] => lines.map((line) => ({ sign: " ", line }));
  return [
    ...keep(before.slice(0, head)),
    ...middle(before.slice(head, before.length - tail), after.slice(head, after.length - tail)),
    ...keep(before.slice(before.length - tail)),
  ];
}

function middle(before: readonly string[], after: readonly string[]): Step[] {
  const columns = after.length + 1;
  if (before.length * after.length > MAX_CELLS)
    return [...before.map((line): Step => ({ sign: "-", line })), ...after.map((line): Step => ({ sign: "+", line }))];
  /** Of the texts from there on. */
  const common = new Uint32Array((before.length + 1) * columns);
  for (let i = before.length - 1; i >= 0; i -= 1)
    for (let j = after.length - 1; j >= 0; j -= 1)
      common[i * columns + j] =
        before[i] === after[j]
          ? common[(i + 1) * columns + j + 1]! + 1
          : Math.max(common[(i + 1) * columns + j]!, common[i * columns + j + 1]!);
  const steps: Step[] = [];
  let [i, j] = [0, 0];
  while (i < before.length || j < after.length) {
    if (i < before.length && j < after.length && before[i] === after[j]) {
      steps.push({ sign: " ", line: before[i]! });
      i += 1;
      j += 1;
    } else if (
      j === after.length ||
      (i < before.length && common[(i + 1) * columns + j]! >= common[i * columns + j + 1]!)
    ) {
      steps.push({ sign: "-", line: before[i]! });
      i += 1;
    } else {
      steps.push({ sign: "+", line: after[j]! });
      j += 1;
    }
  }
  return steps;
}
