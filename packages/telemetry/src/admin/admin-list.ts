import type { AdminPage, AdminParam } from "./admin-page.ts";

/** What `/help` says, line by line as Envoy does: "  /path (POST): help", then what may stand behind the question mark. */
export function adminListText(pages: readonly AdminPage[]): string {
  return `admin commands are:\n${inOrder(pages).map(pageText).join("")}`;
}

/** The page at `/`: a link or a form for each path, so that what takes POST can be done from a browser. No script. */
export function adminListHtml(pages: readonly AdminPage[]): string {
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>admin</title>
<style>
body { font-family: sans-serif; margin: 1.5em; }
table { border-collapse: collapse; }
td { padding: 0.3em 1em 0.3em 0; vertical-align: top; border-top: 1px solid #ddd; }
label { display: block; font-size: smaller; }
</style>
</head>
<body>
<table>
${inOrder(pages).map(pageHtml).join("\n")}
</table>
</body>
</html>
`;
}

function inOrder(pages: readonly AdminPage[]): readonly AdminPage[] {
  return pages.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

function pageText({ path, method, help, params = [] }: AdminPage): string {
  const lines = params.map((param) => `      ${param.name}: ${paramText(param)}\n`);
  return `  ${path}${method === "POST" ? " (POST)" : ""}: ${help}\n${lines.join("")}`;
}

function paramText({ help, values = [] }: AdminParam): string {
  return values.length === 0 ? help : `${help}; one of ${values.join(", ")}`;
}

function pageHtml({ path, method, help, params = [] }: AdminPage): string {
  const inputs = params.map(inputHtml).join("");
  const act =
    method === "GET" && params.length === 0
      ? `<a href="${escapeHtml(path.slice(1))}">${escapeHtml(path)}</a>`
      : `<form action="${escapeHtml(path.slice(1))}" method="${method}"><button>${escapeHtml(path)}</button>${inputs}</form>`;
  return `<tr><td>${act}</td><td>${escapeHtml(help)}</td></tr>`;
}

function inputHtml(param: AdminParam): string {
  const { name, values } = param;
  const text = escapeHtml(`${name}: ${param.help}`);
  if (values === undefined) return `<label><input type="text" name="${escapeHtml(name)}"> ${text}</label>`;
  if (values.length === 0)
    return `<label><input type="checkbox" name="${escapeHtml(name)}" value="on"> ${text}</label>`;
  const options = ["", ...values].map((value) => `<option>${escapeHtml(value)}</option>`).join("");
  return `<label><select name="${escapeHtml(name)}">${options}</select> ${text}</label>`;
}

function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
