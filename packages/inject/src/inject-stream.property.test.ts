import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { injectStream, uninjectStream } from "./inject-stream.ts";
import { DEFAULT_INJECTION_SETTINGS } from "./injection-settings.ts";

/*
 * Manifests of many shapes. The object is made and written by a tape of choices, which fast-check makes shorter and smaller
 * when a manifest fails: no choice left means the first, which is the plainest.
 */

const RUNS = 50;

test("uninject(inject(x)) is x, byte for byte, and inject(inject(x)) is inject(x)", () => {
  let injected = 0;
  fc.assert(
    fc.property(fc.array(fc.nat(1000), { maxLength: 400, size: "max" }), (choices) => {
      const tape = new Tape(choices);
      const text = stream(tape);
      const settings = {
        ...DEFAULT_INJECTION_SETTINGS,
        nativeSidecar: tape.chance(2, 3),
        holdApplication: tape.chance(1, 2),
        cni: tape.chance(1, 3),
      };
      const once = injectStream("x.yaml", text, settings);
      assert.ok(once.ok, once.ok ? "" : `${JSON.stringify(once.error)}\n${text}`);
      if (once.value.text !== text) injected += 1;
      const back = uninjectStream("x.yaml", once.value.text);
      assert.ok(back.ok && back.value.text === text, text);
      const twice = injectStream("x.yaml", once.value.text, settings);
      assert.ok(twice.ok && twice.value.text === once.value.text, text);
    }),
    { numRuns: RUNS, seed: 7 },
  );
  assert.ok(injected > RUNS / 2, `only ${injected} of ${RUNS} were injected`);
});

class Tape {
  readonly #choices: readonly number[];
  #at = 0;

  constructor(choices: readonly number[]) {
    this.#choices = choices;
  }

  below(count: number): number {
    return (this.#choices[this.#at++] ?? 0) % count;
  }

  chance(part: number, of: number): boolean {
    return this.below(of) >= of - part;
  }

  one<T>(...of: readonly T[]): T {
    return of[this.below(of.length)]!;
  }
}

type Value = null | boolean | number | string | Value[] | { [key: string]: Value };

function stream(tape: Tape): string {
  const newline = tape.one("\n", "\n", "\r\n");
  const documents = Array.from({ length: 1 + tape.below(3) }, () => document(tape));
  let text = documents.join(tape.one("---\n", "--- # next\n", "\n---\n\n"));
  if (tape.chance(1, 4)) text = tape.one("# head\n---\n", "---\n", "%YAML 1.2\n---\n", "# head\n\n") + text;
  if (tape.chance(1, 5)) text = text.replace(/\n+$/, "");
  else if (tape.chance(1, 6)) text += tape.one("...\n", "# the end", "\n\n", "---\n");
  return text.replaceAll("\n", newline);
}

function document(tape: Tape): string {
  if (tape.chance(1, 6))
    return tape.one("a:   {b:    c}\n", "# nothing\n", "kind: Other\nspec: {containers: []}\n", "- 1\n- x\n");
  const value = tape.chance(1, 6)
    ? { apiVersion: "v1", kind: "List", items: [workload(tape), workload(tape)] }
    : workload(tape);
  if (tape.chance(1, 5)) return `${JSON.stringify(value, null, tape.one<number | string>(0, 2, "\t"))}\n`;
  const writer = new Writer(tape);
  return `${writer.lines(value, 0).join("\n")}\n`;
}

function workload(tape: Tape): Value {
  const pod = { ...(tape.chance(2, 3) && { metadata: metadata(tape) }), spec: podSpec(tape) };
  const meta = { name: "web" };
  switch (tape.below(4)) {
    case 0:
      return { apiVersion: "v1", kind: "Pod", ...pod };
    case 1:
      return {
        apiVersion: "apps/v1",
        kind: "Deployment",
        metadata: meta,
        spec: { selector: { matchLabels: { app: "web" } }, template: pod },
      };
    case 2:
      return {
        kind: "CronJob",
        metadata: meta,
        apiVersion: "batch/v1",
        spec: { jobTemplate: { spec: { template: pod } } },
      };
    default:
      return { spec: { template: pod, replicas: 1 }, apiVersion: "apps/v1", kind: "StatefulSet", metadata: meta };
  }
}

function metadata(tape: Tape): Value {
  return tape.one<Value>(
    { labels: { app: "web" } },
    {},
    null,
    {
      annotations: { note: "a: b # c", multi: "line one\nline two\n" },
      labels: { app: "web", "app.kubernetes.io/name": "x" },
    },
    { labels: null, annotations: {} },
    { creationTimestamp: null },
    { annotations: { "heddle.dev/inject": "false" } },
  );
}

function podSpec(tape: Tape): Value {
  const fields: [string, Value][] = [
    ["containers", Array.from({ length: 1 + tape.below(3) }, (_, at) => container(tape, `c${at}`))],
  ];
  if (tape.chance(1, 3))
    fields.push([
      "initContainers",
      tape.one<Value>([{ name: "init", image: "i" }], [], null, [container(tape, "i0"), container(tape, "i1")]),
    ]);
  if (tape.chance(1, 3)) fields.push(["volumes", tape.one<Value>([{ name: "v", emptyDir: {} }], [], null)]);
  if (tape.chance(1, 3)) fields.push(["securityContext", { runAsNonRoot: true, fsGroup: 1000 }]);
  if (tape.chance(1, 3)) fields.push(["restartPolicy", "Never"]);
  return Object.fromEntries(tape.chance(1, 2) ? fields.toReversed() : fields);
}

function container(tape: Tape, name: string): Value {
  const fields: [string, Value][] = [
    ["name", name],
    ["image", "registry/web:1"],
  ];
  if (tape.chance(1, 2)) fields.push(["ports", [{ name: "http", containerPort: 8080 }]]);
  for (const probe of ["livenessProbe", "readinessProbe", "startupProbe"])
    if (tape.chance(1, 3))
      fields.push([
        probe,
        tape.one<Value>(
          { httpGet: { path: "/healthz", port: 8080 }, periodSeconds: 3 },
          { httpGet: { port: "8080", scheme: "HTTPS" } },
          { tcpSocket: { port: 8080 }, timeoutSeconds: 2 },
          { grpc: { port: 9000 } },
          { exec: { command: ["true"] } },
        ),
      ]);
  if (tape.chance(1, 4)) fields.push(["args", ["--x", "multi\nline\n", "trailing \n\n", "", "{curly}", "- dash"]]);
  if (tape.chance(1, 4)) fields.push(["lifecycle", { preStop: { httpGet: { path: "/bye", port: 80 } } }]);
  if (tape.chance(1, 4)) fields.push(["env", [{ name: "A", value: "true" }]]);
  return Object.fromEntries(tape.chance(1, 4) ? fields.toReversed() : fields);
}

/** Writes a value as YAML: block or flow, quoted or not, with comments, anchors and aliases where they may stand. */
class Writer {
  readonly #tape: Tape;
  /** Texts of flow values that an anchor names. */
  readonly #anchors = new Map<string, string>();

  constructor(tape: Tape) {
    this.#tape = tape;
  }

  lines(value: Value, depth: number): string[] {
    const tape = this.#tape;
    const lines: string[] = [];
    const comment = (): void => {
      if (tape.chance(1, 8)) lines.push(tape.one("# a comment", "", "#", "  # further in"));
    };
    if (Array.isArray(value)) {
      const [dash, indent] = tape.one(["- ", "  "], ["-   ", "    "]);
      for (const item of value) {
        comment();
        const [first = "", ...rest] = this.#node(item, depth + 1, true);
        lines.push(dash + first, ...rest.map((line) => (line === "" ? "" : indent + line)));
      }
      return lines;
    }
    for (const [key, member] of Object.entries(value as object) as [string, Value][]) {
      comment();
      lines.push(...this.#pair(key, member, depth));
    }
    return lines;
  }

  #pair(key: string, value: Value, depth: number): string[] {
    const tape = this.#tape;
    const name = tape.one(key, key, key, `"${key}"`, `'${key}'`);
    const [first = "", ...rest] = this.#node(value, depth + 1, false);
    if (!isBlock(value) || rest.length === 0) return [`${name}:${first === "" ? "" : " "}${first}`, ...rest];
    const indent = " ".repeat(Array.isArray(value) ? tape.one(0, 2, 4) : tape.one(2, 4));
    const behind = tape.one("", "", "", " # why", "  ");
    return [`${name}:${behind}`, ...[first, ...rest].map((line) => (line === "" ? "" : indent + line))];
  }

  /** Of a block: its lines; of anything else the text behind "key: ", its further lines indented. */
  #node(value: Value, depth: number, inList: boolean): string[] {
    const tape = this.#tape;
    if (isBlock(value) && depth > 2 && tape.chance(1, 5)) {
      const text = flow(value);
      const known = this.#anchors.get(text);
      if (known !== undefined && tape.chance(2, 3)) return [`*${known}`];
      if (tape.chance(1, 2)) return [tape.one(text, `${text} # flow`)];
      const anchor = `a${this.#anchors.size}`;
      this.#anchors.set(text, anchor);
      return [`&${anchor} ${text}`];
    }
    if (isBlock(value)) {
      const lines = this.lines(value, depth);
      // A comment in front of a list's item would stand behind its dash.
      while (inList && /^\s*(#|$)/.test(lines[0] ?? "x")) lines.shift();
      return lines.length === 1 && !inList ? [...lines, ""] : lines;
    }
    if (value === null) return [tape.one("", "~", "null")];
    if (typeof value === "object") return [Array.isArray(value) ? tape.one("[]", "[ ]") : tape.one("{}", "{ }")];
    if (typeof value !== "string") return [String(value)];
    if (value.endsWith("\n")) {
      const mark = value.endsWith("\n\n") ? "|+" : "|";
      return [
        mark,
        ...value
          .slice(0, -1)
          .split("\n")
          .map((line) => (line === "" ? "" : `  ${line}`)),
      ];
    }
    const plain = /^[a-z/][a-z0-9./:-]*$/i.test(value) && value !== "true";
    return [
      `${tape.one(plain ? value : JSON.stringify(value), JSON.stringify(value), `'${value}'`)}${tape.one("", "", " # said")}`,
    ];
  }
}

function isBlock(value: Value): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length > 0;
}

function flow(value: Value): string {
  if (Array.isArray(value)) return `[${value.map(flow).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([key, member]) => `${key}: ${flow(member)}`)
    .join(", ")}}`;
}
