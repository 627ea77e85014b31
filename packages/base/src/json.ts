/** A value that `JSON.parse` can give. Configuration crosses threads and processes in this form. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Implemented by parts that `admin` shows. The composition root hands the list over; admin imports none of them. */
export interface Inspectable {
  readonly name: string;
  /** A plain JSON picture of the part now. Never a secret. */
  inspect(): Json;
}

/** A value in braces. */
export type JsonObject = { readonly [key: string]: Json };

/** Whether what is JSON is an object: no list, not null. */
export function isJsonObject(json: unknown): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
