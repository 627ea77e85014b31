import { DEFAULT_REVISION } from "../should-inject.ts";

/** Service account of the control planes of all revisions. */
export const CONTROL_PLANE_ACCOUNT = "control-plane";

/** Of a revision's Deployment, Service and roles. */
export function controlPlaneName(revision: string): string {
  return revision === DEFAULT_REVISION ? "heddle-control-plane" : `heddle-control-plane-${revision}`;
}
