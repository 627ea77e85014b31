import { emittedFieldsMarkdown } from "@heddle/config";

/** The whole page docs/emitted-fields.md. */
export function emittedFieldsPage(): string {
  return `# What other control planes send

Five control planes drive Envoys: Istio, Kuma, Consul, Envoy Gateway and Contour. Of Envoy's API, these are the fields that
three or more of them set (read from their golden files and their sources in 2026), and what becomes of each in a sidecar.
Printed by \`node --conditions=heddle-src scripts/print-emitted-fields.ts\`; a test holds it against the table that decoding
goes by.

${emittedFieldsMarkdown().trim()}
`;
}
