import { connectedNodes } from "../status.ts";
import type { PlannedWorkload } from "./plan.ts";
import { formatTable } from "./table.ts";

const REQUESTS = 10;

/**
 * Sends requests to every workload through its sidecar, prints what came, and says whether all is well: every answer a
 * 200, and every sidecar connected to the control plane.
 */
export async function checkMesh(
  workloads: readonly PlannedWorkload[],
  adminUrl: string,
  print: (line: string) => void,
): Promise<boolean> {
  const rows: string[][] = [];
  let well = true;
  for (const { spec, publicPort } of workloads) {
    const url = `http://127.0.0.1:${publicPort}${spec.checkPath}`;
    const answers = await Promise.all(
      Array.from({ length: REQUESTS }, () => ask(url, `${spec.name}.${spec.namespace}`)),
    );
    const good = answers.filter(({ status }) => status === 200).length;
    well &&= good === REQUESTS;
    rows.push([
      spec.name,
      url,
      `${good} of ${REQUESTS} answered 200`,
      answers.find(({ status }) => status !== 200)?.body ?? answers[0]?.body ?? "",
    ]);
  }
  print("");
  print(formatTable(rows, ["SERVICE", "ASKED", "SEEN", "FIRST FAILURE, OR FIRST ANSWER"]));
  const connected = await connectedNodes(adminUrl);
  const missing = workloads.filter(({ nodeId }) => !connected.has(nodeId)).map(({ nodeId }) => nodeId);
  if (missing.length > 0) print(`not connected to the control plane: ${missing.join(", ")}`);
  well &&= missing.length === 0;
  print(well ? "check passed" : "check failed");
  return well;
}

async function ask(url: string, host: string): Promise<{ status: number; body: string }> {
  try {
    const response = await fetch(url, { headers: { "x-heddle-check": host } });
    return { status: response.status, body: (await response.text()).slice(0, 160) };
  } catch (error) {
    return { status: 0, body: String((error as Error).cause ?? error) };
  }
}
