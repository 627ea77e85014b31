/* Reports of endpoints on their own load (ORCA): the door `@heddle/traffic/orca`, for what is loaded when a cluster wants them. */
export { ClientSideWeights, type WeighedCluster } from "./client-side-weights.ts";
export { EndpointReports } from "./endpoint-reports.ts";
export { isMetricName } from "./metric-names.ts";
export { type OrcaReport, readOrcaReport } from "./orca-report.ts";
