import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { formatDiagnostic } from "@heddle/config";
import type { Log } from "@heddle/telemetry";
import { quietLog } from "@heddle/xds/testing";
import { readTokens, TokenFile } from "./token-file.ts";

const hashOf = (token: string): string => createHash("sha256").update(token).digest("hex");

test("a token is known by its hash, however the word before it is written, and nothing else is", async (t) => {
  const { tokens } = await open(t, `- { name: ci, sha256: "${hashOf("s3cret")}", role: write, groups: [web] }\n`);
  const ci = { name: "ci", role: "write", groups: ["web"], namespaces: undefined };
  for (const header of ["Bearer s3cret", "bearer  s3cret"]) assert.deepEqual(tokens.callerOf(header), ci);
  for (const header of [
    undefined,
    "",
    "s3cret",
    "Bearer",
    "Bearer S3cret",
    "Basic s3cret",
    "Bearer s3cret x",
    `Bearer ${hashOf("s3cret")}`,
  ])
    assert.equal(tokens.callerOf(header), undefined, header);
});

test("the file is followed; one that is wrong or gone changes nothing, and no hash is in the log", async (t) => {
  const { tokens, path, lines } = await open(t, `- { name: a, sha256: "${hashOf("a")}", role: read }\n`);
  let changes = 0;
  tokens.onChange(() => (changes += 1));
  await writeFile(path, `- { name: b, sha256: "${hashOf("b")}x", role: read }\n- { name: b, role: root, extra: 1 }\n`);
  await tokens.look();
  assert.equal(tokens.callerOf("Bearer a")?.name, "a");
  assert.equal(lines.length, 6);
  assert.match(lines[0] ?? "", /tokens\.yaml:1:\d+: \[0\]\.sha256: allowed: 64 hexadecimal digits/);
  await rm(path);
  await tokens.look();
  assert.equal(changes, 0);
  await writeFile(path, `- { name: b, sha256: "${hashOf("b")}", role: admin }\n`);
  await tokens.look();
  assert.deepEqual([tokens.callerOf("Bearer a"), tokens.callerOf("Bearer b")?.role, changes], [undefined, "admin", 1]);
  assert.ok(!lines.join("\n").includes(hashOf("b")));
});

test("a SPIFFE ID is known whole, or as one below another, and the nearest entry counts", async (t) => {
  const text = `
- { name: all, spiffeId: "spiffe://mesh.test/ns/*", role: read }
- { name: ci, spiffeId: "spiffe://mesh.test/ns/ci/*", role: write }
- { name: bot, spiffeId: spiffe://mesh.test/ns/ci/sa/bot, role: admin }
- { name: token, sha256: "${hashOf("t")}", role: read }
`;
  const { tokens } = await open(t, text);
  const caller = (path: string): string | undefined => tokens.callerOfIdentity(`spiffe://${path}`)?.name;
  assert.deepEqual(
    ["ns/ci/sa/bot", "ns/ci/sa/bot2", "ns/ci-evil/sa/a", "ns/shop/sa/web", "ns", "nsx/a"].map((path) =>
      caller(`mesh.test/${path}`),
    ),
    ["bot", "ci", "all", "all", undefined, undefined],
  );
  assert.equal(caller("mesh.test.evil/ns/ci/sa/bot"), undefined);
  assert.equal(caller("other.test/ns/ci/sa/bot"), undefined);
  assert.equal(tokens.callerOf("Bearer spiffe://mesh.test/ns/ci/sa/bot"), undefined, "an ID is no secret");
});

for (const wrong of [
  "spiffeId: spiffe://mesh.test/ns/ci*",
  'spiffeId: "*"',
  'spiffeId: "spiffe://*"',
  'spiffeId: "spiffe://mesh.test/*/sa/web"',
  "spiffeId: https://mesh.test/a",
  `spiffeId: spiffe://mesh.test/a, sha256: "${"0".repeat(64)}"`,
  "spiffeId: [spiffe://mesh.test/a]",
])
  test(`an entry of { ${wrong} } is refused`, () => {
    assert.equal(readTokens("t.yaml", `- { name: a, role: read, ${wrong} }\n`).ok, false);
  });

test("everything that is wrong with a list of tokens is told, with its place", () => {
  const wrong = readTokens("t.yaml", "- name: 'a b'\n  sha256: 12\n  role: x\n  groups: web\n- 1\n");
  assert.ok(!wrong.ok);
  assert.deepEqual(
    wrong.error.map(formatDiagnostic).map((line) => line.replace(/(found|allowed|is).*/, "").trim()),
    [
      "t.yaml:1:3: [0].name:",
      "t.yaml:2:3: [0].sha256:",
      "t.yaml:3:3: [0].role:",
      "t.yaml:4:3: [0].groups:",
      "t.yaml:5:3: [1]:",
      "t.yaml:5:3: [1].name:",
      "t.yaml:5:3: [1].sha256:",
      "t.yaml:5:3: [1].role:",
    ],
  );
  assert.equal(readTokens("t.yaml", "a: 1").ok, false);
  const twice = `- { name: a, sha256: "${hashOf("a")}", role: read }\n- { name: b, sha256: "${hashOf("a").toUpperCase()}", role: admin }\n`;
  assert.equal(readTokens("t.yaml", twice).ok, false, "one token of two roles");
  const empty = `- { name: a, sha256: "${hashOf("a")}", role: write, groups: }\n`;
  assert.equal(readTokens("t.yaml", empty).ok, false, "groups that somebody forgot are not all of them");
  assert.deepEqual(readTokens("t.yaml", "# none yet\n"), { ok: true, value: [] });
});

async function open(t: { after(end: () => unknown): void }, text: string) {
  const folder = await mkdtemp(join(tmpdir(), "heddle-tokens-"));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, "tokens.yaml");
  await writeFile(path, text);
  const lines: string[] = [];
  const log: Log = {
    ...quietLog,
    error: (message, fields) => void lines.push(`${message} ${JSON.stringify(fields) ?? ""}`),
  };
  const clock = new ManualClock();
  const tokens = await TokenFile.open(path, clock, log);
  assert.ok(tokens.ok);
  t.after(() => tokens.value.close());
  return { tokens: tokens.value, path, lines };
}
