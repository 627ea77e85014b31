// Plain JavaScript for any Node: says what to do where Node is too old, instead of failing with a syntax error.
const major = Number(process.versions.node.split(".")[0]);
if (major < 24) {
  console.error(
    `Heddle needs Node 24 or newer; this is Node ${process.versions.node}.\n` +
      "On Linux x64 and arm64 `npm ci` brings one along, which npm scripts find first: run `npm ci`, then the npm script again.\n" +
      "Elsewhere install Node 24 (https://nodejs.org).",
  );
  process.exit(1);
}
