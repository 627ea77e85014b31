/* What `XdsClients` and its thread say to each other. */

/** The method that every server of the tests has: says who it is. */
export const WHO_AM_I = "/heddle.test.Who/AmI";

export type Order =
  | {
      readonly order: "open";
      readonly client: number;
      readonly name: string;
      readonly controlPlanePort: number;
      readonly nodeId: string;
    }
  | { readonly order: "call"; readonly client: number; readonly call: number }
  | { readonly order: "close"; readonly client: number };

/** What came of a call. */
export interface Report {
  readonly call: number;
  readonly error: string | undefined;
  readonly answer: string;
}

export function asIs(bytes: Buffer): Buffer {
  return bytes;
}
