import { builtinModules } from "node:module";
import type { Plugin } from "rolldown";

const PREFIX = "\0builtin:";
const NAMES = new Set(builtinModules);

/**
 * Takes what a bundle imports of Node's own modules by `process.getBuiltinModule`. An `import` reads every property of such a module,
 * used or not, and with that loads what stands behind getters: undici for node:http, WebCrypto for node:crypto, file streams for node:fs.
 * Imports of what does not exist become undefined; the type checker has refused them.
 */
export function builtinModulesPlugin(): Plugin {
  return {
    name: "builtin-modules",
    resolveId(id, _importer, { kind }) {
      const name = id.replace(/^node:/, "");
      return kind === "import-statement" && NAMES.has(name) ? `${PREFIX}${name}` : null;
    },
    async load(id) {
      if (!id.startsWith(PREFIX)) return null;
      const name = `node:${id.slice(PREFIX.length)}`;
      const exported = Object.keys(await import(name)).filter(
        (key) => key !== "default" && /^[A-Za-z_$][\w$]*$/.test(key),
      );
      const code = [
        `const builtin = /* @__PURE__ */ process.getBuiltinModule(${JSON.stringify(name)});`,
        "const read = (key) => builtin[key];",
        "export default builtin;",
        // A call that is marked as pure goes where its result is not used; reading a property would stay.
        ...exported.map((key) => `const ${key}$ = /* @__PURE__ */ read("${key}");\nexport { ${key}$ as ${key} };`),
      ];
      return { code: code.join("\n"), moduleSideEffects: false };
    },
  };
}
