import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { projectRoot } from "./harness/imports.ts";

/* What is written for people: that its links lead somewhere, and that nothing stands where nobody finds it. */

const pages = new Map(
  globSync(["*.md", "{bench,docs,examples,proto,packages,control-plane,sidecar}/**/*.md"], {
    cwd: projectRoot,
    exclude: (path) => path.includes("node_modules"),
  }).map((path) => [path, readFileSync(join(projectRoot, path), "utf8")] as const),
);

/** Names of a page's headings, as a link after `#` has them. */
function anchors(page: string): Set<string> {
  return new Set(
    [...page.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
      heading
        .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}_ -]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );
}

const links = [...pages].flatMap(([from, text]) =>
  [...text.matchAll(/\]\((?!\w+:)([^)\s#]*)(?:#([^)\s]*))?\)/g)].map(([link, path = "", anchor]) => {
    const to = path === "" ? from : normalize(join(dirname(from), path));
    return { what: `${from}: ${link}`, from, to, anchor };
  }),
);

test("every link between pages leads to a file that there is, and to a heading in it", () => {
  assert.ok(links.length > 100, `${links.length} links`);
  const broken = links.filter(({ to, anchor }) => {
    const page = pages.get(to);
    if (page === undefined) return anchor !== undefined || !existsSync(join(projectRoot, to));
    return anchor !== undefined && !anchors(page).has(anchor);
  });
  assert.deepEqual(
    broken.map(({ what }) => what),
    [],
  );
});

test("README links every page of docs, and docs/decisions/README.md every decision by its number", () => {
  const linked = (from: string) => new Set(links.filter((link) => link.from === from).map(({ to }) => to));
  const [fromReadme, fromDecisions] = [linked("README.md"), linked("docs/decisions/README.md")];
  const unlinked: string[] = [];
  for (const path of pages.keys()) {
    if (/^docs\/[^/]+\.md$/.test(path) && !fromReadme.has(path)) unlinked.push(path);
    if (/^docs\/decisions\/\d/.test(path) && !fromDecisions.has(path)) unlinked.push(path);
  }
  assert.deepEqual(unlinked, []);
  for (const [path, text] of pages) {
    const number = /^docs\/decisions\/0*(\d+)-/.exec(path)?.[1];
    if (number !== undefined) assert.ok(text.startsWith(`# ${number}. `), `${path} begins with its number`);
  }
});
