/** `client-process.ts`: many simulated sidecars in one process, told by its parent what to do (see sidecars.ts). */
import type { Credentials } from "./credentials.ts";
import { SimulatedSidecar } from "./simulated-sidecar.ts";

export type Order =
  | {
      readonly type: "connect";
      readonly port: number;
      readonly credentials: Credentials | undefined;
      readonly nodes: readonly { id: string; cluster: string }[];
    }
  /** All are cut off at once, and come back at once. */
  | { readonly type: "reconnect" }
  /** The resource `name` is about to change for those who hold the cluster `holding`. */
  | { readonly type: "expect"; readonly holding: string; readonly name: string }
  | { readonly type: "tell" };

export interface Report {
  /** done: what was expected has happened to every sidecar that it should happen to. */
  readonly type: "ready" | "done" | "told" | "lost";
  /** To how many it has happened; of "ready": to how many it should. */
  readonly sidecars: number;
  /** Of the first and of the last ACK (or settled sidecar), on the clock of the machine. */
  readonly firstMs: number;
  readonly lastMs: number;
  /** That have come since the last order, to anybody. */
  readonly resources: number;
  /** Of this process, since it started. */
  readonly cpuMs: number;
  readonly reason: string;
}

let sidecars: SimulatedSidecar[] = [];
/** The resource that is to come; undefined while sidecars are to settle. */
let expected: string | undefined;
let waiting = 0;
let happened = 0;
let resources = 0;
let firstMs = 0;
let lastMs = 0;

const events = {
  onAck(names: readonly string[], atMs: number): void {
    resources += names.length;
    if (expected !== undefined && names.includes(expected)) count(atMs);
  },
  onSettled(atMs: number): void {
    if (expected === undefined) count(atMs);
  },
  onLost: (reason: string) => report("lost", reason),
};

process.on("message", (order: Order) => {
  switch (order.type) {
    case "connect":
      sidecars = order.nodes.map((node) => new SimulatedSidecar(node, order.port, order.credentials, events));
      expect(undefined, sidecars.length);
      for (const sidecar of sidecars) sidecar.connect(false);
      break;
    case "reconnect":
      expect(undefined, sidecars.length);
      for (const sidecar of sidecars) sidecar.cut();
      for (const sidecar of sidecars) sidecar.connect(true);
      break;
    case "expect":
      expect(order.name, sidecars.filter((sidecar) => sidecar.holds(order.holding)).length);
      report("ready");
      break;
    case "tell":
      report("told");
      break;
  }
});
process.once("disconnect", () => process.exit());

function expect(name: string | undefined, sidecarCount: number): void {
  expected = name;
  waiting = sidecarCount;
  happened = 0;
  resources = 0;
  firstMs = 0;
  lastMs = 0;
}

function count(atMs: number): void {
  if (happened === 0) firstMs = atMs;
  lastMs = atMs;
  happened += 1;
  if (happened === waiting) report("done");
}

function report(type: Report["type"], reason = ""): void {
  const { user, system } = process.cpuUsage();
  const cpuMs = (user + system) / 1000;
  process.send?.({
    type,
    sidecars: type === "ready" ? waiting : happened,
    firstMs,
    lastMs,
    resources,
    cpuMs,
    reason,
  } satisfies Report);
}
