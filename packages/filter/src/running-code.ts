/*
 * Which filter's code runs on this thread, in a cell that another thread may read: it cannot ask a thread that is blocked. To note it
 * is one store to an array for each phase.
 */

/** What of a filter runs; the order is the numbers'. */
export const CODE_PHASES = [
  "", "requestHead", "requestData", "requestTrailers", "responseHead", "responseData", "responseTrailers",
  "selectUpstream", "connectFailure", "upstreamRequest", "log", "callback",
] as const; // biome-ignore format: a table

export const CodePhase = {
  requestHead: 1,
  requestData: 2,
  requestTrailers: 3,
  responseHead: 4,
  responseData: 5,
  responseTrailers: 6,
  selectUpstream: 7,
  connectFailure: 8,
  upstreamRequest: 9,
  log: 10,
  callback: 11,
} as const;

const PHASES = 16;

let cells = new Int32Array(1);
let at = 0;
let tell: (id: number, name: string) => void = () => undefined;
const ids = new Map<string, number>();

/** From now on the cell says what runs. `onName` hears of each filter's number before it runs. */
export function watchRunningCode(cell: Int32Array, index: number, onName: (id: number, name: string) => void): void {
  cells = cell as typeof cells;
  at = index;
  tell = onName;
  for (const [name, id] of ids) onName(id, name);
}

/** The number of a filter's code, to be added to a phase. The same for the same name. */
export function codeOf(filterName: string): number {
  let id = ids.get(filterName);
  if (id === undefined) {
    id = ids.size + 1;
    ids.set(filterName, id);
    tell(id, filterName);
  }
  return id * PHASES;
}

/** Notes that this code runs. Answers what ran before, for `leaveCode`. */
export function enterCode(code: number): number {
  const before = cells[at]!; // the index was given with the cells
  cells[at] = code;
  return before;
}

export function leaveCode(before: number): void {
  cells[at] = before;
}

/** What a cell's value says: the filter's number, and the phase's name. Undefined: no filter's code. */
export function readCode(value: number): { readonly id: number; readonly phase: string } | undefined {
  const phase = CODE_PHASES[value % PHASES];
  return value === 0 || phase === undefined ? undefined : { id: Math.floor(value / PHASES), phase };
}
