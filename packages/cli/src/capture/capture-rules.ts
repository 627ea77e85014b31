import { ALL_ROUTES, type ResolvedCapture, type RouteStep, routesOf } from "@heddle/capture";
import { BACKEND_NAMES, type Backend, type BackendName, backendOf } from "./backend.ts";
import { CaptureFailure, failureOf, type Toolbox } from "./tool.ts";

/** Which backend is to set the rules. `auto`: nft, and where that does not work iptables in one of its variants. */
export type BackendChoice = "auto" | BackendName;

/** What was done, for people. */
export interface Applied {
  readonly backend: BackendName;
  readonly warnings: readonly string[];
}

/**
 * Makes the rules of ours in this namespace be exactly those of `capture`, whichever backend set what is there. Rules first, then routes: between
 * the two TPROXY has no answer for a packet, and what is captured waits rather than passes by.
 * @param isNew the namespace has just been made: nobody looks for rules of other backends, which is most of the time that this takes.
 */
export function applyCapture(
  capture: ResolvedCapture,
  choice: BackendChoice,
  tools: Toolbox,
  { isNew = false }: { readonly isNew?: boolean } = {},
): Applied {
  const reasons: string[] = [];
  for (const backend of candidates(choice, tools)) {
    const unusable = backend.unusable();
    if (unusable !== undefined) {
      reasons.push(unusable);
      continue;
    }
    try {
      backend.apply(capture);
    } catch (error) {
      if (!(error instanceof CaptureFailure) || choice !== "auto") throw error;
      reasons.push(error.message); // a tool that is there for a kernel that lacks what it asks for
      continue;
    }
    if (!isNew) for (const other of backendsInForce(tools)) if (!isSame(other, backend, tools)) other.undo();
    return { backend: backend.name, warnings: applyRoutes(capture, tools) };
  }
  throw new CaptureFailure([...new Set(reasons)].join("\n"));
}

/** Takes away whatever of ours is in this namespace; without any: nothing. Returns the backends through which there was something. */
export function undoCapture(tools: Toolbox): readonly BackendName[] {
  const done = backendsInForce(tools).map((backend) => {
    backend.undo();
    return backend.name;
  });
  if (BACKEND_NAMES.every((name) => backendOf(name, tools).unusable() !== undefined)) {
    // Nobody could look: saying that nothing is there would be a guess.
    throw new CaptureFailure(backendOf("nft", tools).unusable() ?? "no backend");
  }
  removeRoutes(ALL_ROUTES, tools);
  return done;
}

/** What is wrong with the rules in force; undefined: nothing. */
export function captureDifference(capture: ResolvedCapture, tools: Toolbox): string | undefined {
  const inForce = backendsInForce(tools);
  const [backend] = inForce;
  if (backend === undefined) {
    const unusable = backendOf("nft", tools).unusable();
    return `no rules are in force${unusable === undefined ? "" : ` (${unusable})`}`;
  }
  return backend.difference(capture) ?? routesDifference(capture, tools);
}

function candidates(choice: BackendChoice, tools: Toolbox): readonly Backend[] {
  return (choice === "auto" ? BACKEND_NAMES : [choice]).map((name) => backendOf(name, tools));
}

/** Backends that show rules of ours, each set of rules once. */
function backendsInForce(tools: Toolbox): readonly Backend[] {
  const found: Backend[] = [];
  for (const name of BACKEND_NAMES) {
    const backend = backendOf(name, tools);
    if (backend.unusable() !== undefined || !backend.isApplied()) continue;
    if (!found.some((other) => isSame(other, backend, tools))) found.push(backend);
  }
  return found;
}

/** `iptables` is an alias of one of its variants; which one, it says in brackets behind its version. */
function isSame(a: Backend, b: Backend, tools: Toolbox): boolean {
  const variant = ({ name }: Backend): string => {
    if (name !== "iptables") return name;
    const version = tools.run("iptables", ["--version"]).stdout;
    return version.includes("nf_tables") ? "iptables-nft" : "iptables-legacy";
  };
  return variant(a) === variant(b);
}

function applyRoutes(capture: ResolvedCapture, tools: Toolbox): readonly string[] {
  const wanted = routesOf(capture);
  removeRoutes(
    ALL_ROUTES.filter((step) => !wanted.includes(step)),
    tools,
  );
  const warnings = new Set<string>();
  for (const { family, add, show, shown } of wanted) {
    if (tools.run("ip", show).stdout.includes(shown)) continue; // what `ip` says of a second one differs by kernel
    const result = tools.run("ip", add);
    if (result.status === "ok") continue;
    // EACCES, where a missing capability is EPERM: net.ipv6.conf.*.disable_ipv6.
    const isOff = family === "ipv6" && /Permission denied|IPv6 is disabled/.test(result.message);
    if (!isOff) throw failureOf(`ip ${add.join(" ")}`, result);
    warnings.add(
      "IPv6 is switched off in this namespace (net.ipv6.conf.all.disable_ipv6); its rules are set all the same",
    );
  }
  return [...warnings];
}

/** What is not there is as it should be. */
function removeRoutes(steps: readonly RouteStep[], tools: Toolbox): void {
  for (const { show, shown, remove } of steps) {
    if (tools.run("ip", show).stdout.includes(shown)) tools.run("ip", remove);
  }
}

function routesDifference(capture: ResolvedCapture, tools: Toolbox): string | undefined {
  const missing = routesOf(capture).find(({ show, shown }) => !tools.run("ip", show).stdout.includes(shown));
  return missing === undefined ? undefined : `"ip ${missing.add.join(" ")}" is not in force`;
}
