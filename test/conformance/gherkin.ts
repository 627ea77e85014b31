/** One row of one scenario outline, ready to run. */
export interface Scenario {
  readonly name: string;
  /** Without the "@". */
  readonly tags: readonly string[];
  /** Without their keyword; with the row's values in their places. */
  readonly steps: readonly string[];
}

/**
 * Reads the part of Gherkin that the features of xds-test-harness use: scenario outlines with tags and one table of
 * examples each. A line that is none of that is an error, so that no step is lost in silence.
 */
export function readFeature(text: string): Scenario[] {
  const scenarios: Scenario[] = [];
  let tags: readonly string[] = [];
  let outline: { name: string; tags: readonly string[]; steps: string[] } | undefined;
  let columns: readonly string[] | undefined;
  let inExamples = false;
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    const step = /^(?:Given|When|Then|And|But) (.*)$/.exec(line);
    const scenario = /^Scenario Outline: (.*)$/.exec(line);
    if (line === "" || line.startsWith("#")) continue;
    if (line.startsWith("@")) tags = line.split(/\s+/).map((tag) => tag.slice(1));
    else if (scenario !== null) {
      outline = { name: scenario[1] ?? "", tags, steps: [] };
      inExamples = false;
      columns = undefined;
    } else if (line === "Examples:") inExamples = true;
    else if (outline === undefined)
      continue; // the feature's own words
    else if (step !== null && !inExamples) outline.steps.push(step[1] ?? "");
    else if (line.startsWith("|") && inExamples) {
      const cells = line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim());
      if (columns === undefined) columns = cells;
      else scenarios.push(fill(outline, columns, cells));
    } else throw new Error(`line ${index + 1} is no step, row, tag or scenario: ${line}`);
  }
  return scenarios;
}

function fill(
  { name, tags, steps }: { name: string; tags: readonly string[]; steps: readonly string[] },
  columns: readonly string[],
  cells: readonly string[],
): Scenario {
  const values = new Map(columns.map((column, index) => [column, cells[index] ?? ""]));
  const withValues = (text: string): string =>
    text.replace(/<([^>]+)>/g, (_, column: string) => {
      const value = values.get(column);
      if (value === undefined) throw new Error(`"${name}" has no column ${column}`);
      return value;
    });
  return { name: withValues(name), tags, steps: steps.map(withValues) };
}
