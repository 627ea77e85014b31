import { honouredMarkdown } from "@heddle/config";

/** The whole page docs/honoured.md. */
export function honouredPage(): string {
  return `# What a sidecar honours

Of each message that a sidecar reads: the fields that it honours, those that it refuses (NACK, naming the path), and those
that it accepts, reports by path and leaves without effect. Refused is what would change who may connect or be called,
which route matches, or how bytes are protected. Printed by \`node --conditions=heddle-src scripts/print-honoured.ts\`.

${honouredMarkdown().trim()}
`;
}
